"""What keeps a dirty baseline from spoiling a detector: trimming, and scales that ignore tails."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import Detector

TRIM_SHARE = 0.10
N_TRIMS = 2
REINSTATE_SPREADS = 8.0


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


def mean_score(
    detectors: Sequence[Detector], x: NDArray[np.float32]
) -> Callable[[NDArray[np.float32]], NDArray[np.float64]]:
    """Mean of several detectors' squashed scores, taken back to spreads, as a function.

    x: records (n, d) that set the scales, usually those the detectors were fitted to.
    """
    scales = [fit_robust_scale(detector.score(x)) for detector in detectors]

    def score(rows: NDArray[np.float32]) -> NDArray[np.float64]:
        total = np.zeros(len(rows))
        for detector, scale in zip(detectors, scales, strict=True):
            total += scale.squashed(detector.score(rows))
        mean = total / len(detectors)
        spreads: NDArray[np.float64] = np.sign(mean) * np.expm1(np.abs(mean))
        return spreads

    return score


def trimmed(
    x: NDArray[np.float32],
    score_with: Callable[
        [NDArray[np.float32]], Callable[[NDArray[np.float32]], NDArray[np.float64]]
    ],
    *,
    minimum: int = 50,
) -> NDArray[np.float32]:
    """The baseline (n, d) without what does not belong to it, its order kept.

    Twice, fit and drop the most anomalous 10 %; then fit to that core and take back all records
    within 8 spreads of its median. The trims alone cost a clean baseline its tails: TPR at 1 %
    false positives on six public sets is .62 untrimmed, .57 trimmed, .62 with the last step. On a
    contaminated baseline it is .44, .55 and .57 (benchmarks/engine_detection.py).

    score_with: fits to records and returns a scoring function.
    Returns x itself where a core of fewer than `minimum` records would be left.

    Source: the reweighting step of Rousseeuw & Van Driessen, A Fast Algorithm for the Minimum
    Covariance Determinant Estimator, Technometrics 1999.
    """
    core = x
    for _ in range(N_TRIMS):
        keep = len(core) - int(TRIM_SHARE * len(core))
        if keep < minimum:
            return x
        order = np.argsort(score_with(core)(core), kind="stable")
        core = core[np.sort(order[:keep])]
    score = score_with(core)
    scale = fit_robust_scale(score(core))
    kept: NDArray[np.float32] = x[score(x) <= scale.median + REINSTATE_SPREADS * scale.spread]
    return kept
