"""The answer to "how often?": a value, its limits, and what they rest on."""

from dataclasses import dataclass
from typing import Literal, get_args

Metric = Literal["prevalence", "precision", "recall", "fpr", "fnr"]
METRICS: tuple[Metric, ...] = get_args(Metric)

MIN_EFFECTIVE_POSITIVES = 10.0
"""Below this, approximations of the interval are not to be relied on."""


@dataclass(frozen=True)
class Estimate:
    """One figure with its interval, or an honest null with the reason.

    Attributes
    ----------
    metric : str
    value, low, high : float in [0, 1], or None
        All three are None together, and then `reason` says why.
    level : float
        Nominal coverage of ``[low, high]``.
    n_verdicts : int
        Resolved cases of the segment.
    n_records : int
        Records of the segment that the figure speaks of.
    effective_sample_size : float, or None
        Uniformly drawn records (of those the rate is taken over) that would be as precise;
        ``inf`` for a figure known exactly.
    method : str
        Versioned name of the estimator.
    assumptions : tuple of str
        What the interval rests on, one sentence each.
    reason : str, or None
        Why there is no value.
    effective_positives : float, or None
        Violations a uniform sample as precise would hold; below 10 the figure is weak.
    design_low, design_high : float, or None
        The interval before the floor's limits and unresolved cases widened it.
    """

    metric: Metric
    value: float | None
    low: float | None
    high: float | None
    level: float
    n_verdicts: int
    n_records: int
    effective_sample_size: float | None
    method: str
    assumptions: tuple[str, ...]
    reason: str | None = None
    effective_positives: float | None = None
    design_low: float | None = None
    design_high: float | None = None

    @property
    def is_weak(self) -> bool:
        """Too few effective positives to trust the approximation; grey it out."""
        positives = self.effective_positives
        return positives is not None and positives < MIN_EFFECTIVE_POSITIVES
