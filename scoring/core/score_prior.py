"""What is believed of a record before any verdict: a prior centred on its anomaly score."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

INTERCEPT_SD = 2.0
SLOPE = 1.0
SLOPE_SD = 0.5
MIN_BASE_RATE = 1e-6


@dataclass(frozen=True)
class ScorePrior:
    """Gaussian belief over the log-odds of a violation, ``f = intercept + slope · z(S)``.

    Attributes
    ----------
    location, scale : float
        Standardise the score, ``z = (S - location) / scale``; scale 0 means an uninformative
        score, and z is 0 everywhere.
    intercept : float
        Prior mean of the log-odds at ``z = 0``; its sd is 2. The slope is 1 ± 0.5 per sd.
    """

    location: float
    scale: float
    intercept: float

    def standardise(self, score: FloatArray) -> FloatArray:
        """``z(S)``, float64 (n,); NaN stays NaN unless the score is uninformative."""
        if self.scale == 0.0:
            return np.zeros(len(score))
        return np.asarray((np.asarray(score, dtype=np.float64) - self.location) / self.scale)

    def moments(self, score: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the log-odds at each score, float64 (n,) each."""
        z = self.standardise(score)
        return self.intercept + SLOPE * z, INTERCEPT_SD**2 + (SLOPE_SD * z) ** 2


def score_prior(score: FloatArray, *, base_rate: float) -> ScorePrior:
    """The prior whose probability equals the base rate at the score's ``1 - base_rate`` quantile.

    Parameters
    ----------
    score : float64 (n,), in [0, 1]
        Calibrated anomaly scores of the pool or of a reference window; NaN where missing.
    base_rate : float in (0, 1)
        Expected share of violations, ``π0``.

    Returns
    -------
    ScorePrior
        With scale 0 when all scores are equal or missing.

    Raises
    ------
    ValueError
        If the base rate lies outside (0, 1).
    """
    if not 0.0 < base_rate < 1.0:
        raise ValueError("base_rate must lie in (0, 1)")
    values = np.asarray(score, dtype=np.float64)
    values = values[np.isfinite(values)]
    rate = float(np.clip(base_rate, MIN_BASE_RATE, 1.0 - MIN_BASE_RATE))
    log_odds = float(np.log(rate) - np.log1p(-rate))
    if values.size == 0 or values.min() == values.max():
        return ScorePrior(location=0.0, scale=0.0, intercept=log_odds)
    location, scale = float(values.mean()), float(values.std())
    top = (float(np.quantile(values, 1.0 - rate)) - location) / scale
    return ScorePrior(location=location, scale=scale, intercept=log_odds - SLOPE * top)
