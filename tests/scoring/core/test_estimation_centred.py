"""The plain mean that stands in where nothing predicts: by hand, mirrored, and by coverage."""

import dataclasses

import numpy as np
import pytest

from scoring.core.estimation.intervals import clopper_pearson
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import Window, floor_testimony, make_round
from scoring.core.estimation.totals import window_total
from scoring.core.estimation.tuning import centred
from scoring.core.queue_profiles import UNTAUGHT_FLOOR
from scoring.core.sampling import floored_order_sample

N_RECORDS = 2600


def first_round(rng, y, lean, *, budget=120, floor=UNTAUGHT_FLOOR, tau=2.0):
    """One informed round without predictions, as a queue's first window has it."""
    draw = floored_order_sample(lean, rng.random(y.size), budget=budget, tau=tau, floor=floor)
    hits, hazard = floor_testimony(
        draw.exponentials, draw.floor_hazard, draw.threshold, draw.threshold_exponential
    )
    one = make_round(
        y[draw.selected],
        draw.inclusion_probabilities,
        floor_draws=hits,
        floor_hazards=(hazard, hazard),
    )
    return Window(y.size, (y.size, 0), (one,))


def test_the_constant_is_the_ratio_estimate_of_the_heavy_draws():
    y, q = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.1, 0.2, 0.25, 0.9])
    window = Window(100, (100, 0), (make_round(y, q),))
    cost = (1 - q) / q**2
    rate = cost @ y / (cost.sum() + cost.max())
    (assumed,) = centred([window])
    total = window_total(assumed, 0)
    assert total.value == pytest.approx((1 / q) @ (y - rate) + 100 * rate)
    assert total.variance == pytest.approx(cost @ (y - rate) ** 2)
    assert total.variance < window_total(window, 0).variance


def test_rounds_with_predictions_and_later_pools_are_left_right():
    rng = np.random.default_rng(3)
    told = make_round(
        np.ones(4), np.full(4, 0.5), predictions=np.full(4, 0.4), prediction_totals=(8.0, 0.0)
    )
    bare = make_round(rng.integers(0, 2, 6).astype(float), np.full(6, 0.3))
    (assumed,) = centred([Window(50, (50, 0), (told, bare))])
    assert assumed.rounds[0] is told
    rate = assumed.rounds[1].predictions[0]
    assert 0.0 < rate <= 0.5
    assert assumed.rounds[1].prediction_totals == pytest.approx((46 * rate, 0.0))


def test_all_positive_answers_leave_the_lower_limit_open():
    window = Window(1000, (1000, 0), (make_round(np.ones(20), np.full(20, 0.02)),))
    estimate = estimate_rate([window], "prevalence")
    assert estimate.low < 0.86  # the rule of three: 20 draws exclude 14 % others


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
def test_a_uniform_round_is_as_wide_as_clopper_pearson(share):
    rng = np.random.default_rng(4)
    y = (np.arange(N_RECORDS) < share * N_RECORDS).astype(float)
    widths = []
    for _ in range(40):
        window = first_round(rng, y, np.zeros(y.size), tau=0.0, floor=1.0)
        estimate = estimate_rate([window], "prevalence")
        widths.append(estimate.design_high - estimate.design_low)
    low, high = clopper_pearson(share * 120, 120)
    assert np.mean(widths) == pytest.approx(high - low, rel=0.1)


def test_one_heavy_violation_is_not_one_degree_of_freedom():
    """One of sixty floor draws violates, and some that the score found."""
    labels = np.r_[np.ones(1), np.zeros(59), np.ones(10), np.zeros(50)]
    q = np.r_[np.full(60, 0.024), np.full(60, 0.7)]
    hits = np.arange(120) < 60
    hazard = -np.log1p(-0.024)
    one = make_round(labels, q, floor_draws=hits, floor_hazards=(hazard, hazard))
    estimate = estimate_rate([Window(N_RECORDS, (N_RECORDS, 0), (one,))], "prevalence")
    assert estimate.high < 0.25  # with one degree of freedom it was 0.84


@pytest.mark.parametrize("share", [0.02, 0.12, 0.5])
def test_a_first_round_covers_and_is_of_use(share):
    """A score that ranks a violation first seven times in ten, 120 verdicts, half by the floor."""
    rng = np.random.default_rng(5)
    y = (np.arange(N_RECORDS) < share * N_RECORDS).astype(float)
    lean = 0.75 * y + rng.normal(size=y.size)
    truth, n_runs, found = y.mean(), 200, []
    for _ in range(n_runs):
        estimate = estimate_rate([first_round(rng, y, lean)], "prevalence")
        found.append((estimate.low, estimate.high))
    low, high = np.array(found).T
    assert ((low <= truth) & (truth <= high)).mean() >= 0.95
    assert max((low > truth).mean(), (high < truth).mean()) <= 0.04  # neither side pays alone
    uniform = np.diff(clopper_pearson(truth * 120, 120))[0]
    # Half of the draws testify about what the score does not foresee; where that is one or two
    # violations, half the draws cost twice the width.
    assert np.median(high - low) < (2.0 if share > 0.1 else 2.5) * uniform
    assert np.mean(high - low) < (2.0 if share > 0.1 else 2.8) * uniform


def test_unanswered_cases_count_the_same_in_the_mean():
    rng = np.random.default_rng(6)
    y = (rng.random(N_RECORDS) < 0.3).astype(float)
    window = first_round(rng, y, rng.normal(size=y.size))
    labels = window.rounds[0].labels.copy()
    labels[::10] = np.nan
    gaps = dataclasses.replace(
        window, rounds=(dataclasses.replace(window.rounds[0], labels=labels),)
    )
    whole, partly = (estimate_rate([w], "prevalence") for w in (window, gaps))
    assert partly.low < whole.low
    assert partly.high > whole.high
