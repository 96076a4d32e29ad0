"""The review loop on a pool with known truth: score, draw, look up the verdict, learn, repeat.

Nothing here sees a label before its record was drawn. Savings and intervals are measured on the
same rounds: `Review.windows` is what an estimator would be given after so many verdicts.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.review_pools import PRIOR_BASE_RATE, Pool
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
from scoring.core.near_duplicates import discount_near_duplicates
from scoring.core.posterior import fit_posterior, prior_posterior
from scoring.core.queue_profiles import QueueProfile, round_budget
from scoring.core.sampling import Draw, floored_order_sample, quantise
from scoring.core.temperature import tau_for_effective_sample_size

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PRIOR_RECORDS = 20.0
# Rounds grow with what is known, as one more refit teaches less and less.
ROUNDS_PER_DOUBLING = 20


@dataclass(frozen=True, eq=False)
class Review:
    """What was reviewed, in the order it was served, and the rounds it came in."""

    order: IntArray
    taken: tuple[Window, ...]
    n_records: int
    domain_sizes: tuple[int, int]
    rounds: tuple[Round, ...]

    def windows(self, n_verdicts: int) -> list[Window]:
        """Strata taken whole, and the rounds up to the one that reaches so many verdicts."""
        sizes = np.cumsum([one.size for one in self.rounds])
        left = n_verdicts - sum(window.n_records for window in self.taken)
        n_rounds = int(np.searchsorted(sizes, left)) + 1
        return [
            *self.taken,
            Window(self.n_records, self.domain_sizes, self.rounds[:n_rounds]),
        ]


def review(
    pool: Pool,
    profile: QueueProfile,
    *,
    rng: np.random.Generator,
    until: Callable[[IntArray], bool],
    budget: int | None = None,
    per_round: int | None = None,
) -> Review:
    """Review round by round until ``until(order)`` or the budget or the pool is exhausted.

    Rounds have `round_budget` verdicts or ``per_round``.
    """
    y, flagged, prior = pool.violation, pool.flagged, pool.feature_map.prior()
    left, order, taken = np.ones(len(pool), dtype=bool), np.empty(0, dtype=np.int64), ()
    if profile.census and flagged.any():
        order = np.flatnonzero(flagged)
        order = order[np.argsort(-pool.raw[order], kind="stable")]
        left[order] = False
        taken = (census(y[order], np.full(order.size, FLAGGED)),)
    n_records = int(left.sum())
    domain_sizes = int((left & ~flagged).sum()), int((left & flagged).sum())
    rule, rounds, base_rate = gain_strategy(profile.strategy), [], PRIOR_BASE_RATE
    limit = len(pool) if budget is None else budget
    while left.any() and order.size < limit and not until(order):
        count = per_round or max(round_budget(len(pool)), order.size // ROUNDS_PER_DOUBLING)
        count = min(count, limit - order.size)
        posterior = prior_posterior(prior)
        if order.size:
            posterior = fit_posterior(pool.features[order], y[order], prior)
        places = np.flatnonzero(left)
        gain = rule(*posterior.moments(pool.features[places]), base_rate=base_rate)
        multiplicity = pool.multiplicity[places]
        tau = tau_for_effective_sample_size(
            gain.gain, profile.size_in_budgets * count, counts=1.0 / multiplicity
        )
        gains = discount_near_duplicates(
            gain.gain, multiplicity, tau, least_gain=float(gain.gain.min())
        )
        draw = floored_order_sample(
            gains,
            np.maximum(rng.random(places.size), 2.0**-54),
            budget=count,
            tau=tau,
            floor=profile.floor_of_round(is_taught=order.size > 0),
        )
        rounds.append(round_of(draw, gains, gain.probability, y[places], flagged[places]))
        chosen = places[draw.selected]
        order = np.append(order, chosen)
        left[chosen] = False
        expected = float(y[order].sum()) + float(gain.probability.sum())
        base_rate = (expected + PRIOR_RECORDS * PRIOR_BASE_RATE) / (
            len(pool) + count + PRIOR_RECORDS
        )
    return Review(order, taken, n_records, domain_sizes, tuple(rounds))


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
        if not candidates.any():
            hazards.append(0.0)
            continue
        inside = candidates[chosen]
        least = float(quantise(gains[candidates]).min())
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
