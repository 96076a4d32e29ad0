"""Scales that ignore tails, so that a dirty baseline does not spoil a detector's."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGEST = 1e300  # what counts as infinite, and what infinities count as


@dataclass(frozen=True, slots=True)
class RobustScale:
    """median, and the distance from it to the 84th percentile: one sigma of a normal."""

    median: float
    spread: float

    def squashed(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """sign(z)·log(1 + |z|), z = (x - median)/spread; NaN stays NaN.

        The logarithm keeps one extreme detector from drowning the others; infinities count as the
        largest number.
        """
        return squash(x, self.median, self.spread)


def squash(
    x: NDArray[np.float64],
    median: float | NDArray[np.float64],
    spread: float | NDArray[np.float64],
) -> NDArray[np.float64]:
    """`RobustScale.squashed` of many scales at once.

    Args:
        x: float64 of any shape.
        median, spread: of each scale; arrays of them broadcast against `x`.
    """
    finite = np.where(np.isinf(x), np.copysign(_LARGEST, x), x)
    with np.errstate(over="ignore"):
        z = np.maximum(np.minimum((finite - median) / spread, _LARGEST), -_LARGEST)
    squashed: NDArray[np.float64] = np.sign(z) * np.log1p(np.abs(z))
    return squashed


def fit_robust_scale(x: NDArray[np.float64]) -> RobustScale:
    """Scale of finite values (n,), n >= 1.

    Where the upper half is so tied that q84 = q50, the standard deviation stands in, and 1 where
    all values are equal.
    """
    if x.size == 0 or not np.isfinite(x).all():
        raise ValueError("a scale needs at least one value, and all of them finite")
    median, upper = np.quantile(x, [0.5, 0.84])
    noise = 1e-9 * max(1e-30, float(np.abs(x).max()))
    for spread in (float(upper - median), float(x.std())):
        if spread > noise:
            return RobustScale(float(median), spread)
    return RobustScale(float(median), 1.0)
