"""From candidates to the moments of their log-odds: by the score alone, or by a posterior."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from review.beliefs.space import Space
from scoring.core.posterior import Posterior
from scoring.core.score_prior import ScorePrior, score_prior
from scoring.selectors.candidates import Chunk, Wanted
from scoring.services.pinned import Pinned

FloatArray = npt.NDArray[np.float64]

MAX_REFERENCE = 1 << 20  # scores that fix the prior; more would tell no more


class Belief(Protocol):
    """What is believed of candidates. Notes are what has to be kept of each until all are seen.

    Attributes:
        wanted: what must be known of each candidate.
        n_notes: numbers kept of each.
    """

    @property
    def wanted(self) -> Wanted: ...
    @property
    def n_notes(self) -> int: ...

    def notes_of_chunk(self, chunk: Chunk) -> FloatArray:
        """float64 (n, n_notes)."""
        ...

    def notes_of_records(self, rows: Sequence[Pinned]) -> FloatArray:
        """The same, of records looked up one by one."""
        ...

    def settle(self, first_notes: Iterator[FloatArray], n: int, base_rate: float) -> None:
        """All candidates were noted: their first notes, in chunks, n in all."""
        ...

    def moments(self, notes: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the log-odds of a violation, float64 (n,) each."""
        ...


class ColdStart:
    """Before any verdict: a prior centred on the anomaly score of the candidates themselves."""

    wanted = Wanted()
    n_notes = 1

    def __init__(self) -> None:
        self._prior: ScorePrior | None = None

    def notes_of_chunk(self, chunk: Chunk) -> FloatArray:
        return chunk.score[:, None]

    def notes_of_records(self, rows: Sequence[Pinned]) -> FloatArray:
        return np.array([[row.score] for row in rows])

    def settle(self, first_notes: Iterator[FloatArray], n: int, base_rate: float) -> None:
        # Every s-th in the order of ids, hence of time: the same for whoever derives it again.
        step = -(-n // MAX_REFERENCE) or 1
        kept, seen = [np.empty(0)], 0
        for scores in first_notes:
            kept.append(scores[-seen % step :: step].copy())
            seen += len(scores)
        self._prior = score_prior(np.concatenate(kept), base_rate=base_rate)

    def moments(self, notes: FloatArray) -> tuple[FloatArray, FloatArray]:
        assert self._prior is not None
        return self._prior.moments(notes[:, 0])


@dataclass(frozen=True, eq=False)
class Learned:
    """A posterior over a space; the column of escalated records is 0 for candidates."""

    space: Space
    posterior: Posterior
    n_notes = 2

    @property
    def wanted(self) -> Wanted:
        return self.space.wanted

    def notes_of_chunk(self, chunk: Chunk) -> FloatArray:
        return np.column_stack(self.posterior.moments(self.space.of_chunk(chunk)))

    def notes_of_records(self, rows: Sequence[Pinned]) -> FloatArray:
        return np.column_stack(self.posterior.moments(self.space.of_records(rows)))

    def settle(self, first_notes: Iterator[FloatArray], n: int, base_rate: float) -> None:
        """Nothing: a posterior does not depend on the candidates."""

    def moments(self, notes: FloatArray) -> tuple[FloatArray, FloatArray]:
        return notes[:, 0], notes[:, 1]
