import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, stats
from scipy.special import expit

from scoring.core.information_gain import (
    STRATEGIES,
    bald_closed_form,
    bald_quadrature,
    cold_start_gain,
    gain_strategy,
    probit_probability,
    verdict_surprisal,
)
from scoring.core.score_prior import score_prior

MEAN, SD = (grid.ravel() for grid in np.meshgrid(np.linspace(-8, 8, 33), np.linspace(0, 5, 21)))


def entropy(p):
    return 0.0 if p in (0.0, 1.0) else float(stats.bernoulli(p).entropy())


def integrated_bald(mean, sd):
    """H(E σ) - E H(σ) straight from the definition, by adaptive integration."""
    low, high = mean - 12 * sd, mean + 12 * sd
    density = stats.norm(mean, sd).pdf
    p, _ = integrate.quad(lambda f: expit(f) * density(f), low, high, limit=400)
    inner, _ = integrate.quad(lambda f: entropy(expit(f)) * density(f), low, high, limit=400)
    return entropy(p) - inner


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 0.3), (-3.0, 2.0), (4.0, 5.0), (-8.0, 1.0)])
def test_quadrature_agrees_with_integration(mean, sd):
    value = bald_quadrature(np.array([mean]), np.array([sd**2]))[0]
    assert value == pytest.approx(integrated_bald(mean, sd), abs=2e-4)


def test_quadrature_is_converged_on_the_grid():
    fine = bald_quadrature(MEAN, SD**2, n_nodes=180)
    coarse = bald_quadrature(MEAN, SD**2)
    assert np.abs(fine - coarse).max() <= 2e-4
    assert coarse.min() >= 0.0
    assert coarse.max() <= np.log(2)


def test_closed_form_stays_near_and_keeps_the_order():
    exact, closed = bald_quadrature(MEAN, SD**2, n_nodes=180), bald_closed_form(MEAN, SD**2)
    assert np.abs(exact - closed).max() <= 0.026
    assert stats.spearmanr(exact, closed).statistic >= 0.998
    assert closed.min() >= 0.0


def test_certainty_teaches_nothing():
    mean = np.array([-30.0, -1.0, 0.0, 5.0])
    assert bald_quadrature(mean, np.zeros(4)) == pytest.approx(np.zeros(4), abs=1e-12)
    assert bald_closed_form(mean, np.zeros(4)) == pytest.approx(np.zeros(4), abs=5e-3)


@settings(max_examples=80, deadline=None)
@given(mean=st.floats(-1e3, 1e3), sd=st.floats(0, 1e3))
def test_any_moments_give_finite_terms_and_symmetry(mean, sd):
    pair, variance = np.array([mean, -mean]), np.full(2, sd**2)
    for bald in (bald_quadrature(pair, variance), bald_closed_form(pair, variance)):
        assert np.isfinite(bald).all()
        assert (bald >= 0).all()
        assert bald[0] == pytest.approx(bald[1], abs=1e-9)


@settings(max_examples=80, deadline=None)
@given(p=st.floats(0.01, 0.99), rate=st.floats(0.01, 0.99))
def test_surprisal_is_entropy_plus_divergence_from_the_base_rate(p, rate):
    divergence = p * np.log2(p / rate) + (1 - p) * np.log2((1 - p) / (1 - rate))
    expected = entropy(p) / np.log(2) + divergence
    assert verdict_surprisal(np.array([p]), base_rate=rate)[0] == pytest.approx(expected)


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, np.nan])
def test_impossible_base_rates_are_refused(rate):
    with pytest.raises(ValueError, match="base_rate"):
        verdict_surprisal(np.array([0.5]), base_rate=rate)
    with pytest.raises(ValueError, match="base_rate"):
        cold_start_gain(np.array([0.5]), base_rate=rate)


def test_released_strategies_never_change():
    """These numbers are stored with rounds: a change needs a new name, not a new number."""
    mean, variance = np.array([-2.0, 0.5]), np.array([1.0, 4.0])
    released = {
        "uniform_v1": [1.0, 1.0],
        "bald_v1": [0.05416448, 0.22727262],
        "hybrid_v1": [0.23776301, 0.85666991],
        "hybrid_fast_v1": [0.23419584, 0.87746965],
        "surprisal_v1": [0.73439409, 2.51758916],
    }
    assert set(released) == set(STRATEGIES)
    for name, expected in released.items():
        gain = gain_strategy(name)(mean, variance, base_rate=0.05).gain
        np.testing.assert_allclose(gain, expected, rtol=1e-6, err_msg=name)


def test_hybrid_is_the_weighted_sum_of_the_terms_it_shows():
    result = gain_strategy("hybrid_v1")(MEAN, SD**2, base_rate=0.02)
    np.testing.assert_allclose(result.gain, result.bald + 0.25 * result.surprisal)
    np.testing.assert_allclose(result.bald, bald_quadrature(MEAN, SD**2))
    np.testing.assert_allclose(result.probability, probit_probability(MEAN, SD**2), atol=0.02)


@pytest.mark.parametrize("base_rate", [0.05, 0.6, 0.99])
def test_likelier_violations_surprise_more_even_where_most_records_violate(base_rate):
    surprisal = gain_strategy("hybrid_v1")(
        np.linspace(-6, 6, 40), np.ones(40), base_rate=base_rate
    ).surprisal
    assert (np.diff(surprisal) > 0).all()


def test_context_multiplies_the_gain_and_never_lowers_it():
    rule = gain_strategy("hybrid_v1")
    plain = rule(MEAN, SD**2, base_rate=0.1)
    weight = np.linspace(1, 3, MEAN.size)
    np.testing.assert_allclose(
        rule(MEAN, SD**2, base_rate=0.1, weight=weight).gain, plain.gain * weight
    )
    with pytest.raises(ValueError, match="at least 1"):
        rule(MEAN, SD**2, base_rate=0.1, weight=np.full(MEAN.size, 0.9))


def test_unknown_strategy_names_the_known_ones():
    with pytest.raises(ValueError, match="hybrid_v1"):
        gain_strategy("hybrid_v0")
    with pytest.raises(dataclasses.FrozenInstanceError):
        gain_strategy("hybrid_v1").surprisal_weight = 2.0


def test_cold_start_prefers_high_scores_and_hits_the_base_rate_at_its_quantile():
    score = np.random.default_rng(1).beta(1, 3, 5000)
    gain = cold_start_gain(score, base_rate=0.05).gain
    assert stats.spearmanr(gain, score).statistic == pytest.approx(1.0)
    prior = score_prior(score, base_rate=0.05)
    mean, _ = prior.moments(np.array([np.quantile(score, 0.95)]))
    assert expit(mean[0]) == pytest.approx(0.05)


@pytest.mark.parametrize("score", [np.full(4, 0.7), np.full(4, np.nan), np.array([])])
def test_cold_start_without_an_informative_score_is_constant(score):
    gain = cold_start_gain(score, base_rate=0.05).gain
    assert gain.shape == score.shape
    assert np.isfinite(gain).all()
    assert np.unique(gain).size <= 1


def test_cold_start_leaves_single_missing_scores_to_the_sampler():
    gain = cold_start_gain(np.array([0.1, np.nan, 0.9]), base_rate=0.05).gain
    assert np.isnan(gain).tolist() == [False, True, False]


def test_cold_start_in_chunks_needs_the_reference_of_the_pool():
    score = np.random.default_rng(1).random(100)
    whole = cold_start_gain(score, base_rate=0.1).gain
    chunk = cold_start_gain(score[:10], base_rate=0.1, reference=score).gain
    np.testing.assert_allclose(chunk, whole[:10])
