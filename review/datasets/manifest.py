"""The manifest and the card: what a dataset holds, what it lacks and how to read its weights."""

import tomllib
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from django.conf import settings

from oversight.lib.clock import rfc3339
from review.datasets.columns import FORMAT_VERSION, RAW, Column
from review.datasets.labels import Labels
from review.datasets.snapshot import Snapshot
from review.datasets.tally import Tally
from review.models import DatasetVersion

WEIGHTS = (
    "Each round is served in descending key order; its finished prefix is a draw of its own, and "
    "the weight is 1/q under the threshold of the first unfinished selection. Where a window was "
    "drawn again, the weight is w/q plus the round weights of all later rounds, w being the round "
    "weight of the row's own. Rows answered "
    "beyond the prefix weigh 0, as does a drawn record that a person also chose: that one weighs "
    "1 in the stratum certain. The sum of weight times label estimates the total over the covered "
    "records: the candidates of the rounds with a finished prefix, and the certain ones. Rows "
    "that are withheld narrow that population to the rest. It is assumed that what people escalate "
    "does not depend on what the rounds drew. An empty label (a tie, or an old negative under "
    "clauses added since) is unknown: bound it by both values."
)
WEIGHTS_NARROWED = (
    " This dataset is narrowed to one rubric version, which follows the order of judging and is no "
    "property of records: its sums speak of no population."
)
WEIGHTS_RAW = " The counted verdicts of a case share its weight; all other verdicts weigh 0."
CONSENT = (
    "Labels, scores and ids rest on review consent: they measure. Content (input, output, notes, "
    "free answers) leaves only where the record has training consent."
)


def make(
    dataset: DatasetVersion,
    snapshot: Snapshot,
    tally: Tally,
    labels: Labels,
    rounds: Sequence[Mapping[str, Any]],
    files: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    """The manifest, JSON-able; `files` are the facts of every file but the manifest's own."""
    forms = [labels.forms[version] for version in sorted(tally.forms)]
    return {
        "format_version": FORMAT_VERSION,
        "product_version": product_version(),
        "dataset": str(dataset.pk),
        "name": dataset.name,
        "number": dataset.number,
        "project": dataset.project.slug,
        "queue": dataset.queue.slug,
        "question": dataset.question or None,
        "kind": dataset.kind,
        "format": dataset.format,
        "label_rule": dataset.label_rule,
        "label_type": labels.type,
        "filters": dataset.filters,
        "snapshot_at": rfc3339(snapshot.taken_at),
        "counts": {
            "rows": tally.n_rows,
            "labels": dict(sorted(tally.labels.items())),
            "strata": dict(sorted(tally.strata.items())),
            "beyond_prefix": tally.beyond_prefix,
            "drawn_and_certain": tally.certain_too,
            "weight_sum": tally.weight_sum,
        },
        "withheld": dict(sorted(tally.withheld.items())),
        "emptied": {name: n for name, n in sorted(tally.emptied.items()) if n},
        "consent": [
            {"training": training, "basis": basis or None, "rows": n}
            for (training, basis), n in sorted(tally.consent.items())
        ],
        "consent_rule": CONSENT,
        "weights": weights_of(dataset),
        "policies": sorted({f"{form.policy} v{form.policy_number}" for form in forms}),
        "rubrics": [
            {"rubric": form.rubric, "version": form.number, "digest": form.digest} for form in forms
        ],
        "positives_only": sorted(
            labels.forms[version].number for version in labels.positives_only & tally.forms
        ),
        "scorers": [{"scorer": s, "version": number} for s, number in sorted(tally.scorers)],
        "models": [{"name": name, "version": version} for name, version in sorted(tally.models)],
        "rounds": [
            {
                "id": row["id"],
                "window": row["window__number"],
                "stratum": row["stratum"],
                "number": row["number"],
                "round_weight": row["omega"],
                "candidates": row["n_candidates"],
                "budget": row["budget"],
                "selected": row["n_selected"],
                "completed_prefix": row["completed_prefix"],
                "posterior_version": row["posterior_version"],
                "scorer_version": row["scorer_version__number"],
            }
            for row in rounds
        ],
        "files": [dict(fact) for fact in files],
    }


def card(
    dataset: DatasetVersion,
    snapshot: Snapshot,
    tally: Tally,
    columns: Sequence[Column],
    splits: Mapping[str, tuple[str, int]],
) -> str:
    """The README: front matter that `datasets.load_dataset` reads, then words for people.

    Args:
        splits: by name the path of the split's file and its rows.
    """
    head = ["---", f"pretty_name: {dataset.name} v{dataset.number}", "configs:"]
    head += ["- config_name: default", "  data_files:"]
    for split, (path, _) in splits.items():
        head += [f"  - split: {split}", f"    path: {path}"]
    body = [
        "---",
        "",
        f"# {dataset.name} v{dataset.number}",
        "",
        f"Human verdicts on AI decisions: kind `{dataset.kind}`, queue `{dataset.queue.slug}`, "
        f"label {f'question `{dataset.question}`' if dataset.question else 'violation or not'}, "
        f"label rule `{dataset.label_rule}`, as of {rfc3339(snapshot.taken_at)}. "
        "The whole account, with checksums, stands in `manifest.json`.",
        "",
        "| split | rows |",
        "|---|---|",
        *(f"| {split} | {n} |" for split, (_, n) in splits.items()),
        "",
        "## Weights",
        "",
        weights_of(dataset),
        "",
        "## Consent and gaps",
        "",
        CONSENT,
        "",
        *(f"- withheld, {reason}: {n} rows" for reason, n in sorted(tally.withheld.items())),
        *(f"- emptied, {reason}: {n} rows" for reason, n in sorted(tally.emptied.items()) if n),
        "",
        "## Columns",
        "",
        "| column | type | |",
        "|---|---|---|",
        *(f"| `{column.name}` | {column.type} | {column.meaning} |" for column in columns),
        "",
    ]
    if dataset.format == "csv":
        body += [
            "Text cells that begin with `=`, `+`, `-`, `@`, a tab or a carriage return carry a "
            "leading apostrophe, so that no spreadsheet runs them.",
            "",
        ]
    return "\n".join(head + body)


def weights_of(dataset: DatasetVersion) -> str:
    """How the weights of a dataset are to be read."""
    told = WEIGHTS + (WEIGHTS_RAW if dataset.kind == RAW else "")
    return told + (WEIGHTS_NARROWED if "rubric_version" in dataset.filters else "")


@cache
def product_version() -> str:
    """The version of this installation, which runs from its source tree."""
    text = (Path(settings.BASE_DIR) / "pyproject.toml").read_text()
    return str(tomllib.loads(text)["project"]["version"])
