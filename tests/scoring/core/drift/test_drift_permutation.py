"""Permutation statistics against naive versions, and the error rate of their joint p-values."""

import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import cdist

from scoring.core.drift import permutation


def plain_weights(n_reference, n_window):
    in_window = np.arange(n_reference + n_window) >= n_reference
    strata = np.zeros(in_window.size, np.int64)
    return permutation.contrasts(in_window[None, :], strata)


def test_kolmogorov_smirnov_equals_scipy_with_and_without_ties():
    rng = np.random.default_rng(1)
    for decimals in (8, 0):
        x, y = rng.normal(size=83).round(decimals), rng.normal(0.4, 1.3, size=57).round(decimals)
        ours = permutation.kolmogorov_smirnov(plain_weights(83, 57), np.concatenate([x, y]))
        assert ours[0] == pytest.approx(stats.ks_2samp(x, y).statistic, abs=1e-6)


def test_energy_equals_the_three_means():
    rng = np.random.default_rng(2)
    x, y = rng.normal(size=(40, 5)), rng.normal(0.3, 1.2, size=(60, 5))
    distance = permutation.euclidean(np.vstack([x, y]))
    np.testing.assert_allclose(distance, cdist(np.vstack([x, y]), np.vstack([x, y])), atol=1e-5)
    expected = 2 * cdist(x, y).mean() - cdist(x, x).mean() - cdist(y, y).mean()
    assert permutation.energy(plain_weights(40, 60), distance)[0] == pytest.approx(expected, 1e-4)


def test_contrasts_match_the_reference_to_the_windows_seasons():
    rng = np.random.default_rng(3)
    strata = rng.integers(0, 4, 300)
    in_window = rng.uniform(size=300) < 0.1 + 0.2 * strata
    in_window[strata == 3] = True  # no reference there: not comparable
    x = rng.normal(size=300)
    weights = permutation.contrasts(in_window[None, :], strata)[0]
    comparable = strata < 3
    shares = [np.mean(strata[in_window & comparable] == h) for h in range(3)]
    reference = sum(share * x[(strata == h) & ~in_window].mean() for h, share in enumerate(shares))
    assert weights @ x == pytest.approx(x[in_window & comparable].mean() - reference, abs=1e-5)
    assert (weights[strata == 3] == 0).all()
    assert weights.sum() == pytest.approx(0, abs=1e-5)


def test_shuffles_keep_the_number_of_window_records_of_every_stratum():
    rng = np.random.default_rng(4)
    strata = rng.integers(0, 5, 120)
    in_window = rng.uniform(size=120) < 0.4
    labels = permutation.shuffled_labels(in_window, strata, 50, rng)
    np.testing.assert_array_equal(labels[0], in_window)
    for h in range(5):
        assert (labels[:, strata == h].sum(axis=1) == in_window[strata == h].sum()).all()
    assert labels[1:].mean(axis=0).std() < 0.2 < in_window.std()


def naive_step_down(statistics):
    """Ge, Dudoit and Speed, Box 2, written out over standardised cube roots."""
    n_tests, n_arrangements = statistics.shape
    roots = statistics ** (1 / 3)
    z = (roots - roots.mean(axis=1)[:, None]) / roots.std(axis=1)[:, None]
    order = sorted(range(n_tests), key=lambda test: -z[test, 0])
    adjusted = np.zeros(n_tests)
    previous = 0.0
    for rank, test in enumerate(order):
        count = sum(
            max(z[other, b] for other in order[rank:]) >= z[test, 0] for b in range(n_arrangements)
        )
        previous = adjusted[test] = max(previous, count / n_arrangements)
    raw = [np.mean(row >= row[0]) for row in statistics]
    return raw, adjusted


def test_step_down_p_values_equal_the_naive_ones():
    rng = np.random.default_rng(5)
    statistics = rng.integers(0, 1000, size=(5, 60)) / 1000
    statistics[1, 0], statistics[3, 0] = 2.0, 1.01
    ours = permutation.p_values(statistics)
    for mine, naive in zip(ours, naive_step_down(statistics), strict=True):
        np.testing.assert_allclose(mine, naive, atol=1e-12)


def test_a_statistic_that_never_varies_says_nothing():
    statistics = np.vstack([np.zeros(100), np.arange(100.0)[::-1]])
    raw, adjusted = permutation.p_values(statistics)
    assert (raw[0], adjusted[0]) == (1.0, 1.0)
    assert raw[1] == adjusted[1] == 0.01


def test_family_wise_error_is_alpha_under_dependence_and_seasons():
    """20 correlated signals, strata of different means, 300 Monte Carlo runs: at most 8 %."""
    rng = np.random.default_rng(6)
    alarms = 0
    for _ in range(300):
        strata = rng.integers(0, 6, 160)
        in_window = rng.uniform(size=160) < 0.15 + 0.1 * strata  # the mix of seasons differs
        common = rng.normal(size=(160, 1)) + strata[:, None]
        x = common + rng.normal(size=(160, 20))
        labels = permutation.shuffled_labels(in_window, strata, 99, rng)
        weights = permutation.contrasts(labels, strata)
        statistics = np.stack([permutation.kolmogorov_smirnov(weights, x[:, j]) for j in range(20)])
        alarms += permutation.p_values(statistics)[1].min() <= 0.05
    assert 0.01 <= alarms / 300 <= 0.08


def test_numbers_that_are_all_the_same_never_differ():
    rng = np.random.default_rng(3)
    in_window = np.arange(437) >= 230
    labels = permutation.shuffled_labels(in_window, np.zeros(437, np.int64), 199, rng)
    weights = permutation.contrasts(labels, np.zeros(437, np.int64))
    statistics = permutation.kolmogorov_smirnov(weights, np.full(437, 0.25))
    assert (statistics == 0).all()
    raw, adjusted = permutation.p_values(statistics[None, :])
    assert raw.tolist() == adjusted.tolist() == [1.0]
