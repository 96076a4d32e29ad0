"""Stored records as columns: drawn by a keyed hash, so that a window of millions stays cheap.

Erased records and those closed to review are never loaded: they leave the population that drift
speaks of. Held-out records stay in, since drift describes the stream and teaches nothing.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
from django.db.models import BigIntegerField, TextField, Value
from django.db.models.expressions import Func
from django.db.models.functions import Cast
from numpy.typing import NDArray

from scoring.core.drift.contract import Sample
from scoring.core.drift.moving import projected
from scoring.core.randomness import keyed_uniforms
from scoring.intake import fingerprints
from scoring.models import InferenceRecord, ModelVersion, RecordPayload
from scoring.models.records import RecordQuerySet

# Context fields that may be looked into, besides the region: those of few values that say nothing
# about one person. A report names values, and reports outlive records.
SEGMENTS = ("region", "language", "template", "channel", "source", "tier", "customer_tier")
MAX_VALUES = 12  # of a field; the rarer ones are taken together
MAX_LENGTH = 60
OTHER = "(other)"
NONE = "(none)"
DIMENSIONS = 256  # of fingerprints; longer ones are brought to as many random directions
_MOST_SIGNALS = 64
_CHUNK = 1_000
_COLUMNS = ("id", "occurred_at", "region", "context", "signals", "score", "scorer_version_id")

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Records:
    """Records of one model version in the order of their ids, which is that of time.

    times: float64 (n,), seconds since the epoch.  score: float64 (n,), under `scorers`, int64 (n,),
    ids of scorer versions.  signals: name -> float64 (n,), NaN where missing.
    segments: field -> n texts.  fingerprints: float64 (n, d), NaN rows where missing; or None.
    """

    ids: list[UUID]
    times: Floats
    score: Floats
    scorers: NDArray[np.int64]
    signals: dict[str, Floats]
    segments: dict[str, NDArray[np.str_]]
    fingerprints: Floats | None

    def __len__(self) -> int:
        return len(self.ids)

    def sample(self, distances: dict[str, Floats]) -> Sample:
        """What is compared of them, without the score: its reference may be another."""
        return Sample(
            times=self.times,
            signals=self.signals,
            distances=distances,
            fingerprints=self.fingerprints,
            segments=self.segments,
        )

    def scored_by(self, version: int) -> Sample:
        """The scores that one scorer version gave."""
        rows = np.flatnonzero(self.scorers == version)
        return Sample(
            times=self.times[rows],
            score=self.score[rows],
            segments={name: values[rows] for name, values in self.segments.items()},
        )


def usable(records: RecordQuerySet) -> RecordQuerySet:
    return records.filter(may_review=True, erased_at=None)


def draw(records: RecordQuerySet, *, about: int, most: int, seed: bytes, stream: str) -> list[UUID]:
    """Ids of at most `most` of the records, by keyed hash: the same ones at every call.

    Args:
        records: what to draw from.
        about: how many there are, by what is known; far more than `most` are thinned by a hash
            inside the database, so that few of their ids are ever read.
        seed: secret, so that nobody can choose external ids that are drawn, or never are.
        stream: names the draw.
    """
    if about > 2 * most:
        salt = int.from_bytes(keyed_bytes(seed, stream), "big", signed=True)
        hashed = Func(
            Cast("id", TextField()),
            Value(salt, output_field=BigIntegerField()),
            function="hashtextextended",
            output_field=BigIntegerField(),
        )
        limit = int(2.0**64 * 1.5 * most / about) - 2**63
        records = records.alias(drawn_by=hashed).filter(drawn_by__lt=limit)
    ids = list(records.order_by().values_list("id", flat=True).iterator(chunk_size=_CHUNK))
    if len(ids) > most:
        u = keyed_uniforms([record.bytes for record in ids], seed=seed, stream=stream)
        ids = [ids[i] for i in np.argpartition(u, most)[:most]]
    return sorted(ids)


def keyed_bytes(seed: bytes, stream: str) -> bytes:
    """Eight bytes of a seed and a stream."""
    u = keyed_uniforms([bytes(16)], seed=seed, stream=stream)
    return int(u[0] * 2.0**53).to_bytes(8, "big")


def load(ids: Sequence[UUID], model: ModelVersion) -> Records:
    """The usable records among the ids, in their order, read in chunks."""
    rows = [row for chunk in _chunks(ids) for row in _rows(chunk)]
    kept = [row[0] for row in rows]
    return Records(
        ids=kept,
        times=np.array([row[1].timestamp() for row in rows], np.float64),
        score=np.array([row[5] for row in rows], np.float64),
        scorers=np.array([row[6] for row in rows], np.int64),
        signals=_signals([row[4] for row in rows]),
        segments=_segments([{**row[3], "region": row[2]} for row in rows]),
        fingerprints=_fingerprints(kept, model.fingerprint_dimension),
    )


def side_by_side(reference: Records, window: Records) -> tuple[Records, Records]:
    """Both with the same segment fields, rare values taken together over both."""
    names = sorted({*reference.segments} & {*window.segments})
    found: tuple[dict[str, NDArray[np.str_]], dict[str, NDArray[np.str_]]] = ({}, {})
    for name in names:
        both = [side.segments[name] for side in (reference, window)]
        counts = Counter(str(value) for values in both for value in values)
        frequent = {value for value, _ in counts.most_common(MAX_VALUES)}
        if sum(counts[value] for value in frequent) < 0.5 * counts.total():
            continue  # not a field of few values after all
        for side, values in zip(found, both, strict=True):
            side[name] = np.array([v if v in frequent else OTHER for v in values], np.str_)
    return _with_segments(reference, found[0]), _with_segments(window, found[1])


def _with_segments(records: Records, segments: dict[str, NDArray[np.str_]]) -> Records:
    return Records(
        ids=records.ids,
        times=records.times,
        score=records.score,
        scorers=records.scorers,
        signals=records.signals,
        segments=segments,
        fingerprints=records.fingerprints,
    )


def _chunks(ids: Sequence[UUID]) -> Iterator[Sequence[UUID]]:
    for start in range(0, len(ids), _CHUNK):
        yield ids[start : start + _CHUNK]


def _rows(ids: Sequence[UUID]) -> Iterable[tuple[Any, ...]]:
    return usable(InferenceRecord.objects.filter(pk__in=ids)).order_by("id").values_list(*_COLUMNS)


def _signals(given: Sequence[dict[str, float]]) -> dict[str, Floats]:
    counts = Counter(name for signals in given for name in signals)
    return {
        name: np.array([signals.get(name, np.nan) for signals in given], np.float64)
        for name, _ in counts.most_common(_MOST_SIGNALS)
    }


def _segments(given: Sequence[dict[str, object]]) -> dict[str, NDArray[np.str_]]:
    found = {}
    for name in SEGMENTS:
        values = [_text(context.get(name)) for context in given]
        if any(value != NONE for value in values):
            found[name] = np.array(values, np.str_)
    return found


def _text(value: object) -> str:
    if value is None or value == "":
        return NONE
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= MAX_LENGTH else OTHER


def _fingerprints(ids: Sequence[UUID], dimension: int | None) -> Floats | None:
    if dimension is None or not ids:
        return None
    parts = []
    for chunk in _chunks(ids):
        stored = dict(RecordPayload.objects.filter(pk__in=chunk).values_list("id", "fingerprint"))
        rows = np.full((len(chunk), dimension), np.nan, np.float32)
        for i, record in enumerate(chunk):
            packed = stored.get(record)
            if packed is not None:
                rows[i] = fingerprints.unpack(bytes(packed), dimension)
        parts.append(projected(rows, DIMENSIONS))
    return np.concatenate(parts)
