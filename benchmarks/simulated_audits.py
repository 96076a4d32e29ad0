"""Designs without a model that spend a budget of verdicts on a pool with known truth."""

from collections.abc import Sequence

import numpy as np

from benchmarks.review_pools import Pool
from scoring.core.estimation.estimate import Metric
from scoring.core.estimation.intervals import clopper_pearson

Interval = tuple[float, float]

METRICS: tuple[Metric, ...] = ("prevalence", "precision", "recall", "fpr")


def uniform_audit(pool: Pool, *, budget: int, rng: np.random.Generator) -> dict[Metric, Interval]:
    """Clopper-Pearson on a uniform sample; (0, 1) where the sample holds none to count."""
    chosen = rng.choice(len(pool), budget, replace=False)
    y, flagged = pool.violation[chosen], pool.flagged[chosen]
    counts: dict[Metric, tuple[float, float]] = {
        "prevalence": (y.sum(), y.size),
        "precision": (y[flagged].sum(), flagged.sum()),
        "recall": (y[flagged].sum(), y.sum()),
        "fpr": ((1 - y)[flagged].sum(), (1 - y).sum()),
    }
    return {metric: clopper_pearson(float(x), float(n)) for metric, (x, n) in counts.items()}


def stratified_audit(
    pool: Pool, *, budget: int, rng: np.random.Generator
) -> dict[Metric, Interval]:
    """All flagged records, and the rest of the budget uniformly over the others."""
    flagged, y = pool.flagged, pool.violation
    others = np.flatnonzero(~flagged)
    n = budget - int(flagged.sum())
    chosen = rng.choice(others, n, replace=False)
    a, n_flagged = float(y[flagged].sum()), float(flagged.sum())
    limits = clopper_pearson(float(y[chosen].sum()), float(n))
    low, high = (share * others.size for share in limits)

    def ordered(values: Sequence[float]) -> Interval:
        return min(values), max(values)

    return {
        "prevalence": ((a + low) / flagged.size, (a + high) / flagged.size),
        "precision": (a / n_flagged, a / n_flagged),
        "recall": ordered([a / (a + b) if a + b else 1.0 for b in (low, high)]),
        "fpr": ordered([(n_flagged - a) / (flagged.size - a - b) for b in (low, high)]),
    }
