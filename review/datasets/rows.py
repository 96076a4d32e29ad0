"""From what was read to the rows of the files: label, weight, split, consent."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from oversight.audit.services import content_hmac
from oversight.lib import codec
from review.datasets.columns import CLASSIFICATION, EVALUATION, RAW, TRAIN, WITH_CONTENT
from review.datasets.labels import Labels
from review.datasets.weights import weigh
from review.models import Case, DatasetVersion
from review.selectors.finished_rounds import FinishedRound

CERTAIN = "certain"
OTHER = "(other)"
_PSEUDONYM = 16  # hexadecimal digits
_MAX_DISTINCT = 200  # what clients name freely may not swell the manifest


@dataclass
class Tally:
    """What the manifest says about rows, counted while they stream by."""

    n_rows: int = 0
    withheld: Counter[str] = field(default_factory=Counter)
    emptied: Counter[str] = field(default_factory=Counter)
    consent: Counter[tuple[bool, str]] = field(default_factory=Counter)
    labels: Counter[str] = field(default_factory=Counter)
    strata: Counter[str] = field(default_factory=Counter)
    beyond_prefix: int = 0
    certain_too: int = 0
    weight_sum: float = 0.0
    forms: set[int] = field(default_factory=set)
    models: set[tuple[str, str]] = field(default_factory=set)
    scorers: set[tuple[str, int]] = field(default_factory=set)


class RowMaker:
    """Turns chunks of what was read into rows, and counts."""

    def __init__(
        self, dataset: DatasetVersion, labels: Labels, draws: Mapping[int, FinishedRound]
    ) -> None:
        self.dataset = dataset
        self.labels = labels
        self.draws = draws
        self.tally = Tally()

    def make(self, read: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
        """The rows of a chunk that may leave, in order."""
        kept = []
        for row in read:
            if reason := self._withheld(row):
                self.tally.withheld[reason] += 1
            else:
                kept.append(row)
        made = [
            self._row(row, weight) for row, weight in zip(kept, self._weights(kept), strict=True)
        ]
        for row in made:
            self._count(row)
        return made

    def _withheld(self, row: Mapping[str, Any]) -> str | None:
        if row["erased_at"] is not None:
            return "erased"
        if self.dataset.kind == CLASSIFICATION:
            if row["held_out"]:
                return "held_out"
            if not row["may_train"]:
                return "no_training_consent"
        return None

    def _weights(self, rows: Iterable[dict[str, Any]]) -> list[float]:
        """The weights of the rows' cases."""
        found: list[float] = []
        for round_id, members in groupby(rows, key=lambda row: row["round_id"]):
            if round_id is None:
                found += [float(row["case_kind"] == Case.Kind.ESCALATED) for row in members]
            else:
                found += weigh(members, self.draws[round_id])
        return found

    def _row(self, row: dict[str, Any], weight: float) -> dict[str, Any]:
        is_certain = row["case_kind"] == Case.Kind.ESCALATED
        draw = self.draws.get(row["round_id"])
        if draw is not None and row["is_certain_too"]:
            # The record is in the certain stratum, where it weighs 1; once is enough.
            weight = 0.0
            self.tally.certain_too += 1
        made = {
            **row,
            "record_id": str(row["record_id"]),
            "case_id": str(row["case_id"]),
            "split": EVALUATION if row["held_out"] else TRAIN,
            "stratum": row["round_stratum"] or (CERTAIN if is_certain else row["case_kind"]),
            "in_prefix": is_certain or (draw is not None and row["position"] < draw.prefix),
            "weight": weight,
        }
        if is_certain:
            made["inclusion_probability"] = 1.0
        made |= self._judged(row, weight) if self.dataset.kind == RAW else self._resolved(row)
        form = self.labels.forms[made["form"]]
        made["label"] = self.labels.label(made["form"], made["violation"], made["answers"])
        made["policy_version"] = form.policy_number
        made["rubric_version"] = form.number
        made["rubric_digest"] = form.digest
        made["clause_hashes"] = codec.canonical(made.get("clause_hashes") or form.clauses).decode()
        made["answers"] = codec.canonical(made["answers"]).decode()
        return made

    def _resolved(self, row: dict[str, Any]) -> dict[str, Any]:
        """What a resolved case says; content only where training consent lets it leave."""
        told: dict[str, Any] = {}
        if self.dataset.label_rule == "single" and row["first"]:
            told |= {**row["first"], "label_rule": "single", "n_verdicts": 1, "agreement": None}
        if self.dataset.kind in WITH_CONTENT and not row["may_train"]:
            told |= {"input": None, "output": None}
            self.tally.emptied["content_without_training_consent"] += 1
        return told

    def _judged(self, row: dict[str, Any], weight: float) -> dict[str, Any]:
        """What one verdict says. The counted verdicts of a case share its weight."""
        resolution = row["resolution"] or {"n_verdicts": 0, "agreement": None, "verdicts": []}
        counted = str(row["verdict_id"]) in resolution["verdicts"]
        person = f"reviewer:{row['reviewer_id']}".encode()
        told = {
            "verdict_id": str(row["verdict_id"]),
            "supersedes": str(row["supersedes"]) if row["supersedes"] else None,
            "is_counted": counted,
            "is_human": not row["ai_rater"],
            "reviewer": row["ai_rater"] or content_hmac(self.dataset.project, person)[:_PSEUDONYM],
            "label_rule": "single",
            "n_verdicts": resolution["n_verdicts"],
            "agreement": resolution["agreement"],
            "weight": weight / len(resolution["verdicts"]) if counted else 0.0,
            "texts": codec.canonical(row["texts"]).decode() if row["texts"] else None,
        }
        hidden = "erased_note" if row["note_erased_at"] else None
        if not row["may_train"]:
            hidden = "note_without_training_consent"
        if hidden:
            self.tally.emptied[hidden] += bool(row["note"] or row["texts"])
            told |= {"note": None, "texts": None}
        return told

    def _count(self, row: dict[str, Any]) -> None:
        tally = self.tally
        tally.n_rows += 1
        _add(tally.consent, (row["may_train"], row["consent_basis"]), (row["may_train"], OTHER))
        known = "known" if self.labels.type == "number" else str(row["label"])
        _add(tally.labels, "unknown" if row["label"] is None else known, OTHER)
        tally.strata[row["stratum"]] += 1
        tally.beyond_prefix += not row["in_prefix"]
        tally.weight_sum += row["weight"]
        tally.forms.add(row["form"])
        tally.models.add((row["model_name"], row["model_version"]))
        tally.scorers.add((row["scorer"], row["scorer_version"]))


def _add(counter: "Counter[Any]", key: Any, other: Any) -> None:
    counter[key if key in counter or len(counter) < _MAX_DISTINCT else other] += 1
