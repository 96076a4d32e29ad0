"""The inverse temperature τ that spreads a softmax over a wanted number of records."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from scoring.core.sampling import quantise

FloatArray = NDArray[np.float64]

TAU_LIMIT = 1e9
_EXACT_TOP = 1 << 17
_BULK_BINS = 1 << 16
_GREEDY_GAP = 40.0  # exp(-40): lower gains get no visible share


class GainHistogram:
    """The histogram that τ is solved from, of gains that come in chunks: `look` at all of them,
    then `add` all of them again.

    Up to 2¹⁸ finite gains it holds each distinct one; beyond, the bulk below the top 2¹⁷ only to
    a bin, as `tau_for_effective_sample_size` itself does. O(1) memory.
    """

    def __init__(self) -> None:
        self._top = np.empty(0)
        self._n_looked = 0
        self._low = math.inf
        self._cut = math.nan
        self._width = 1.0
        self._bins = np.zeros(_BULK_BINS + 1)
        self._parts: list[tuple[FloatArray, FloatArray]] = []
        self._n_held = 0

    def look(self, gains: FloatArray) -> None:
        """See the next gains, to settle where the bins lie."""
        values = quantise(gains[np.isfinite(gains)])
        if values.size == 0:
            return
        self._n_looked += values.size
        self._low = min(self._low, float(values.min()))
        self._top = np.concatenate([self._top, values])
        if self._top.size > 2 * _EXACT_TOP:
            split = self._top.size - _EXACT_TOP
            self._top = np.partition(self._top, split)[split:]

    def add(self, gains: FloatArray, counts: FloatArray | None = None) -> None:
        """Count the next gains; ``counts`` (n,) > 0 as in `tau_for_effective_sample_size`."""
        if math.isnan(self._cut):
            self._settle()
        finite = np.isfinite(gains)
        values = quantise(gains[finite])
        repeats = np.ones_like(values) if counts is None else np.asarray(counts[finite], float)
        bulk = values < self._cut
        if bulk.any():
            places = ((values[bulk] - self._low) / self._width).astype(np.intp)
            self._bins += np.bincount(places, weights=repeats[bulk], minlength=_BULK_BINS + 1)
        if not bulk.all():
            self._parts.append(_distinct(values[~bulk], repeats[~bulk]))
            self._n_held += self._parts[-1][0].size
            if self._n_held > 4 * _EXACT_TOP:
                self._merge()

    def tau(self, target: float) -> float:
        """The τ that `tau_for_effective_sample_size` finds for what was added."""
        self._merge()
        used = np.flatnonzero(self._bins)
        values: FloatArray = self._low + (used.astype(np.float64) + 0.5) * self._width
        counts: FloatArray = self._bins[used]
        for top, repeats in self._parts:
            values, counts = np.append(values, top), np.append(counts, repeats)
        return tau_for_effective_sample_size(values, target, counts=counts)

    def _settle(self) -> None:
        self._cut, self._width = -math.inf, 1.0
        if self._n_looked > 2 * _EXACT_TOP:
            split = self._top.size - _EXACT_TOP
            self._cut = float(np.partition(self._top, split)[split])
            self._width = (self._cut - self._low) / _BULK_BINS or 1.0
        self._top = np.empty(0)

    def _merge(self) -> None:
        if math.isnan(self._cut):
            self._settle()
        if len(self._parts) > 1:
            values, counts = (
                np.concatenate([part[side] for part in self._parts]) for side in (0, 1)
            )
            self._parts = [_distinct(values, counts)]
        self._n_held = sum(part[0].size for part in self._parts)


def effective_sample_size(
    gains: FloatArray, tau: float, *, counts: FloatArray | None = None
) -> float:
    """``1/Σp²`` of ``p = softmax(τ·gain)``, between 1 and N; ``counts`` weighs repeated gains."""
    weights = np.exp(tau * (gains - gains.max()))
    repeats = np.ones_like(weights) if counts is None else counts
    return float((repeats @ weights) ** 2 / (repeats @ weights**2))


def tau_for_effective_sample_size(
    gains: FloatArray, target: float, *, counts: FloatArray | None = None
) -> float:
    """Solve ``1/Σ softmax(τ·gain)² = target`` for τ.

    Units of information gain drift as the posterior learns, so a fixed τ turns silently uniform
    or greedy; a fixed effective sample size (METHODS: twice the budget) does not.

    Parameters
    ----------
    gains : float64 (n,)
        Expected information gain; quantised first, values that are not finite are left out.
    target : float
        Wanted effective number of records.
    counts : float64 (n,), > 0, optional
        Number of records at each gain, when the gains come as a histogram; or ``1/m`` for records
        of local multiplicity m, so that near-duplicates count once.

    Returns
    -------
    float
        τ in [0, 1e9]. The function falls from N (τ = 0) to the number of records at the maximum,
        so a target of N or more and constant gains give 0, and a target at or below that number
        gives the greedy limit, where lower gains keep less than ``exp(-40)``.

    Raises
    ------
    ValueError
        If the target is NaN.
    """
    if math.isnan(target):
        raise ValueError("target must be a number")
    finite = np.isfinite(gains)
    values = quantise(gains[finite])
    repeats = np.ones_like(values) if counts is None else np.asarray(counts[finite], float)
    if values.size == 0 or target >= repeats.sum() or values.min() == values.max():
        return 0.0
    values, repeats = _histogram(values, repeats)
    top = values[-1]
    gap = float(top - values[values < top].max())
    greedy = min(TAU_LIMIT, _GREEDY_GAP / gap)

    def excess(log_tau: float) -> float:
        size = effective_sample_size(values, math.exp(log_tau), counts=repeats)
        return math.log(size / max(target, 1.0))

    spread = float(top - values[0])
    low, high = math.log(1e-9 / spread), math.log(greedy)
    if excess(high) >= 0.0:
        return greedy
    if excess(low) <= 0.0:
        return 0.0
    # Nine digits are more than a temperature needs and hide the order of the sums.
    return float(f"{math.exp(float(brentq(excess, low, high, xtol=1e-11, rtol=1e-11))):.9g}")


def _histogram(values: FloatArray, repeats: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Distinct gains, ascending, with their counts; the bulk below the top 2¹⁷ only to a bin.

    Distinct gains are sorted, so that sums do not follow the order of the records. Gains far below
    the top share little of the softmax, so their bins may be coarse.
    """
    if values.size <= 2 * _EXACT_TOP:
        return _distinct(values, repeats)
    split = values.size - _EXACT_TOP
    cut = np.partition(values, split)[split]
    bulk = values < cut
    low = values[bulk].min(initial=cut)
    width = (cut - low) / _BULK_BINS or 1.0
    bins = ((values[bulk] - low) / width).astype(np.intp)
    counts = np.bincount(bins, weights=repeats[bulk])
    used = np.flatnonzero(counts)
    top, top_counts = _distinct(values[~bulk], repeats[~bulk])
    return np.append(low + (used + 0.5) * width, top), np.append(counts[used], top_counts)


def _distinct(values: FloatArray, repeats: FloatArray) -> tuple[FloatArray, FloatArray]:
    distinct, inverse = np.unique(values, return_inverse=True)
    counts: FloatArray = np.bincount(inverse, weights=repeats).astype(np.float64)
    return distinct, counts
