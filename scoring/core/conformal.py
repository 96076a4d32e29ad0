"""Conformal p-values, and thresholds whose false-alarm rate is controlled, not just estimated."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True, slots=True)
class TierThreshold:
    """One tier's bound on the p-value.

    rate: the false-alarm rate the tier promises.
    rank: alarm where the score exceeds the rank-th largest calibration score; None where the
        calibration is too small to promise anything.
    p: alarm where p <= p; 0 where rank is None.
    reason: why there is no rank, else empty.
    """

    rate: float
    rank: int | None
    p: float
    reason: str


def p_values(calibration: NDArray[np.float64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """p = (1 + #{calibration >= score}) / (n + 1), float64 in [1/(n+1), 1].

    Under exchangeability P(p <= t) <= t. NaN scores give NaN. No calibration gives 1 throughout.

    Source: Bates et al., Testing for Outliers with Conformal p-values, Annals of Statistics 2023.
    """
    ordered = np.sort(calibration)
    at_least = ordered.size - np.searchsorted(ordered, scores, side="left")
    p = (1.0 + at_least) / (ordered.size + 1.0)
    return np.where(np.isnan(scores), np.nan, p)


def controlled_rank(n: int, rate: float, confidence: float = CONFIDENCE) -> int:
    """Largest j with P(false-alarm rate <= rate) >= confidence; 0 where there is none.

    Alarming above the j-th largest of n calibration scores has a false-alarm rate of at most
    Beta(j, n+1-j) over calibrations, so j is the largest with BetaCDF(rate; j, n+1-j) >=
    confidence. rate in (0, 1).

    Source: Bates et al., Annals of Statistics 2023, section on calibration-conditional validity.
    """
    low, high = 0, n  # the distribution function decreases in j
    while low < high:
        j = (low + high + 1) // 2
        if stats.beta.cdf(rate, j, n + 1 - j) >= confidence:
            low = j
        else:
            high = j - 1
    return low


def records_needed(rate: float, confidence: float = CONFIDENCE) -> int:
    """Smallest calibration for which `controlled_rank` is 1: ln(1-confidence)/ln(1-rate)."""
    return math.ceil(math.log1p(-confidence) / math.log1p(-rate) - 1e-9)


def tier_thresholds(
    n: int, rates: Sequence[float], confidence: float = CONFIDENCE
) -> list[TierThreshold]:
    """Threshold of each tier for a calibration of n scores; rates must not increase.

    A tier whose rate n cannot support gets none, with the reason.
    """
    tiers = []
    for rate in rates:
        rank = controlled_rank(n, rate, confidence)
        needed = records_needed(rate, confidence)
        reason = "" if rank else f"{n} calibration records, at least {needed} are needed"
        tiers.append(TierThreshold(rate, rank or None, rank / (n + 1.0), reason))
    return tiers


def rank_interval(
    n: int, below: NDArray[np.float64], level: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Interval of the true share of normal records that score below a score.

    below: float64 (k,), calibration scores below it, each in [0, n].
    Returns low and high, float64 (k,) in [0, 1]: quantiles of Beta(below, n-below+1) and
    Beta(below+1, n-below), as for Clopper & Pearson's binomial interval (Biometrika 1934).
    """
    tail = (1.0 - level) / 2.0
    inner = np.clip(below, 1e-9, n - 1e-9)
    low = np.where(below <= 0, 0.0, stats.beta.ppf(tail, inner, n - inner + 1.0))
    high = np.where(below >= n, 1.0, stats.beta.ppf(1.0 - tail, inner + 1.0, n - inner))
    return low, high
