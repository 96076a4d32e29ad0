"""Which rows make up a dataset: querysets over cases and verdicts, in the order of the files."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db.models import (
    BooleanField,
    Exists,
    Func,
    IntegerField,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    TextField,
)
from django.db.models.functions import Cast, JSONObject

from oversight.lib import errors
from review import filters as record_filters
from review.datasets.columns import EVALUATION, EVALUATION_KIND, RAW, SPLITS, WITH_CONTENT
from review.models import (
    Case,
    CaseEvidence,
    CaseResolution,
    DatasetVersion,
    Verdict,
)

_OWN_FILTERS = ("since", "until", "rubric_version", "split")
_KINDS = (Case.Kind.SAMPLED, Case.Kind.ESCALATED)
_EVIDENCE, _SELECTION = "case__evidence__", "case__selection__"

# Column (or what it is made of) -> where it stands, from a verdict or a resolution.
PATHS: dict[str, str] = {
    **{
        name: f"{_EVIDENCE}{name}"
        for name in (
            "record_id",
            "external_id",
            "occurred_at",
            "score",
            "tier",
            "p_violation",
            "held_out",
            "may_train",
            "consent_basis",
            "erased_at",
        )
    },
    "raw_score": f"{_EVIDENCE}raw",
    "model_name": f"{_EVIDENCE}model_version__name",
    "model_version": f"{_EVIDENCE}model_version__version",
    "scorer": f"{_EVIDENCE}scorer_version__scorer__slug",
    "scorer_version": f"{_EVIDENCE}scorer_version__number",
    **{name: f"{_SELECTION}{name}" for name in ("position", "gain", "inclusion_probability")},
    "round_id": f"{_SELECTION}round_id",
    "round_stratum": f"{_SELECTION}round__stratum",
    "case_id": "case_id",
    "case_kind": "case__kind",
    "is_certain_too": "is_certain_too",
    "form": "rubric_version_id",
    "answers": "answers",
    "violation": "violation",
}
CONTENT_PATHS = {name: f"{_EVIDENCE}{name}" for name in ("input", "output")}
RESOLUTION_PATHS = {
    "label_rule": "rule",
    "n_verdicts": "n_verdicts",
    "agreement": "agreement",
    "first": "first",
}
VERDICT_PATHS = {
    "verdict_id": "id",
    "supersedes": "supersedes_id",
    "reviewer_id": "reviewer_id",
    "ai_rater": "ai_rater",
    "is_blind": "is_blind",
    "clause_hashes": "clause_hashes",
    "seconds": "seconds",
    "created_at": "created_at",
    "note": "note__note",
    "texts": "note__texts",
    "note_erased_at": "note__erased_at",
    "is_superseded": "is_superseded",
    "resolution": "resolution",
}


def check_filters(raw: Mapping[str, Any], split: str | None) -> dict[str, Any]:
    """Filters as they are stored: those of a queue, and since, until, rubric_version, split.

    Raises:
        InvalidInput: at paths such as `filters.since`.
    """
    own = {name: raw[name] for name in _OWN_FILTERS[:3] if raw.get(name) is not None}
    rest = {name: value for name, value in raw.items() if name not in _OWN_FILTERS[:3]}
    checked = record_filters.check_filter(rest, "filters")
    for name in ("since", "until"):
        if name in own and _moment(own[name]) is None:
            raise errors.InvalidInput.at(f"filters.{name}", "a time with its offset, RFC 3339")
    number = own.get("rubric_version", 1)
    if isinstance(number, bool) or not isinstance(number, int) or not 0 < number < 2**31:
        raise errors.InvalidInput.at("filters.rubric_version", "the number of a version")
    if split is not None and split not in SPLITS:
        raise errors.InvalidInput.at("split", f"one of {', '.join(SPLITS)}", "unknown_split")
    return {**checked, **own, **({"split": split} if split else {})}


def rows_of(dataset: DatasetVersion) -> tuple[QuerySet[Any], dict[str, str]]:
    """The rows of a dataset in file order, and the paths of their columns."""
    if dataset.kind == RAW:
        found: QuerySet[Any] = _verdicts(dataset)
        paths = {**PATHS, **VERDICT_PATHS}
        last = ("created_at", "pk")
    else:
        found = _resolutions(dataset)
        paths = {**PATHS, **RESOLUTION_PATHS}
        if dataset.kind in WITH_CONTENT:
            paths |= CONTENT_PATHS
        last = ("case__created_at", "case_id")
    return found.order_by(f"{_SELECTION}round_id", f"{_SELECTION}position", *last), paths


def _resolutions(dataset: DatasetVersion) -> QuerySet[CaseResolution]:
    counted = CaseResolution.objects.filter(case=OuterRef("case"))
    if dataset.label_rule == "majority":
        counted = counted.exclude(rule="adjudicated")
    latest = counted.order_by("-number").values("pk")[:1]
    first = (
        Verdict.objects.filter(case=OuterRef("case"), ai_rater="")
        .order_by("-is_blind", "created_at", "pk")
        .values(
            found=JSONObject(violation="violation", answers="answers", form="rubric_version_id")
        )
    )
    return _narrowed(
        CaseResolution.objects.filter(pk=Subquery(latest), case__kind__in=_KINDS), dataset
    ).annotate(first=Subquery(first[:1]))


def _verdicts(dataset: DatasetVersion) -> QuerySet[Verdict]:
    resolution = (
        CaseResolution.objects.filter(case=OuterRef("case"))
        .order_by("-number")
        .values(
            # Few distinct objects, so that reading them costs by the distinct one, not by the row.
            found=JSONObject(
                n_verdicts="n_verdicts",
                agreement="agreement",
                n_counted=Func(
                    "verdicts", function="jsonb_array_length", output_field=IntegerField()
                ),
                is_counted=Func(
                    "verdicts",
                    Cast(OuterRef("pk"), TextField()),
                    function="jsonb_exists",
                    output_field=BooleanField(),
                ),
            )
        )
    )
    return _narrowed(Verdict.objects.all(), dataset).annotate(
        resolution=Subquery(resolution[:1]),
        is_superseded=Exists(Verdict.objects.filter(supersedes=OuterRef("pk"))),
    )


def _narrowed(found: QuerySet[Any], dataset: DatasetVersion) -> QuerySet[Any]:
    certain = Case.objects.filter(
        queue=OuterRef("case__queue"),
        evidence=OuterRef("case__evidence"),
        kind=Case.Kind.ESCALATED,
        state=Case.State.RESOLVED,
    )
    return found.filter(_condition(dataset), case__queue=dataset.queue).annotate(
        is_certain_too=Exists(certain)
    )


def _condition(dataset: DatasetVersion) -> Q:
    given = dataset.filters
    conditions = record_filters.to_q(
        dataset.project, {k: v for k, v in given.items() if k not in _OWN_FILTERS}
    )
    if "since" in given:
        conditions &= Q(occurred_at__gte=_moment(given["since"]))
    if "until" in given:
        conditions &= Q(occurred_at__lt=_moment(given["until"]))
    split = EVALUATION if dataset.kind == EVALUATION_KIND else given.get("split")
    if split:
        conditions &= Q(held_out=split == EVALUATION)
    rubric = Q()
    if "rubric_version" in given:
        rubric = Q(rubric_version__number=given["rubric_version"])
    if not conditions:
        return rubric
    evidence = CaseEvidence.objects.filter(conditions, project=dataset.project)
    return rubric & Q(case__evidence__in=evidence)


def _moment(text: Any) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
    return moment if moment.tzinfo else None
