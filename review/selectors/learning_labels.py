"""What people said about records, as arrays: the one source of all that the product learns.

Labels are read the way a calibration dataset reads them (resolutions of blind answers, weights of
the finished prefixes). Erased records, records closed to review and labels that rest on other
clauses are left out and counted.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from oversight.lib import errors
from oversight.tenancy.models import Project
from review.datasets import selection
from review.datasets.columns import CALIBRATION
from review.datasets.labels import Form, Labels, Rows, read_forms, settle, versions_used
from review.datasets.snapshot import Present
from review.datasets.weights import NO_ROUND, weigh
from review.models import Case, CaseResolution, DatasetVersion, Question, ReviewQueue
from review.selectors import finished_rounds
from review.selectors.finished_rounds import FinishedRound
from scoring.core.scorers.decision_v1 import context_text
from scoring.models import InferenceRecord

MAX_VALUES = 12  # of a context field that is a segment
MAX_FIELDS = 16
_CHUNK = 2_000
_PATHS = {
    **selection.PATHS,
    **selection.RESOLUTION_PATHS,
    "resolution_id": "id",
    "resolved_at": "created_at",
    "model_version_id": "case__evidence__model_version_id",
    "scorer_version_id": "case__evidence__scorer_version_id",
    "context": "case__evidence__context",
    "region": "case__evidence__region",
}


@dataclass(frozen=True, eq=False)
class LearningLabels:
    """One row per resolved case, in the order of the rounds.

    Attributes:
        record_ids: n ids; a record that was drawn and escalated has two rows, one of weight 0.
        groups: n keyed hashes of the records' groups, `b""` where the record row is gone.
        model_versions: int64 (n,), ids of `ModelVersion`.
        scorer_versions: int64 (n,), ids of the versions that scored the records at ingest.
        score, raw: float64 (n,), at ingest.
        tier: int8 (n,), at ingest.
        label: float64 (n,): 1 violation, 0 none, NaN where the answers do not decide.
        weight: float64 (n,), >= 0: Σ weight·label estimates the total over the covered records.
        held_out: bool (n,): for evaluation alone.
        positives_only: bool (n,): judged before a clause was added. A violation stands, so it may
            teach what violations look like; their share says nothing.
        occurred_at, resolved_at: float64 (n,), seconds since 1970.
        resolution_ids: int64 (n,), of the resolutions that say so.
        segments: field -> n values; fields of few distinct values only.
        left_out: how many cases were not read, by reason.
    """

    queue: ReviewQueue
    question: str
    record_ids: Sequence[UUID]
    groups: Sequence[bytes]
    model_versions: npt.NDArray[np.int64]
    scorer_versions: npt.NDArray[np.int64]
    score: npt.NDArray[np.float64]
    raw: npt.NDArray[np.float64]
    tier: npt.NDArray[np.int8]
    label: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    held_out: npt.NDArray[np.bool_]
    positives_only: npt.NDArray[np.bool_]
    occurred_at: npt.NDArray[np.float64]
    resolved_at: npt.NDArray[np.float64]
    resolution_ids: npt.NDArray[np.int64]
    segments: Mapping[str, Sequence[str]]
    left_out: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.record_ids)

    @property
    def known(self) -> npt.NDArray[np.bool_]:
        """bool (n,): rows whose label and weight may enter a share or a curve."""
        return ~np.isnan(self.label) & (self.weight > 0) & ~self.positives_only

    @property
    def teaching(self) -> npt.NDArray[np.bool_]:
        """bool (n,): `known` rows that the product may learn from."""
        return self.known & ~self.held_out


def labels_of(
    queue: ReviewQueue, question: str = "", *, reader: Rows | None = None
) -> LearningLabels:
    """The labels of a queue.

    Args:
        question: key of a boolean question; "" stands for the rubric's violation rule.
        reader: a snapshot; by default the thread's own connection.

    Raises:
        InvalidInput: the question is not one that says yes or no.
    """
    reader = reader or Present()
    dataset = DatasetVersion(
        project=queue.project,
        queue=queue,
        question=question,
        kind=CALIBRATION,
        label_rule="adjudicated",
        filters={},
    )
    forms = read_forms(reader, versions_used(queue), question)
    _check_kind(forms, question)
    labels, pooled = _pooled(forms, question)
    stored = finished_rounds.stored_rounds(queue)
    draws = finished_rounds.finish(reader.rows(stored, *finished_rounds.FIELDS))
    found, _ = selection.rows_of(dataset)
    read = [
        {name: row[path] for name, path in _PATHS.items()}
        for row in reader.rows(found, *_PATHS.values())
    ]
    left_out: Counter[str] = Counter()
    kept = _open_to_learning(queue.project, read, pooled, left_out)
    for row, weight in zip(kept, _weights(kept, draws), strict=True):
        row["label"] = labels.label(row["form"], row["violation"], row["answers"])
        row["weight"] = weight
    return _columns(queue, question, kept, labels, left_out)


def n_resolved_since(queue: ReviewQueue, resolution_id: int) -> int:
    """Resolutions of a queue that came after one: what the next round of learning would add."""
    return CaseResolution.objects.filter(case__queue=queue, pk__gt=resolution_id).count()


def _check_kind(forms: Mapping[int, Form], question: str) -> None:
    kinds = {form.kind for form in forms.values() if form.kind is not None}
    if question and kinds - {Question.Kind.BOOLEAN.value}:
        raise errors.InvalidInput.at(
            "question", "learning needs a question that is answered by yes or no", "no_label"
        )


def _pooled(forms: Mapping[int, Form], question: str) -> tuple[Labels, frozenset[int]]:
    """The labels comparable with those of the latest form, and the forms they were given under."""
    asking = sorted(version for version, form in forms.items() if form.question is not None)
    comparable = set(asking[-1:])
    for version in asking[:-1]:
        try:
            settle(forms, question, [version, asking[-1]])
        except errors.InvalidInput:
            continue  # other words, or another kind of question
        comparable.add(version)
    return settle(forms, question, comparable), frozenset(comparable)


def _open_to_learning(
    project: Project,
    read: Sequence[dict[str, Any]],
    pooled: frozenset[int],
    left_out: Counter[str],
) -> list[dict[str, Any]]:
    """The rows that may be learnt from, each with its group; the others counted by reason.

    A record whose partition is dropped speaks through its evidence, which erasure reaches too.
    """
    kept = []
    for start in range(0, len(read), _CHUNK):
        chunk = read[start : start + _CHUNK]
        stored = {
            key: (bytes(group), closed)
            for key, group, may_review, erased in InferenceRecord.objects.of(project)
            .filter(pk__in=[row["record_id"] for row in chunk])
            .values_list("id", "group_hash", "may_review", "erased_at")
            for closed in [not may_review or erased is not None]
        }
        for row in chunk:
            group, is_closed = stored.get(row["record_id"], (b"", False))
            if row["erased_at"] is not None or is_closed:
                left_out["erased or closed to review"] += 1
            elif row["form"] not in pooled:
                left_out["judged under other clauses"] += 1
            else:
                kept.append({**row, "group": group})
    return kept


def _weights(
    rows: Sequence[dict[str, Any]], draws: Mapping[int, FinishedRound]
) -> npt.NDArray[np.float64]:
    def drawn(name: str, otherwise: float, dtype: type[np.generic]) -> npt.NDArray[Any]:
        values = [otherwise if row["round_id"] is None else row[name] for row in rows]
        return np.array(values, dtype=dtype)

    return weigh(
        drawn("round_id", NO_ROUND, np.int64),
        drawn("position", 0, np.int64),
        drawn("gain", 0.0, np.float64),
        drawn("inclusion_probability", 1.0, np.float64),
        is_certain=np.array([r["case_kind"] == Case.Kind.ESCALATED for r in rows], dtype=np.bool_),
        is_certain_too=np.array([row["is_certain_too"] for row in rows], dtype=np.bool_),
        draws=draws,
    )


def _columns(
    queue: ReviewQueue,
    question: str,
    rows: Sequence[dict[str, Any]],
    labels: Labels,
    left_out: Mapping[str, int],
) -> LearningLabels:
    def numbers(name: str) -> npt.NDArray[np.float64]:
        return np.array([row[name] for row in rows], dtype=np.float64)

    def integers(name: str) -> npt.NDArray[np.int64]:
        return np.array([row[name] for row in rows], dtype=np.int64)

    def seconds(name: str) -> npt.NDArray[np.float64]:
        return np.array([row[name].timestamp() for row in rows], dtype=np.float64)

    return LearningLabels(
        queue=queue,
        question=question,
        record_ids=[row["record_id"] for row in rows],
        groups=[row["group"] for row in rows],
        model_versions=integers("model_version_id"),
        scorer_versions=integers("scorer_version_id"),
        score=numbers("score"),
        raw=numbers("raw_score"),
        tier=integers("tier").astype(np.int8),
        label=numbers("label"),  # None becomes NaN
        weight=numbers("weight"),
        held_out=np.array([row["held_out"] for row in rows], dtype=np.bool_),
        positives_only=np.array(
            [row["form"] in labels.positives_only for row in rows], dtype=np.bool_
        ),
        occurred_at=seconds("occurred_at"),
        resolved_at=seconds("resolved_at"),
        resolution_ids=integers("resolution_id"),
        segments=_segments(rows),
        left_out=dict(left_out),
    )


def _segments(rows: Sequence[dict[str, Any]]) -> dict[str, tuple[str, ...]]:
    """Model, region, tier, month, and the context fields of two to `MAX_VALUES` values."""
    found = {
        "model": tuple(f"{row['model_name']} {row['model_version']}" for row in rows),
        "region": tuple(row["region"] for row in rows),
        "tier": tuple(str(row["tier"]) for row in rows),
        "month": tuple(f"{row['occurred_at']:%Y-%m}" for row in rows),
    }
    values: dict[str, set[str]] = {}
    for row in rows:
        for name, value in row["context"].items():
            seen = values.setdefault(name, set())
            if len(seen) <= MAX_VALUES:
                seen.add(context_text(value))
    few = [name for name, seen in sorted(values.items()) if 2 <= len(seen) <= MAX_VALUES]
    for name in few[:MAX_FIELDS]:
        if name not in found:
            found[name] = tuple(context_text(row["context"].get(name)) for row in rows)
    return found
