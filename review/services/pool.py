"""The candidates of one round on disk: what a draw needs of each, written once, read in passes.

Memory does not grow with their number: ids, weights, notes and gains lie in files without a name.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from uuid import UUID

import numpy as np
import numpy.typing as npt

from review.beliefs.moments import Belief
from scoring.core.information_gain import InformationGain, gain_strategy
from scoring.core.sampling import quantise
from scoring.selectors.candidates import Chunk
from scoring.services import pinned
from scoring.storage.spool import Column

FloatArray = npt.NDArray[np.float64]

_AGAIN = 1_000  # records looked up at once


@dataclass(frozen=True, slots=True)
class Terms:
    """What the gains of some candidates are made of, float64 (n,) each, quantised."""

    bald: FloatArray
    surprisal: FloatArray


@dataclass(eq=False)
class Pool:
    """Candidates in the order of their ids; positions count from 0.

    Attributes:
        digest: SHA-256 over the ids, in hexadecimal.
        has_tilt: whether any candidate's share is tilted.
    """

    belief: Belief
    base_rate: float
    strategy: str
    ids: Column = field(default_factory=lambda: Column("V16"))
    weight: Column = field(default_factory=lambda: Column("<f8"))
    gain: Column = field(default_factory=lambda: Column("<f8"))
    tilt: Column = field(default_factory=lambda: Column("<f8"))
    notes: list[Column] = field(default_factory=list)
    digest: str = ""
    has_tilt: bool = False

    def __len__(self) -> int:
        return len(self.ids)

    def close(self) -> None:
        for column in (self.ids, self.weight, self.gain, self.tilt, *self.notes):
            column.close()

    def ids_at(self, places: npt.NDArray[np.int64]) -> list[bytes]:
        found: list[bytes] = self.ids.at(places).tolist()
        return found

    def gain_chunks(self) -> Iterator[FloatArray]:
        return self.gain.chunks()

    def terms_at(self, places: npt.NDArray[np.int64]) -> Terms:
        """The terms of the gain at some places."""
        if not len(places):
            return Terms(np.empty(0), np.empty(0))
        notes = np.column_stack([column.at(places) for column in self.notes])
        gained = self._gain(notes, self.weight.at(places))
        return Terms(quantise(gained.bald), quantise(gained.surprisal))

    def _gain(self, notes: FloatArray, weight: FloatArray) -> InformationGain:
        mean, variance = self.belief.moments(notes)
        return gain_strategy(self.strategy)(mean, variance, base_rate=self.base_rate, weight=weight)

    def settle(self) -> None:
        """All candidates are noted: write their gains, quantised."""
        self.belief.settle(self.notes[0].chunks(), len(self), self.base_rate)
        columns = zip(*(column.chunks() for column in (self.weight, *self.notes)), strict=True)
        for weight, *notes in columns:
            self.gain.append(quantise(self._gain(np.column_stack(notes), weight).gain))


def gather(
    chunks: Iterable[Chunk],
    belief: Belief,
    *,
    scorer_version: int,
    base_rate: float,
    strategy: str,
    log_factors: Sequence[float] = (),
) -> Pool:
    """Read all candidates into a pool and settle their gains.

    Args:
        chunks: candidates with the columns that `belief` wants, then one column of 0 and 1 per
            tilted segment.
        scorer_version: the round's; candidates that another version scored are scored again.
        log_factors: of the tilted segments; a candidate of several has the largest.
    """
    pool = Pool(belief, base_rate, strategy, has_tilt=bool(log_factors))
    pool.notes = [Column("<f8") for _ in range(belief.n_notes)]
    again = Column("<i8")
    try:
        _read(pool, again, chunks, scorer_version, log_factors)
        _look_again(pool, again, scorer_version)
        pool.settle()
    except BaseException:
        pool.close()
        raise
    finally:
        again.close()
    return pool


def _read(
    pool: Pool,
    again: Column,
    chunks: Iterable[Chunk],
    scorer_version: int,
    log_factors: Sequence[float],
) -> None:
    """One pass over the candidates; `again` gets the places of those to be looked up."""
    digest, belief = hashlib.sha256(), pool.belief
    n_columns = len(belief.wanted.columns)
    for chunk in chunks:
        digest.update(b"".join(chunk.ids))
        anew = np.flatnonzero((chunk.scorer_version != scorer_version) | chunk.is_wide)
        again.append(anew + len(pool))
        if log_factors:
            marks = chunk.table[:, n_columns:] > 0
            pool.tilt.append(np.where(marks, np.array(log_factors), 0.0).max(axis=1))
            chunk = replace(chunk, table=chunk.table[:, :n_columns])
        for column, notes in zip(pool.notes, belief.notes_of_chunk(chunk).T, strict=True):
            column.append(notes)
        pool.weight.append(chunk.weight)
        pool.ids.append(np.array(chunk.ids, dtype="V16"))
    pool.digest = digest.hexdigest()


def _look_again(pool: Pool, again: Column, scorer_version: int) -> None:
    """Note anew what the scan could not tell: another version's scores, wide fingerprints."""
    for start in range(0, len(again), _AGAIN):
        places = again.read(start, min(_AGAIN, len(again) - start)).astype(np.int64)
        at = dict(zip(pool.ids_at(places), places.tolist(), strict=True))
        rows = pinned.pin(scorer_version, pinned.stored(UUID(bytes=one) for one in at))
        if not rows:
            continue  # gone since: what the scan told stands
        rows.sort(key=lambda row: row.record_id)
        noted = np.array([at[row.record_id.bytes] for row in rows])
        for column, notes in zip(pool.notes, pool.belief.notes_of_records(rows).T, strict=True):
            column.put(noted, notes)
