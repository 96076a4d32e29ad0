"""Version 1 of ranking a value in a baseline kept as at most 1,024 knots. Frozen: see `__init__`.

A baseline of n values is stored as some of its distinct values with the number of baseline values
below, and not above, each. Up to 1,024 distinct values the ranks are exact; beyond that the 128
smallest and largest stay exact, since thresholds live in the tails, and the middle is
interpolated with an error of at most n/767 ranks.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MAX_KNOTS = 1024
TAIL_KNOTS = 128
HIGH, LOW, BOTH = "high", "low", "both"
DIRECTIONS = (HIGH, LOW, BOTH)


@dataclass(frozen=True, eq=False)
class Knots:
    """A compact empirical distribution.

    n: number of baseline values, >= 1.
    values: float64 (k,), strictly increasing and finite, 1 <= k <= 1024.
    below: float64 (k,), baseline values strictly below each knot.
    upto: float64 (k,), baseline values at or below each knot.
    """

    n: int
    values: NDArray[np.float64]
    below: NDArray[np.float64]
    upto: NDArray[np.float64]


def build_knots(values: NDArray[np.float64]) -> Knots:
    """Compress finite baseline values, float64 (n,), n >= 1, into knots.

    Raises ValueError where there are none, or one is not finite.
    """
    if values.size == 0 or not np.isfinite(values).all():
        raise ValueError("a baseline needs at least one value, and all of them finite")
    ordered = np.sort(values)
    distinct, first = np.unique(ordered, return_index=True)
    upto = np.append(first[1:], ordered.size)
    if distinct.size > MAX_KNOTS:
        # By rank, not by value: an atom with more than n/767 values is always met.
        n_middle = MAX_KNOTS - 2 * TAIL_KNOTS
        ranks = np.linspace(0, ordered.size - 1, n_middle).astype(np.int64)
        middle = np.searchsorted(distinct, ordered[ranks])
        ends = np.arange(TAIL_KNOTS)
        keep = np.unique(np.concatenate([ends, middle, distinct.size - 1 - ends]))
    else:
        keep = np.arange(distinct.size)
    return Knots(
        n=int(ordered.size),
        values=distinct[keep],
        below=first[keep].astype(np.float64),
        upto=upto[keep].astype(np.float64),
    )


def counts(knots: Knots, x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Baseline values strictly below x, and at or below x: two float64 (n_records,) in [0, n].

    NaN gives NaN; an infinity lies beyond all.
    """
    last = knots.values.size - 1
    right = np.searchsorted(knots.values, x, side="right")
    left = np.maximum(right - 1, 0)  # at most `last`, since `right` is at most one beyond
    following = np.minimum(right, last)
    at = knots.values[left] == x
    gap = np.where(following > left, knots.values[following] - knots.values[left], 1.0)
    with np.errstate(invalid="ignore"):  # inf - inf, outside the knots, replaced below
        share = (x - knots.values[left]) / gap
    between = knots.upto[left] + share * (knots.below[following] - knots.upto[left])
    between = np.where(right == 0, 0.0, np.where(right > last, float(knots.n), between))
    below = np.where(at, knots.below[left], between)
    upto = np.where(at, knots.upto[left], between)
    missing = np.isnan(x)
    below[missing] = np.nan
    upto[missing] = np.nan
    return below, upto


def anomaly_rank(knots: Knots, x: NDArray[np.float64], direction: str) -> NDArray[np.float64]:
    """1 - p of x against the baseline: float64 (n_records,) in [0, n/(n+1)], NaN for NaN.

    For `high` p = (1 + #{baseline >= x}) / (n + 1), for `low` likewise with <=, for `both`
    p = min(1, 2·min(p_high, p_low)). A constant baseline gives its own value 0.

    Source: Bates et al., Testing for Outliers with Conformal p-values, Annals of Statistics 2023.
    """
    below, upto = counts(knots, x)
    if direction == HIGH:
        return below / (knots.n + 1)
    above = knots.n - upto
    if direction == LOW:
        return above / (knots.n + 1)
    nearer = np.maximum(below, above)  # the smaller p belongs to the larger count
    return np.maximum(0.0, 1.0 - 2.0 * (knots.n + 1 - nearer) / (knots.n + 1))
