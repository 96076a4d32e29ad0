import math

import numpy as np
import pytest
from scipy.special import softmax

from scoring.core.randomness import keyed_uniforms
from scoring.core.sampling import floored_order_sample
from scoring.core.temperature import GainHistogram, tau_for_effective_sample_size
from scoring.core.tilting import tilted_gains


def test_a_factor_multiplies_the_softmax_weight():
    gains, factors = np.array([0.1, 0.4, 0.2, 0.2]), np.array([1.0, 2.0, 0.5, 4.0])
    tilted = softmax(3.0 * tilted_gains(gains, np.log(factors), 3.0))
    expected = softmax(3.0 * gains) * factors
    assert tilted == pytest.approx(expected / expected.sum(), rel=1e-12)


@pytest.mark.parametrize("tau", [0.0, -1.0, math.nan, math.inf])
def test_no_tilt_without_a_temperature(tau):
    with pytest.raises(ValueError, match="tau"):
        tilted_gains(np.zeros(2), np.zeros(2), tau)


def test_tilted_draws_stay_exact():
    """E[1{i in S}/q_i] = 1, whatever the tilt; METHODS 11.5."""
    gains = np.array([0.3, 0.1, 0.2, 0.0, 0.25])
    tilted = tilted_gains(gains, np.log([1.0, 4.0, 0.25, 2.0, 1.0]), 5.0)
    ids = [bytes([i]) * 16 for i in range(5)]
    n_rounds = 20_000
    total, squares = np.zeros(5), np.zeros(5)
    for number in range(n_rounds):
        uniforms = keyed_uniforms(ids, seed=number, stream="r")
        made = floored_order_sample(tilted, uniforms, budget=2, tau=5.0, floor=0.3, ids=ids)
        total[made.selected] += 1.0 / made.inclusion_probabilities
        squares[made.selected] += made.inclusion_probabilities**-2.0
    mean = total / n_rounds
    error = np.sqrt((squares / n_rounds - mean**2) / n_rounds)
    assert (np.abs(mean - 1.0) < 4.0 * error).all()


@pytest.mark.parametrize("n", [1, 500, 400_000])
def test_chunks_give_the_same_temperature(n):
    rng = np.random.default_rng(n)
    gains = rng.gamma(0.5, 0.3, n)
    gains[::97] = np.nan
    counts = 1.0 / rng.integers(1, 4, n)
    histogram = GainHistogram()
    for start in range(0, n, 30_000):
        histogram.look(gains[start : start + 30_000])
    for start in range(0, n, 30_000):
        part = slice(start, start + 30_000)
        histogram.add(gains[part], counts[part])
    target = 0.2 * n
    assert histogram.tau(target) == pytest.approx(
        tau_for_effective_sample_size(gains, target, counts=counts), rel=1e-8
    )


def test_ties_at_the_top_take_no_memory():
    gains = np.ones(600_000)
    gains[:10] = 0.5
    histogram = GainHistogram()
    histogram.look(gains)
    histogram.add(gains)
    assert histogram.tau(100.0) == tau_for_effective_sample_size(gains, 100.0)
