"""Verdict-rate drift: intervals against statsmodels, error rate under weighted designs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.stats.proportion import proportion_confint

from scoring.core.drift.contract import DriftError
from scoring.core.drift.rates import (
    Rate,
    difference_interval,
    rate_drift_p,
    rate_effect,
    weighted_rate,
)


def test_interval_is_clopper_pearson_at_whole_counts():
    for count, n in ((0, 30), (3, 30), (30, 30)):
        expected = proportion_confint(count, n, alpha=0.1, method="beta")
        assert Rate(count / n, n).interval(0.1) == pytest.approx(expected, abs=1e-12)


def test_equal_weights_give_the_plain_rate_and_nearly_n():
    y = np.array([1.0] * 40 + [0.0] * 160)
    rate = weighted_rate(y, np.full(200, 3.0))
    assert rate.value == pytest.approx(0.2)
    assert 190 < rate.n_effective <= 200
    assert weighted_rate(y, np.full(200, 9.0)) == pytest.approx(rate)


def test_agreeing_verdicts_rest_on_kish():
    rate = weighted_rate(np.zeros(3), np.array([1.0, 1.0, 2.0]))
    assert (rate.value, rate.n_effective) == (0.0, pytest.approx(16 / 6))


def weighted_draw(rng, prevalence, n, tilt):
    """Verdicts of a design that prefers likely violations, with Hájek weights."""
    population = rng.uniform(size=20 * n) < prevalence
    q = np.where(population, tilt, 1.0) * rng.uniform(0.5, 1.5, size=20 * n)
    q *= n / q.sum()
    drawn = rng.uniform(size=20 * n) < q
    return population[drawn].astype(float), 1 / q[drawn]


def test_false_alarms_and_power_under_two_different_designs():
    """The reference prefers violations, the window does not; 400 runs each."""
    rng = np.random.default_rng(1)
    alarms = {0.10: 0, 0.25: 0}
    for after in alarms:
        for _ in range(400):
            reference = weighted_rate(*weighted_draw(rng, 0.10, 250, 3.0))
            window = weighted_rate(*weighted_draw(rng, after, 250, 1.0))
            alarms[after] += rate_drift_p(reference, window) <= 0.05
    assert alarms[0.10] / 400 <= 0.08
    assert alarms[0.25] / 400 >= 0.9


@settings(deadline=None)
@given(
    st.floats(0, 1), st.floats(0, 1), st.floats(5, 500), st.floats(5, 500), st.floats(0.001, 0.5)
)
def test_p_value_is_the_level_at_which_the_interval_touches_zero(p0, p1, n0, n1, alpha):
    reference, window = Rate(p0, n0), Rate(p1, n1)
    low, high = difference_interval(reference, window, alpha)
    p = rate_drift_p(reference, window)
    assert low <= p1 - p0 <= high
    assert p == pytest.approx(rate_drift_p(window, reference))
    if abs(p / alpha - 1) > 1e-3:
        assert (p < alpha) == (not low <= 0 <= high)


def test_effect_names_the_direction():
    effect = rate_effect(Rate(0.1, 50), Rate(0.04, 50))
    assert (effect.direction, effect.size) == ("down", pytest.approx(-6.0))


@pytest.mark.parametrize(
    ("y", "weight"),
    [([], []), ([1.0], [0.0]), ([2.0], [1.0]), ([1.0, 0.0], [1.0]), ([1.0], [np.inf])],
)
def test_malformed_verdicts_are_refused(y, weight):
    with pytest.raises(DriftError):
        weighted_rate(np.array(y), np.array(weight))
