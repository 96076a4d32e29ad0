import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import softmax

from scoring.core.temperature import (
    TAU_LIMIT,
    effective_sample_size,
    tau_for_effective_sample_size,
)


def skewed_gains(size=4000, seed=0):
    return np.random.default_rng(seed).gamma(0.5, 0.3, size)


@pytest.mark.parametrize("target", [1.5, 40.0, 1000.0, 3999.0])
def test_reaches_the_wanted_effective_sample_size(target):
    gains = skewed_gains()
    tau = tau_for_effective_sample_size(gains, target)
    assert 1 / (softmax(tau * gains) ** 2).sum() == pytest.approx(target, rel=1e-4)


@settings(max_examples=60, deadline=None)
@given(scale=st.floats(1e-3, 1e3), shift=st.floats(-10, 10), target=st.floats(2.0, 3000.0))
def test_unit_and_origin_of_the_gain_do_not_matter(scale, shift, target):
    gains = skewed_gains()
    tau = tau_for_effective_sample_size(gains, target)
    moved = tau_for_effective_sample_size(gains * scale + shift, target)
    assert moved * scale == pytest.approx(tau, rel=1e-3)


def test_degenerate_pools():
    assert tau_for_effective_sample_size(np.full(10, 0.3), 2.0) == 0.0
    assert tau_for_effective_sample_size(np.array([]), 2.0) == 0.0
    assert tau_for_effective_sample_size(np.arange(10.0), 10.0) == 0.0
    assert tau_for_effective_sample_size(np.arange(10.0), 1e9) == 0.0
    assert tau_for_effective_sample_size(np.array([np.nan, np.nan]), 1.0) == 0.0
    with pytest.raises(ValueError, match="number"):
        tau_for_effective_sample_size(np.arange(10.0), math.nan)


@pytest.mark.parametrize("target", [0.2, 1.0, 3.0])
def test_target_within_the_ties_of_the_maximum_is_the_greedy_limit(target):
    gains = np.array([0.1, 0.5, 0.5, 0.5, 0.4])
    tau = tau_for_effective_sample_size(gains, target)
    assert 0 < tau <= TAU_LIMIT
    assert softmax(tau * gains)[[0, 4]].max() < 1e-15


def test_missing_gains_and_order_leave_no_trace():
    gains = skewed_gains()
    order = np.random.default_rng(1).permutation(gains.size)
    with_gaps = np.insert(gains[order], 5, [np.nan, np.inf])
    assert tau_for_effective_sample_size(with_gaps, 77.0) == tau_for_effective_sample_size(
        gains, 77.0
    )


def test_counts_stand_for_repeated_gains():
    values, counts = np.array([0.1, 0.7, 1.9]), np.array([50.0, 7.0, 2.0])
    spelled_out = np.repeat(values, counts.astype(int))
    assert tau_for_effective_sample_size(values, 9.0, counts=counts) == pytest.approx(
        tau_for_effective_sample_size(spelled_out, 9.0)
    )
    assert effective_sample_size(values, 1.3, counts=counts) == pytest.approx(
        effective_sample_size(spelled_out, 1.3)
    )


def test_large_pools_are_binned_without_losing_the_target():
    gains = skewed_gains(size=400_000)
    tau = tau_for_effective_sample_size(gains, 2000.0)
    assert effective_sample_size(gains, tau) == pytest.approx(2000.0, rel=1e-4)
    tau = tau_for_effective_sample_size(gains, 300_000.0)
    assert effective_sample_size(gains, tau) == pytest.approx(300_000.0, rel=1e-3)
