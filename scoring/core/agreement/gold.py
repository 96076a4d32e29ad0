"""What gold items say of one reviewer: Beta posteriors of sensitivity and specificity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class BetaPosterior:
    """Belief about a probability after ``hits`` and ``misses``, from Jeffreys' Beta(½, ½).

    Attributes
    ----------
    hits, misses : float >= 0
    """

    hits: float
    misses: float

    def __post_init__(self) -> None:
        if not (self.hits >= 0.0 and self.misses >= 0.0):
            raise ValueError("hits and misses must not be negative")

    @property
    def mean(self) -> float:
        return (self.hits + 0.5) / (self.hits + self.misses + 1.0)

    def interval(self, *, level: float = 0.95) -> tuple[float, float]:
        """Equal-tailed credible interval."""
        low, high = (
            stats.beta.ppf(tail, self.hits + 0.5, self.misses + 0.5)
            for tail in ((1.0 - level) / 2.0, (1.0 + level) / 2.0)
        )
        return float(low), float(high)

    def draws(self, size: int, rng: np.random.Generator) -> FloatArray:
        """Independent draws from the posterior, float64 (size,)."""
        return rng.beta(self.hits + 0.5, self.misses + 0.5, size)

    def probability_above(self, threshold: float) -> float:
        """Posterior chance that the probability exceeds ``threshold``."""
        return float(stats.beta.sf(threshold, self.hits + 0.5, self.misses + 0.5))


@dataclass(frozen=True)
class GoldAccuracy:
    """Sensitivity (violations recognised) and specificity (the rest let pass) of a reviewer."""

    sensitivity: BetaPosterior
    specificity: BetaPosterior

    def passes(self, *, least_sensitivity: float = 0.7, confidence: float = 0.9) -> bool:
        """Enough gold seen, and done well: ``P(sensitivity > 0.7) > 0.9``."""
        return self.sensitivity.probability_above(least_sensitivity) > confidence


def gold_accuracy(answers: ArrayLike, truth: ArrayLike) -> GoldAccuracy:
    """Accuracy on gold items, apart for violations and the rest.

    Parameters
    ----------
    answers : float64 (n,), 0, 1 or NaN
        The reviewer's; NaN ("unsure", skipped) does not count.
    truth : float64 (n,), 0 or 1

    Raises
    ------
    ValueError
        On other values or mismatched lengths.
    """
    said, true = np.asarray(answers, dtype=np.float64), np.asarray(truth, dtype=np.float64)
    if said.shape != true.shape or not np.isin(true, (0.0, 1.0)).all():
        raise ValueError("truth must hold 0 or 1, one per answer")
    known = ~np.isnan(said)
    if not np.isin(said[known], (0.0, 1.0)).all():
        raise ValueError("answers must be 0, 1 or NaN")

    def posterior(value: float) -> BetaPosterior:
        rows = known & (true == value)
        right = float((said[rows] == value).sum())
        return BetaPosterior(right, float(rows.sum()) - right)

    return GoldAccuracy(posterior(1.0), posterior(0.0))
