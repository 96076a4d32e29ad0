"""Designs that spend a budget of verdicts on a pool with known truth."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.review_loop import PRIOR_BASE_RATE, PRIOR_RECORDS, Pool
from scoring.core.estimation.estimate import Metric
from scoring.core.estimation.intervals import clopper_pearson
from scoring.core.estimation.rounds import (
    FLAGGED,
    UNFLAGGED,
    Round,
    Window,
    census,
    floor_testimony,
    make_round,
)
from scoring.core.information_gain import gain_strategy
from scoring.core.posterior import fit_posterior, prior_posterior
from scoring.core.sampling import Draw, floored_order_sample, quantise
from scoring.core.temperature import tau_for_effective_sample_size

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
Interval = tuple[float, float]

METRICS: tuple[Metric, ...] = ("prevalence", "precision", "recall", "fpr")


@dataclass(frozen=True)
class AuditProfile:
    """A queue's setting; with ``census`` the flagged records are a stratum taken with certainty."""

    name: str
    floor: float
    size_in_budgets: float
    census: bool
    strategy: str = "hybrid_fast_v1"


PROFILES = (
    AuditProfile("discover", floor=0.2, size_in_budgets=2.0, census=False),
    AuditProfile("measure", floor=0.3, size_in_budgets=6.0, census=True),
)


@dataclass(frozen=True, eq=False)
class AuditPool:
    """A pool and the detector's fixed flags on it."""

    pool: Pool
    flagged: BoolArray

    def truth(self, metric: Metric) -> float:
        """The rate when every label is known."""
        y, flagged = self.pool.violation, self.flagged
        return {
            "prevalence": float(y.mean()),
            "precision": float(y[flagged].mean()),
            "recall": float(y[flagged].sum() / y.sum()),
            "fpr": float((1 - y)[flagged].sum() / (1 - y).sum()),
        }[metric]


def informed_audit(
    audit: AuditPool,
    profile: AuditProfile,
    *,
    budget: int,
    per_round: int,
    rng: np.random.Generator,
) -> list[Window]:
    """Rounds of floored order sampling; the model learns between them and predicts the next."""
    pool, flagged = audit.pool, audit.flagged
    size, y = flagged.size, pool.violation
    left, labelled, rounds = np.ones(size, dtype=bool), np.empty(0, dtype=np.int64), []
    strata: list[Window] = []
    if profile.census:
        labelled = np.flatnonzero(flagged)
        left[labelled] = False
        strata.append(census(y[labelled], np.full(labelled.size, FLAGGED)))
    domain_sizes = int((left & ~flagged).sum()), int((left & flagged).sum())
    n_records = int(left.sum())
    rule, prior, base_rate = gain_strategy(profile.strategy), pool.feature_map.prior(), 0.0
    while labelled.size < budget:
        count = min(per_round, budget - labelled.size)
        posterior = prior_posterior(prior)
        if labelled.size:
            posterior = fit_posterior(pool.features[labelled], y[labelled], prior)
        places = np.flatnonzero(left)
        gain = rule(
            *posterior.moments(pool.features[places]), base_rate=base_rate or PRIOR_BASE_RATE
        )
        draw = floored_order_sample(
            gain.gain,
            np.maximum(rng.random(places.size), 2.0**-54),
            budget=count,
            tau=tau_for_effective_sample_size(gain.gain, profile.size_in_budgets * count),
            floor=profile.floor,
        )
        rounds.append(round_of(draw, gain.gain, gain.probability, y[places], flagged[places]))
        chosen = places[draw.selected]
        labelled = np.append(labelled, chosen)
        left[chosen] = False
        expected = float(y[labelled].sum()) + float(gain.probability.sum())
        base_rate = (expected + PRIOR_RECORDS * PRIOR_BASE_RATE) / (size + count + PRIOR_RECORDS)
    return [*strata, Window(n_records, domain_sizes, tuple(rounds))]


def round_of(
    draw: Draw,
    gains: FloatArray,
    predictions: FloatArray,
    labels: FloatArray,
    flagged: BoolArray,
) -> Round:
    """A finished draw as the estimators take it; other arrays are over all its candidates."""
    chosen = draw.selected
    floor_draws, hazards = np.zeros(chosen.size, dtype=bool), []
    for domain in (UNFLAGGED, FLAGGED):
        candidates = flagged == bool(domain)
        inside = candidates[chosen]
        least = float(quantise(gains[candidates]).min()) if candidates.any() else -np.inf
        floor_draws[inside], hazard = floor_testimony(
            draw.exponentials[inside],
            draw.floor_hazard,
            draw.threshold,
            draw.threshold_exponential,
            least_log_softmax=draw.tau * least - draw.log_normalizer,
        )
        hazards.append(hazard)
    return make_round(
        labels[chosen],
        draw.inclusion_probabilities,
        domain=flagged[chosen],
        predictions=predictions[chosen],
        prediction_totals=(
            float(predictions[~flagged].sum()),
            float(predictions[flagged].sum()),
        ),
        floor_draws=floor_draws,
        floor_hazards=(hazards[UNFLAGGED], hazards[FLAGGED]),
    )


def uniform_audit(
    audit: AuditPool, *, budget: int, rng: np.random.Generator
) -> dict[Metric, Interval]:
    """Clopper-Pearson on a uniform sample; (0, 1) where the sample holds none to count."""
    chosen = rng.choice(audit.flagged.size, budget, replace=False)
    y, flagged = audit.pool.violation[chosen], audit.flagged[chosen]
    counts: dict[Metric, tuple[float, float]] = {
        "prevalence": (y.sum(), y.size),
        "precision": (y[flagged].sum(), flagged.sum()),
        "recall": (y[flagged].sum(), y.sum()),
        "fpr": ((1 - y)[flagged].sum(), (1 - y).sum()),
    }
    return {metric: clopper_pearson(float(x), float(n)) for metric, (x, n) in counts.items()}


def stratified_audit(
    audit: AuditPool, *, budget: int, rng: np.random.Generator
) -> dict[Metric, Interval]:
    """All flagged records, and the rest of the budget uniformly over the others."""
    flagged, y = audit.flagged, audit.pool.violation
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
