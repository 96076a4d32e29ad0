"""What keeps a dirty baseline from spoiling a detector: trimming, and scales that ignore tails."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TRIM_SHARE = 0.10
N_TRIMS = 2


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
        finite = np.nan_to_num(x, nan=np.nan, posinf=1e300, neginf=-1e300)
        with np.errstate(over="ignore"):
            z = np.clip((finite - self.median) / self.spread, -1e300, 1e300)
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


def trimmed(
    x: NDArray[np.float32],
    score_with: Callable[
        [NDArray[np.float32]], Callable[[NDArray[np.float32]], NDArray[np.float64]]
    ],
    *,
    minimum: int = 50,
) -> NDArray[np.float32]:
    """The baseline (n, d) without what looks anomalous in it: twice, fit and drop the top 10 %.

    score_with: fits to records and returns a scoring function.
    Stops before fewer than `minimum` records are left. The order of records is kept.
    """
    for _ in range(N_TRIMS):
        keep = len(x) - int(TRIM_SHARE * len(x))
        if keep < minimum:
            break
        scores = score_with(x)(x)
        order = np.argsort(scores, kind="stable")
        x = x[np.sort(order[:keep])]
    return x
