"""How far a number moved between two samples, in its own unit, and what to draw of it.

A test says that something moved; these say by how much. The interval is for the number at hand
and not adjusted for having been picked among many: the p-value beside it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.drift.contract import DriftError, Floats

N_BINS = 20
N_POINTS = 16  # of a series, on either side
_Z_95 = 1.959964


@dataclass(frozen=True, slots=True)
class MeanChange:
    """Means before and after, their difference, and its 95 % interval."""

    before: float
    after: float
    change: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Histogram:
    """edges: n_bins + 1 ascending.  before, after: shares of either sample, summing to 1."""

    edges: tuple[float, ...]
    before: tuple[float, ...]
    after: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Point:
    """The mean of n consecutive records about a time (seconds since the epoch), 95 % interval."""

    at: float
    mean: float
    low: float
    high: float
    n: int


def mean_change(
    reference: Floats,
    window: Floats,
    reference_strata: NDArray[np.int64],
    window_strata: NDArray[np.int64],
) -> MeanChange:
    """Mean of the window less that of the reference brought to the window's mix of seasons.

    x̄_w - Σ_h (m_h/m) x̄_rh, with variance Σ w_i² (x_i - x̄_side)², which holds the spread between
    seasons too and so errs on the wide side. Strata that one side lacks are left out.

    reference, window: float64 (n,), (m,), finite.  strata: int64, the same lengths.
    Raises DriftError where no stratum is on both sides.
    """
    shared = np.intersect1d(reference_strata, window_strata)
    ours, theirs = np.isin(reference_strata, shared), np.isin(window_strata, shared)
    if not shared.size:
        raise DriftError("the samples have no season in common")
    x, y = reference[ours], window[theirs]
    _, inverse = np.unique(reference_strata[ours], return_inverse=True)
    n_h = np.bincount(inverse)
    m_h = np.array([np.count_nonzero(window_strata == stratum) for stratum in shared])
    weights = (m_h / m_h.sum() / n_h)[inverse]
    before, after = float(weights @ x), float(y.mean())
    variance = float((weights**2) @ (x - before) ** 2) + float(((y - after) ** 2).sum()) / y.size**2
    half = _Z_95 * float(np.sqrt(variance))
    change = after - before
    return MeanChange(before, after, change, change - half, change + half)


def histogram(reference: Floats, window: Floats) -> Histogram:
    """Both samples over the same bins; the outermost half percent falls into the end bins.

    Raises DriftError where a sample is empty.
    """
    if not reference.size or not window.size:
        raise DriftError("both samples need records")
    pooled = np.concatenate([reference, window])
    low, high = (float(edge) for edge in np.quantile(pooled, [0.005, 0.995]))
    if high <= low:
        low, high = float(pooled.min()), float(pooled.max())
    if high <= low:
        low, high = low - 0.5, low + 0.5
    edges = np.linspace(low, high, N_BINS + 1)
    before, after = (
        np.histogram(np.clip(side, low, high), edges)[0] / side.size for side in (reference, window)
    )
    return Histogram(*(tuple(float(v) for v in values) for values in (edges, before, after)))


def series(times: Floats, values: Floats) -> list[Point]:
    """Means of up to N_POINTS runs of equally many consecutive records, in order of time."""
    order = np.argsort(times, kind="stable")
    runs = np.array_split(order, min(N_POINTS, max(1, len(order) // 5)))
    points = []
    for run in runs:
        if run.size:
            mean = float(values[run].mean())
            half = _Z_95 * float(values[run].std()) / float(np.sqrt(run.size))
            at = float(np.median(times[run]))
            points.append(Point(at, mean, mean - half, mean + half, int(run.size)))
    return points
