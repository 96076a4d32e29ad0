"""Drift of the verdict rate from weighted verdicts: did the share of violations change?

Verdicts come from designs that differ from round to round, so labels cannot be shuffled between
windows; each side gets an interval valid under its own weights, and the two are combined.
"""

from dataclasses import dataclass

import numpy as np
from scipy import special, stats

from scoring.core.drift.contract import DOWN, UP, DriftError, Effect, Floats

_BISECTIONS = 60
_TINY = 1e-9  # counts below are none


@dataclass(frozen=True, slots=True)
class Rate:
    """A share of violations: value in [0, 1], worth n_effective > 0 simple random verdicts."""

    value: float
    n_effective: float

    def __post_init__(self) -> None:
        if not (0.0 <= self.value <= 1.0 and self.n_effective > 0.0):
            raise DriftError("a rate lies in [0, 1] and rests on n_effective > 0")

    def interval(self, alpha: float) -> tuple[float, float]:
        """Clopper-Pearson at x = value·n_effective, level 1 - alpha.

        Source: Korn & Graubard, Confidence Intervals for Proportions with Small Expected Number of
        Positive Counts Estimated from Survey Data, 1998.
        """
        x, n = self.value * self.n_effective, self.n_effective
        low = float(special.betaincinv(x, n - x + 1, alpha / 2)) if x > _TINY else 0.0
        high = float(special.betainccinv(x + 1, n - x, alpha / 2)) if n - x > _TINY else 1.0
        return low, high


def weighted_rate(y: Floats, weight: Floats) -> Rate:
    """Rate of weighted verdicts: Σwy/Σw, n_effective = p(1-p)/V·(1.96/t_{.975,df})².

    V = Σc with c = (w(y-p)/Σw)², df = (Σc)²/Σc². Where all verdicts agree V is 0 and
    n_effective = (Σw)²/Σw² (Kish).

    y: float64 (n,) in [0, 1].  weight: float64 (n,) > 0, inverse inclusion probabilities.
    Raises DriftError where there is no verdict or a weight is not positive and finite.
    """
    if y.shape != weight.shape or y.ndim != 1 or y.size == 0:
        raise DriftError("y and weight: the same shape (n,) expected, n >= 1")
    if not (np.isfinite(weight).all() and (weight > 0).all()):
        raise DriftError("a weight is not positive and finite")
    if not ((y >= 0) & (y <= 1)).all():
        raise DriftError("a verdict is outside [0, 1]")
    share = weight / weight.sum()
    p = float(np.clip(share @ y, 0.0, 1.0))
    kish = 1.0 / float(share @ share)
    parts = (share * (y - p)) ** 2
    variance = float(parts.sum())
    if variance <= 1e-12 * p * (1.0 - p) or p in (0.0, 1.0):
        return Rate(p, kish)
    df = variance**2 / float(np.sum(parts**2))
    shrink = (stats.norm.ppf(0.975) / stats.t.ppf(0.975, df)) ** 2
    return Rate(p, float(np.clip(p * (1.0 - p) / variance * shrink, 1e-6, y.size * y.size)))


def difference_interval(reference: Rate, window: Rate, alpha: float) -> tuple[float, float]:
    """Interval at level 1 - alpha for window - reference.

    Source: Zou & Donner, Construction of Confidence Limits about Effect Measures, 2008 (MOVER).
    """
    (low0, high0), (low1, high1) = reference.interval(alpha), window.interval(alpha)
    p0, p1 = reference.value, window.value
    change = p1 - p0
    low = change - float(np.hypot(p1 - low1, high0 - p0))
    high = change + float(np.hypot(high1 - p1, p0 - low0))
    return low, high


def rate_drift_p(reference: Rate, window: Rate) -> float:
    """Two-sided p-value: the largest alpha whose interval of the difference excludes 0 above it."""
    if reference.value == window.value:
        return 1.0
    inside, outside = 1e-12, 1.0
    for _ in range(_BISECTIONS):
        middle = float(np.sqrt(inside * outside))
        low, high = difference_interval(reference, window, middle)
        if low <= 0.0 <= high:
            inside = middle
        else:
            outside = middle
    return outside


def rate_effect(reference: Rate, window: Rate) -> Effect:
    """The change in percentage points, with its direction."""
    change = 100.0 * (window.value - reference.value)
    direction = UP if change > 0 else DOWN
    return Effect(change, "percentage points", direction, reference.value, window.value)
