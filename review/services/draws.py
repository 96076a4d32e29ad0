"""One draw: from candidates to a sample with its probabilities, in bounded memory.

A round and its verification both come through here, so that they cannot differ. What tilts a
record's share (its near-duplicates, a segment that drifts) depends on the candidates alone and
enters the gain before the keys are made, so every probability stays exact.
"""

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from review.beliefs.moments import Belief
from review.services.pool import Pool, Terms, gather
from scoring.columns import SEGMENT, Column
from scoring.core import randomness, sampling
from scoring.core.near_duplicates import discount_near_duplicates
from scoring.core.temperature import GainHistogram
from scoring.core.tilting import tilted_gains
from scoring.models import Window
from scoring.selectors import candidates, likeness

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

DEFAULT_BASE_RATE = 0.05
LEAST_GAIN = 0.0  # that of a record which teaches nothing
SHORTLIST = 1 << 16  # candidates of the highest gains, among which near-duplicates are looked for


@dataclass(frozen=True, slots=True)
class Design:
    """What decides a draw besides its candidates.

    Attributes:
        seed: with the stratum and a record's id it gives the record's random number.
        tau: None to set it by effective sample size.
        effective_size: that size in budgets, where τ is not pinned.
        least_gain: no discount of near-duplicates goes below it. Estimates take every candidate's
            share of the softmax to be at least that of gain 0 (review/estimates/drawn.py).
        shifts: segments with a larger share: name, value, model_version and factor of each.
    """

    seed: bytes
    stratum: str
    budget: int
    tau: float | None
    effective_size: float
    floor: float
    strategy: str
    base_rate: float
    scorer_version: int
    project: int
    least_gain: float = LEAST_GAIN
    shifts: Sequence[Mapping[str, Any]] = ()

    @property
    def marks(self) -> tuple[Column, ...]:
        return tuple(
            Column(SEGMENT, shift["name"], shift["value"], shift["model_version"])
            for shift in self.shifts
        )


@dataclass(frozen=True, slots=True)
class Drawn:
    """A draw, and what is kept of each selected record.

    Attributes:
        ids: k record ids of 16 bytes, in serving order.
        gains: float64 (k,), quantised, as the keys were made from them.
        terms: what the gains are made of, before tilts.
        multiplicity: float64 (k,), >= 1, how many candidates each practically equals.
        boost: float64 (k,), factor of the segments that drift.
        digest: SHA-256 of the candidates' ids.
    """

    draw: sampling.Draw
    ids: Sequence[bytes]
    gains: FloatArray
    terms: Terms
    multiplicity: FloatArray
    boost: FloatArray
    digest: str


def wanted_by(belief: Belief, design: Design) -> candidates.Wanted:
    """What is read of each candidate: what the belief rests on, and the marks of shifts."""
    return replace(belief.wanted, columns=(*belief.wanted.columns, *design.marks))


def draw(chunks: Iterable[candidates.Chunk], belief: Belief, design: Design) -> Drawn:
    """Draw a sample by floored order sampling over softmax(τ·gain).

    Args:
        chunks: all candidates in the order of their ids, with what `wanted_by` names.
    """
    pool = gather(
        chunks,
        belief,
        scorer_version=design.scorer_version,
        base_rate=design.base_rate,
        strategy=design.strategy,
        log_factors=[math.log(shift["factor"]) for shift in design.shifts],
    )
    try:
        return _draw(pool, design)
    finally:
        pool.close()


def _draw(pool: Pool, design: Design) -> Drawn:
    shares = _Shares(pool, design)
    sampler = sampling.OrderSampler(
        n_candidates=len(pool),
        budget=design.budget,
        tau=shares.tau,
        floor=design.floor,
        imputed_gain=shares.imputed,
    )
    start = 0
    for ids in pool.ids.chunks():
        listed = ids.tolist()
        uniforms = randomness.keyed_uniforms(listed, seed=design.seed, stream=design.stratum)
        sampler.push(shares.gains(start, len(ids)), uniforms, ids=listed)
        start += len(ids)
    made = sampler.close()
    chosen = made.selected
    gains = np.array([float(shares.gains(int(place), 1)[0]) for place in chosen])
    return Drawn(
        draw=made,
        ids=pool.ids_at(chosen),
        gains=np.where(np.isfinite(gains), gains, shares.imputed),
        terms=pool.terms_at(chosen),
        multiplicity=shares.multiplicity_at(chosen),
        boost=np.exp(pool.tilt.at(chosen)) if pool.has_tilt else np.ones(len(chosen)),
        digest=pool.digest,
    )


class _Shares:
    """The gains that keys are made from: those of the pool, tilted; and the τ they go with."""

    def __init__(self, pool: Pool, design: Design) -> None:
        self._pool = pool
        self._places, self._multiplicity = _near_duplicates(pool, design)
        self.tau = self._tau(design) if design.tau is None else design.tau
        self._least = design.least_gain
        self._flat: float | None = None  # the gain of every candidate of a uniform round
        if self.tau == 0.0 and design.tau is None and (len(self._places) or pool.has_tilt):
            # A uniform round has tilts all the same; at τ = 0 no gain could carry them.
            self.tau, self._flat = 1.0, self._level()
        self.imputed = self._median()

    def gains(self, start: int, n: int) -> FloatArray:
        """Quantised gains of n candidates from a position on; NaN where there is none."""
        gains = self._pool.gain.read(start, n).astype(np.float64)
        if self._flat is not None:
            gains = np.full(n, self._flat)
        if self.tau == 0.0 or not (len(self._places) or self._pool.has_tilt):
            return gains
        gains = discount_near_duplicates(
            gains, self._multiplicity_of(start, n), self.tau, least_gain=self._least
        )
        if self._pool.has_tilt:
            gains = tilted_gains(gains, self._pool.tilt.read(start, n), self.tau)
        return sampling.quantise(gains)

    def _level(self) -> float:
        """So high that the largest discount still ends at the least gain."""
        if not math.isfinite(self._least):
            return 0.0
        return self._least + math.log(self._multiplicity.max(initial=1.0))

    def multiplicity_at(self, places: IntArray) -> FloatArray:
        return np.array([float(self._multiplicity_of(int(place), 1)[0]) for place in places])

    def _multiplicity_of(self, start: int, n: int) -> FloatArray:
        found = np.ones(n)
        low, high = np.searchsorted(self._places, [start, start + n])
        found[self._places[low:high] - start] = self._multiplicity[low:high]
        return found

    def _tau(self, design: Design) -> float:
        """τ at which the softmax spreads over the wanted number of distinct records."""
        if len(self._pool) == 0 or design.budget == 0:
            return 0.0
        histogram, start = GainHistogram(), 0
        for gains in self._pool.gain_chunks():
            histogram.look(gains)
        for gains in self._pool.gain_chunks():
            histogram.add(gains, 1.0 / self._multiplicity_of(start, len(gains)))
            start += len(gains)
        return histogram.tau(design.effective_size * design.budget)

    def _median(self) -> float:
        """Stands in for gains that are missing; all gains are held for it only if one is."""
        if all(np.isfinite(gains).all() for gains in self._pool.gain_chunks()):
            return 0.0
        return sampling.median_gain(np.concatenate(list(self._pool.gain_chunks())))


def _near_duplicates(pool: Pool, design: Design) -> tuple[IntArray, FloatArray]:
    """Places, ascending, of the candidates of the highest gains, and how many each equals.

    Only these can fill a round; the rest are drawn by the floor, which must see every copy.
    """
    places = _shortlist(pool)
    # Drawn from the seed under a name of its own: independent of the records' random numbers.
    digest = hashlib.sha256(b"likeness-v1" + design.seed + design.stratum.encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest, "big"))
    found = likeness.multiplicity(pool.ids_at(places), design.project, rng)
    repeated = found > 1.0
    return places[repeated], found[repeated]


def _shortlist(pool: Pool) -> IntArray:
    """Places whose gain exceeds the (SHORTLIST + 1)-th largest: the same in any chunking."""
    gains, places, cut, start = np.empty(0), np.empty(0, np.int64), -math.inf, 0
    for chunk in pool.gain_chunks():
        above = np.flatnonzero(chunk > cut)
        gains = np.concatenate([gains, chunk[above]])
        places = np.concatenate([places, above + start])
        start += len(chunk)
        if gains.size > SHORTLIST:
            split = gains.size - SHORTLIST - 1
            cut = float(np.partition(gains, split)[split])
            kept = gains > cut
            gains, places = gains[kept], places[kept]
    return places


def source(window: Window, rule: Any, belief: Belief, design: Design) -> Iterable[candidates.Chunk]:
    """The candidates of a window, with what this draw needs."""
    return candidates.stream(window, rule, wanted_by(belief, design))
