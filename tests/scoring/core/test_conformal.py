"""Conformal p-values by counting, and the false-alarm promise by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from scoring.core.conformal import (
    controlled_rank,
    p_values,
    rank_interval,
    records_needed,
    tier_thresholds,
)


@given(
    st.lists(st.integers(0, 9), max_size=30),
    st.lists(st.integers(0, 9), max_size=9),
)
def test_p_values_by_counting(calibration, scores):
    got = p_values(np.array(calibration, float), np.array(scores, float))
    n = len(calibration)
    expected = [(1 + sum(c >= s for c in calibration)) / (n + 1) for s in scores]
    np.testing.assert_allclose(got, expected)


def test_no_calibration_claims_nothing():
    assert p_values(np.empty(0), np.array([-1e9, 1e9])).tolist() == [1.0, 1.0]
    assert np.isnan(p_values(np.ones(3), np.array([np.nan]))).all()


@pytest.mark.parametrize(
    ("n", "rank"), [(0, 0), (298, 0), (299, 1), (500, 2), (1000, 5), (5000, 39)]
)
def test_rank_for_one_percent(n, rank):
    assert controlled_rank(n, 0.01) == rank


@given(st.integers(0, 400), st.sampled_from([0.001, 0.01, 0.05, 0.2, 0.5]))
def test_rank_is_the_largest_that_keeps_the_promise(n, rate):
    ranks = np.arange(1, n + 1)
    kept = ranks[stats.beta.cdf(rate, ranks, n + 1 - ranks) >= 0.95]
    assert controlled_rank(n, rate) == max(kept, default=0)


@pytest.mark.parametrize("rate", [0.5, 0.1, 0.05, 0.01, 0.001])
def test_records_needed_is_the_smallest_calibration(rate):
    n = records_needed(rate)
    assert controlled_rank(n, rate) == 1
    assert controlled_rank(n - 1, rate) == 0


def test_tiers_open_as_the_calibration_grows():
    tiers = tier_thresholds(1000, [0.1, 0.01, 0.001])
    assert [tier.rank is None for tier in tiers] == [False, False, True]
    assert tiers[1].p == pytest.approx(5 / 1001)
    assert "at least 2995" in tiers[2].reason
    assert tiers[2].p == 0.0


@pytest.mark.parametrize("n", [299, 500, 1000])
def test_false_alarms_stay_below_the_rate_in_95_of_100_calibrations(n):
    """Rates are exact: the false-alarm rate of uniform scores is 1 - threshold."""
    rng = np.random.default_rng(n)
    (tier,) = tier_thresholds(n, [0.01])
    calibrations = rng.random((4000, n))
    threshold = np.sort(calibrations, axis=1)[:, -tier.rank]
    kept = np.mean(1 - threshold <= 0.01)
    assert kept >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / 4000)
    # the p-value rule alarms exactly above that threshold
    scores = np.array([threshold[0] - 1e-9, threshold[0], threshold[0] + 1e-9])
    assert (p_values(calibrations[0], scores) <= tier.p).tolist() == [False, False, True]


def test_rank_interval_covers_the_true_share():
    rng = np.random.default_rng(0)
    covered = []
    for _ in range(400):
        calibration, scores = rng.random(200), np.array([0.02, 0.5, 0.9, 0.995])
        below = np.searchsorted(np.sort(calibration), scores).astype(float)
        low, high = rank_interval(200, below)
        covered.append((low <= scores) & (scores <= high))
    assert (np.mean(covered, axis=0) >= 0.93).all()


def test_rank_interval_is_clopper_pearson():
    low, high = rank_interval(50, np.array([0.0, 3.0, 50.0]))
    for i, k in enumerate((0, 3, 50)):
        interval = stats.binomtest(k, 50).proportion_ci(0.95, method="exact")
        assert low[i] == pytest.approx(interval.low, abs=1e-7)
        assert high[i] == pytest.approx(interval.high, abs=1e-7)
