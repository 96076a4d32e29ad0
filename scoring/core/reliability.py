"""Can a stated probability be believed? Reliability curve, calibration error, proper scores."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.estimation.intervals import clopper_pearson

FloatArray = NDArray[np.float64]

_LEAST_PROBABILITY = 1e-12


@dataclass(frozen=True, eq=False)
class Reliability:
    """Stated against observed, in bins of equal weight, and the figures that sum it up.

    Attributes
    ----------
    stated, observed : float64 (n_bins,), in [0, 1]
        Weighted mean probability and share of violations of each bin.
    low, high : float64 (n_bins,)
        Limits of ``observed`` (Clopper-Pearson at the effective size).
    share : float64 (n_bins,)
        Of the weight; sums to 1.
    n_labels : int64 (n_bins,)
    effective_sizes : float64 (n_bins,)
        Kish, ``(Σw)²/Σw²``.
    squared_calibration_error : float
        Mean squared distance of stated and observed, less what chance alone adds: unbiased, so
        below 0 half of the time when nothing is wrong.
    expected_calibration_error : float, >= 0
        The usual mean distance, chance included: never 0, and growing with the number of bins.
    log_loss : float, nats
    brier : float, in [0, 1]
    """

    stated: FloatArray
    observed: FloatArray
    low: FloatArray
    high: FloatArray
    share: FloatArray
    n_labels: NDArray[np.int64]
    effective_sizes: FloatArray
    squared_calibration_error: float
    expected_calibration_error: float
    log_loss: float
    brier: float

    @property
    def calibration_error(self) -> float:
        """Root of the squared error, 0 when it is negative."""
        return math.sqrt(max(self.squared_calibration_error, 0.0))


def reliability(
    probabilities: FloatArray,
    labels: FloatArray,
    *,
    weights: FloatArray | None = None,
    n_bins: int = 10,
    level: float = 0.95,
) -> Reliability:
    """Compare stated probabilities with weighted verdicts they were not fitted on.

    Parameters
    ----------
    probabilities : float64 (n,), in [0, 1]
    labels : float64 (n,), in [0, 1]
    weights : float64 (n,), >= 0, optional
        Export weights, so that the curve speaks of all traffic.
    n_bins : int >= 1
        At most so many; equal probabilities stay in one bin.
    level : float
        Of the limits.

    Returns
    -------
    Reliability

    Raises
    ------
    ValueError
        Without labels, on mismatched lengths or values outside their range.

    Notes
    -----
    ``Σ share·(Δ² - v)`` with v the estimated variance of the bin's mean residual (the debiased
    estimator of Kumar, Liang, Ma, *Verified Uncertainty Calibration*, 2019, with weights). A bin
    of one label has no variance of its own and gets that of its stated probability.
    """
    p, y, w = _checked(probabilities, labels, weights)
    if n_bins < 1:
        raise ValueError("at least one bin is needed")
    places = _equal_mass_bins(p, w, n_bins)
    mass = np.bincount(places, weights=w)
    stated = np.bincount(places, weights=w * p) / mass
    observed = np.clip(np.bincount(places, weights=w * y) / mass, 0.0, 1.0)
    sizes = mass**2 / np.bincount(places, weights=w**2)
    limits = [
        clopper_pearson(float(rate * size), float(size), level=level)
        for rate, size in zip(observed, sizes, strict=True)
    ]
    gaps = observed - stated
    share = mass / mass.sum()
    clipped = np.clip(p, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    losses = -(y * np.log(clipped) + (1.0 - y) * np.log1p(-clipped))
    return Reliability(
        stated=stated,
        observed=observed,
        low=np.array([low for low, _ in limits]),
        high=np.array([high for _, high in limits]),
        share=share,
        n_labels=np.bincount(places[w > 0.0], minlength=mass.size).astype(np.int64),
        effective_sizes=sizes,
        squared_calibration_error=float(share @ (gaps**2 - _chance(p, y, w, places, gaps))),
        expected_calibration_error=float(share @ np.abs(gaps)),
        log_loss=float(np.average(losses, weights=w)),
        brier=float(np.average((p - y) ** 2, weights=w)),
    )


def _equal_mass_bins(p: FloatArray, w: FloatArray, n_bins: int) -> NDArray[np.int64]:
    """Bin of each label, 0..k-1 without gaps, by the middle of its probability's weight."""
    _, place = np.unique(p, return_inverse=True)
    mass = np.bincount(place, weights=w)
    middle = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    bins = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)
    filled = np.zeros(n_bins)
    np.add.at(filled, bins, mass)
    # A bin without weight joins the next one that has some, or else the last.
    occupied = np.flatnonzero(filled)
    target = np.minimum(np.searchsorted(occupied, bins), occupied.size - 1)
    return np.asarray(target[place], dtype=np.int64)


def _chance(
    p: FloatArray, y: FloatArray, w: FloatArray, places: NDArray[np.int64], gaps: FloatArray
) -> FloatArray:
    """Variance of each bin's weighted mean residual."""
    mass, squares = np.bincount(places, weights=w), np.bincount(places, weights=w**2)
    spread = np.bincount(places, weights=w**2 * (y - p - gaps[places]) ** 2) / mass**2
    size = mass**2 / squares
    several = size > 1.0 + 1e-9
    alone = np.bincount(places, weights=w * p * (1.0 - p)) / mass
    return np.where(several, spread * size / np.where(several, size - 1.0, 1.0), alone)


def _checked(
    probabilities: FloatArray, labels: FloatArray, weights: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    p = np.asarray(probabilities, dtype=np.float64)
    y = np.asarray(labels, dtype=np.float64)
    w = np.ones(p.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (p.shape == y.shape == w.shape) or p.ndim != 1 or not p.size:
        raise ValueError("probabilities, labels and weights must be vectors of one length")
    if not (((p >= 0.0) & (p <= 1.0)).all() and ((y >= 0.0) & (y <= 1.0)).all()):
        raise ValueError("probabilities and labels must lie in [0, 1]")
    if not (np.isfinite(w) & (w >= 0.0)).all() or not w.any():
        raise ValueError("weights must be finite, not negative and not all zero")
    return p, y, w
