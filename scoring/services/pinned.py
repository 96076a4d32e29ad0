"""Records as one pinned scorer version sees them, whichever version scored them at ingest.

Two versions' scores are not comparable, so nothing may be learnt from, or drawn by, a mixture.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from scoring.columns import Described
from scoring.core.scorers.batches import without_fingerprints
from scoring.core.scorers.contract import InvalidBatchError, ScoredBatch
from scoring.intake import fingerprints
from scoring.models import InferenceRecord, ModelVersion, RecordPayload
from scoring.services import scorers
from scoring.services.scoring import Subject, batch_of


@dataclass(frozen=True, slots=True)
class Stored:
    """A record, or its copy in evidence, as it is stored."""

    record_id: UUID
    model: ModelVersion
    scorer_version: int
    region: str
    context: Mapping[str, Any]
    signals: Mapping[str, float]
    fingerprint: bytes | None
    raw: float
    score: float
    reasons: Sequence[Mapping[str, Any]]

    def vector(self) -> npt.NDArray[np.float32] | None:
        if self.fingerprint is None or not self.model.fingerprint_dimension:
            return None
        return fingerprints.unpack(self.fingerprint, self.model.fingerprint_dimension)


@dataclass(frozen=True, slots=True)
class Pinned:
    """A record under the pinned version: `described.reasons` are that version's."""

    record_id: UUID
    raw: float
    score: float
    described: Described
    fingerprint: npt.NDArray[np.float32] | None


def pin(version_id: int, rows: Sequence[Stored]) -> list[Pinned]:
    """What a version says of records, in their order; its own scores stay as they are stored."""
    foreign: dict[str, list[int]] = {}
    for index, row in enumerate(rows):
        if row.scorer_version != version_id:
            foreign.setdefault(row.model.name, []).append(index)
    told = {index: (row.raw, row.score, row.reasons) for index, row in enumerate(rows)}
    for model, indices in foreign.items():
        scored = _score(version_id, model, [rows[index] for index in indices])
        for place, index in enumerate(indices):
            reasons = [
                {"kind": reason.kind, "name": reason.name, "contribution": reason.contribution}
                for reason in scored.reasons(place)
            ]
            told[index] = (float(scored.raw[place]), float(scored.score[place]), reasons)
    return [_pinned(row, *told[index]) for index, row in enumerate(rows)]


def stored(record_ids: Iterable[UUID]) -> list[Stored]:
    """Those of some records that are there, with their payloads."""
    wanted = list(record_ids)
    payloads = {
        key: (None if vector is None else bytes(vector), reasons)
        for key, vector, reasons in RecordPayload.objects.filter(pk__in=wanted).values_list(
            "id", "fingerprint", "reasons"
        )
    }
    records = InferenceRecord.objects.filter(pk__in=wanted).prefetch_related("model_version")
    return [
        Stored(
            record_id=row.pk,
            model=row.model_version,
            scorer_version=row.scorer_version_id,
            region=row.region,
            context=row.context,
            signals=row.signals,
            fingerprint=payloads[row.pk][0],
            raw=row.raw,
            score=row.score,
            reasons=payloads[row.pk][1],
        )
        for row in records
        if row.pk in payloads
    ]


def _score(version_id: int, model: str, rows: Sequence[Stored]) -> ScoredBatch:
    subjects = [
        Subject(
            model=model,
            signals=row.signals,
            context=row.context,
            fingerprint=row.fingerprint,
            dimension=row.model.fingerprint_dimension,
        )
        for row in rows
    ]
    batch = batch_of(model, subjects)
    scorer = scorers.load(version_id).scorer
    try:
        return scorer.score(batch)
    except InvalidBatchError:  # as at ingest: fingerprints that it cannot compare are left out
        return scorer.score(without_fingerprints(batch))


def _pinned(row: Stored, raw: float, score: float, reasons: Sequence[Mapping[str, Any]]) -> Pinned:
    return Pinned(
        record_id=row.record_id,
        raw=raw,
        score=score,
        described=Described(row.model.pk, row.region, row.context, row.signals, reasons),
        fingerprint=row.vector(),
    )
