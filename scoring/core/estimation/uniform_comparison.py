"""What an hour of review buys: the same figure had the verdicts been drawn uniformly."""

from collections.abc import Sequence

from scoring.core.estimation.estimate import Estimate, Metric
from scoring.core.estimation.intervals import clopper_pearson
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import FLAGGED, Window

UNIFORM_METHOD = "uniform-clopper-pearson-v1"


def uniform_at_equal_budget(estimate: Estimate, *, base: float) -> Estimate:
    """What the same number of verdicts, drawn uniformly, would say if the value were true.

    Parameters
    ----------
    estimate : Estimate
        From `estimate_rate`.
    base : float, in [0, 1]
        Share of all records that the rate is taken over: 1 for prevalence, the flagged share for
        precision, the prevalence for recall and fnr, one minus it for fpr (see `rate_base`).

    Returns
    -------
    Estimate
        Clopper-Pearson at the expected counts; null where the given estimate is.
    """
    if not 0.0 <= base <= 1.0:
        raise ValueError("base must lie in [0, 1]")
    value, low, high, size = estimate.value, None, None, None
    if value is not None:
        size = estimate.n_verdicts * base
        low, high = clopper_pearson(value * size, size, level=estimate.level)
    return Estimate(
        metric=estimate.metric,
        value=value,
        low=low,
        high=high,
        level=estimate.level,
        n_verdicts=estimate.n_verdicts,
        n_records=estimate.n_records,
        effective_sample_size=size,
        method=UNIFORM_METHOD,
        assumptions=("The interval expected of uniformly drawn records at the same budget.",),
        reason=estimate.reason,
        effective_positives=None if value is None or size is None else value * size,
    )


def rate_base(windows: Sequence[Window], metric: Metric) -> float:
    """Share of the segment's records that the rate is taken over, in [0, 1]."""
    n_records = sum(sum(w.domain_sizes) for w in windows)
    if metric == "prevalence" or n_records == 0:
        return 1.0
    if metric == "precision":
        return sum(w.domain_sizes[FLAGGED] for w in windows) / n_records
    prevalence = estimate_rate(windows, "prevalence").value or 0.0
    return 1.0 - prevalence if metric == "fpr" else prevalence
