import dataclasses
import itertools
import math
import uuid

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import stats
from scipy.special import logsumexp, softmax

from scoring.core.randomness import keyed_uniforms
from scoring.core.sampling import (
    OrderSampler,
    floored_order_sample,
    median_gain,
    prefix_inclusion,
    quantise,
)

IDS = [uuid.UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128).bytes
       for number in range(3000)]  # fmt: skip


def naive_draw(gains, uniforms, budget, tau, floor, shares=None):
    """METHODS written out over a sorted list: (index, key, q) in serving order, and κ."""
    size = len(gains)
    phi = tau * gains - logsumexp(tau * gains)
    shares = np.ones(size) if shares is None else shares
    ranked = []
    for place in range(size):
        probability = min(floor * budget * shares[place] / size, 1.0)
        hazard = -math.log1p(-probability) if probability < 1 else math.inf
        e = -math.log(uniforms[place])
        key = phi[place] - math.log(e - hazard) if e > hazard else math.inf
        ranked.append((-key, e, place, hazard))
    ranked.sort()
    threshold, threshold_e = -ranked[budget][0], ranked[budget][1]
    rows = []
    for negative_key, _, place, hazard in ranked[:budget]:
        if threshold == math.inf:
            q = 1 - math.exp(-min(hazard, threshold_e))
        else:
            q = 1 - math.exp(-hazard - math.exp(min(phi[place] - threshold, 50)))
        rows.append((place, -negative_key, q))
    return rows, threshold


@pytest.mark.parametrize("floor", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("tau", [0.0, 3.0, 1e4])
@pytest.mark.parametrize("with_shares", [False, True])
def test_agrees_with_the_formula_written_out(floor, tau, with_shares):
    rng = np.random.default_rng(5)
    gains, uniforms = quantise(rng.gamma(0.5, 1.0, 200)), rng.random(200)
    shares = rng.choice([0.1, 1.0, 3.0, 40.0], 200) if with_shares else None
    draw = floored_order_sample(
        gains, uniforms, budget=20, tau=tau, floor=floor, floor_share=shares
    )
    rows, threshold = naive_draw(gains, uniforms, 20, tau, floor, shares)
    assert draw.selected.tolist() == [row[0] for row in rows]
    np.testing.assert_allclose(draw.keys, [row[1] for row in rows], rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(draw.inclusion_probabilities, [row[2] for row in rows], rtol=1e-8)
    assert draw.threshold == pytest.approx(threshold, rel=1e-9)
    np.testing.assert_allclose(
        draw.softmax_probabilities, softmax(tau * gains)[draw.selected], rtol=1e-7, atol=1e-300
    )


def test_ordered_pairs_follow_plackett_luce():
    gains, tau, rounds = np.array([0.1, 0.9, 0.4, 1.3, 0.0]), 1.7, 8_000
    p = softmax(tau * gains)
    counts = dict.fromkeys(itertools.permutations(range(5), 2), 0)
    rng = np.random.default_rng(11)
    for uniforms in rng.random((rounds, 5)):
        draw = floored_order_sample(gains, uniforms, budget=2, tau=tau, floor=0.0)
        counts[tuple(draw.selected.tolist())] += 1
    for (first, second), count in counts.items():
        expected = p[first] * p[second] / (1 - p[first])
        error = math.sqrt(expected * (1 - expected) / rounds)
        assert abs(count / rounds - expected) <= 4 * error


def test_first_draw_is_softmax_by_chi_square_with_keyed_uniforms():
    gains, tau, rounds = np.linspace(0.0, 1.0, 8), 2.0, 4_000
    firsts = [
        floored_order_sample(
            gains, keyed_uniforms(IDS[:8], seed=3, stream=number), budget=2, tau=tau, floor=0.0
        ).selected[0]
        for number in range(rounds)
    ]
    observed = np.bincount(firsts, minlength=8)
    assert stats.chisquare(observed, rounds * softmax(tau * gains)).pvalue > 1e-3


@pytest.mark.parametrize("shares", [None, np.array([1.0, 0.2, 2.0, 4.0, 0.5] * 8)])
def test_every_record_weighs_one_in_expectation(shares):
    """E[1{i in S}/q_i] = 1, and the same of a prefix; q itself is conditional on κ."""
    rng = np.random.default_rng(2)
    gains, budget, rounds = rng.gamma(1.0, 0.5, 40), 9, 2_500
    whole, prefix = np.zeros((2, 40)), np.zeros((2, 40))
    for number in range(rounds):
        uniforms = keyed_uniforms(IDS[:40], seed=b"weights", stream=number)
        draw = floored_order_sample(
            gains, uniforms, budget=budget, tau=2.0, floor=0.4, floor_share=shares
        )
        weight = 1 / draw.inclusion_probabilities
        whole[:, draw.selected] += weight, weight**2
        weight = 1 / prefix_inclusion(draw, budget - 3)
        prefix[:, draw.selected[: budget - 3]] += weight, weight**2
    for first, second in (whole / rounds, prefix / rounds):
        z = (first - 1) / np.sqrt((second - first**2) / rounds)
        assert np.abs(z).max() <= 4.0


@pytest.mark.parametrize("tau", [0.0, 4.0, 1e8])
def test_total_is_unbiased_and_its_deviation_estimated(tau):
    rng = np.random.default_rng(8)
    size, budget, rounds = 1000, 60, 1500
    gains = rng.gamma(0.5, 0.5, size)
    violations = rng.random(size) < np.clip(gains / 2, 0.01, 0.6)
    totals, variances = np.empty(rounds), np.empty(rounds)
    for number, uniforms in enumerate(rng.random((rounds, size))):
        draw = floored_order_sample(gains, uniforms, budget=budget, tau=tau, floor=0.5)
        q, y = draw.inclusion_probabilities, violations[draw.selected]
        totals[number] = (y / q).sum()
        variances[number] = ((1 - q) * y / q**2).sum()
    error = totals.std(ddof=1) / math.sqrt(rounds)
    assert abs(totals.mean() - violations.sum()) <= 3.5 * error
    assert math.sqrt(variances.mean()) == pytest.approx(totals.std(ddof=1), rel=0.05)


def test_uniform_limit_is_simple_random_sampling():
    rng = np.random.default_rng(4)
    uniforms = rng.random(500)
    draw = floored_order_sample(rng.random(500), uniforms, budget=50, tau=0.0, floor=0.3)
    assert set(draw.selected.tolist()) == set(np.argsort(-uniforms)[:50].tolist())
    assert np.ptp(draw.inclusion_probabilities) < 1e-12


def test_greedy_limit_takes_the_largest_gains():
    rng = np.random.default_rng(4)
    gains = rng.permutation(500).astype(float)
    draw = floored_order_sample(gains, rng.random(500), budget=50, tau=1e6, floor=0.0)
    assert draw.selected.tolist() == np.argsort(-gains)[:50].tolist()


@pytest.mark.parametrize("tau", [0.0, 5.0, 1e6])
def test_floor_holds_while_the_threshold_is_finite(tau):
    rng = np.random.default_rng(6)
    for uniforms in rng.random((200, 1000)):
        draw = floored_order_sample(rng.random(1000), uniforms, budget=30, tau=tau, floor=0.2)
        assert draw.inclusion_probabilities.min() >= 0.2 * 30 / 1000 * (1 - 1e-12)
        assert not draw.floor_overflow


def test_more_floor_hits_than_budget_is_flagged_and_cut_by_the_exponential():
    uniforms = np.append(np.linspace(0.9991, 0.9999, 9), np.full(91, 0.5))
    draw = floored_order_sample(np.zeros(100), uniforms, budget=4, tau=1.0, floor=0.5)
    assert draw.floor_overflow
    assert draw.selected.tolist() == [8, 7, 6, 5]
    np.testing.assert_allclose(draw.inclusion_probabilities, 1 - uniforms[4], rtol=1e-9)
    assert (draw.inclusion_probabilities < 0.5 * 4 / 100).all()


@pytest.mark.parametrize("budget", [5, 6, 100])
def test_budget_beyond_the_pool_is_a_census(budget):
    draw = floored_order_sample(
        np.arange(5.0), np.linspace(0.1, 0.9, 5), budget=budget, tau=2.0, floor=1.0
    )
    assert sorted(draw.selected.tolist()) == [0, 1, 2, 3, 4]
    assert (draw.inclusion_probabilities == 1.0).all()
    assert draw.threshold == -math.inf
    assert math.isnan(draw.threshold_exponential)


def test_empty_pool_and_empty_budget_give_empty_draws():
    empty = np.empty(0)
    draw = floored_order_sample(empty, empty, budget=3, tau=1.0, floor=0.1)
    assert draw.selected.size == draw.inclusion_probabilities.size == 0
    assert math.isnan(draw.log_normalizer)
    draw = floored_order_sample(np.ones(3), np.full(3, 0.5), budget=0, tau=1.0, floor=0.1)
    assert draw.selected.size == 0
    assert math.isfinite(draw.threshold)


def test_unusable_gains_take_the_median_and_are_flagged():
    gains = np.array([0.0, 1.0, 5.0, np.nan, np.inf, -np.inf])
    uniforms = np.array([0.5, 0.6, 0.7, 0.8, 0.9, 0.95])
    draw = floored_order_sample(gains, uniforms, budget=6, tau=1.0, floor=0.1)
    assert draw.n_imputed == 3
    assert draw.imputed_gain == 1.0
    assert sorted(draw.selected[draw.imputed].tolist()) == [3, 4, 5]
    filled = np.array([0.0, 1.0, 5.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(draw.softmax_probabilities, softmax(filled)[draw.selected])
    assert median_gain(np.array([np.nan])) == 0.0


def assert_same(first, second, *, order=None):
    for field in dataclasses.fields(first):
        left, right = getattr(first, field.name), getattr(second, field.name)
        if field.name == "selected" and order is not None:
            left = order[left]
        np.testing.assert_array_equal(left, right, err_msg=field.name)


@pytest.mark.parametrize("repeated_uniforms", [False, True])
def test_shuffled_records_give_the_same_draw_to_the_last_bit(repeated_uniforms):
    rng = np.random.default_rng(7)
    ids = IDS[:3000]
    gains = np.round(rng.gamma(0.5, 1.0, 3000), 2)
    gains[::50] = np.nan
    uniforms = keyed_uniforms(ids, seed=1, stream=1)
    if repeated_uniforms:  # ties of key and uniform: only the id is left to decide
        uniforms = np.round(uniforms, 2).clip(0.01, 0.99)
    shares = rng.choice([0.5, 2.0], 3000)
    options = {"budget": 100, "tau": 5.0, "floor": 0.2}
    straight = floored_order_sample(gains, uniforms, floor_share=shares, ids=ids, **options)
    order = rng.permutation(3000)
    shuffled = floored_order_sample(
        gains[order],
        uniforms[order],
        floor_share=shares[order],
        ids=[ids[place] for place in order],
        **options,
    )
    assert_same(shuffled, straight, order=order)


def test_noise_of_another_blas_changes_nothing():
    rng = np.random.default_rng(7)
    gains, uniforms = quantise(rng.random(3000)), rng.random(3000)
    noisy = gains * (1 + rng.uniform(-1e-14, 1e-14, 3000))
    options = {"budget": 100, "tau": 20.0, "floor": 0.2}
    assert_same(
        floored_order_sample(gains, uniforms, **options),
        floored_order_sample(noisy, uniforms, **options),
    )


@pytest.mark.parametrize("chunk", [1, 7, 999, 100_000])
def test_streamed_chunks_give_the_same_draw_to_the_last_bit(chunk):
    rng = np.random.default_rng(9)
    size = 100_000 if chunk > 900 else 2000
    gains, uniforms = rng.gamma(0.5, 1.0, size), rng.random(size)
    gains[3] = np.nan
    options = {"budget": 50, "tau": 3.0, "floor": 0.3}
    sampler = OrderSampler(n_candidates=size, imputed_gain=median_gain(gains), **options)
    for start in range(0, size, chunk):
        sampler.push(gains[start : start + chunk], uniforms[start : start + chunk])
    assert_same(sampler.close(), floored_order_sample(gains, uniforms, **options))


def test_prefix_equals_a_smaller_draw_of_the_same_keys():
    """Without a floor the keys do not depend on the budget, so both must agree exactly."""
    rng = np.random.default_rng(10)
    gains, uniforms = rng.random(300), rng.random(300)
    draw = floored_order_sample(gains, uniforms, budget=40, tau=4.0, floor=0.0)
    for finished in (0, 1, 17, 40):
        smaller = floored_order_sample(gains, uniforms, budget=finished, tau=4.0, floor=0.0)
        assert (prefix_inclusion(draw, finished) == smaller.inclusion_probabilities).all()
    with pytest.raises(ValueError, match="n_finished"):
        prefix_inclusion(draw, 41)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_pool_gives_a_sound_draw(data):
    size = data.draw(st.integers(0, 30))
    gains = data.draw(hnp.arrays(float, size, elements=st.floats(allow_nan=True, width=32)))
    uniforms = data.draw(
        hnp.arrays(float, size, elements=st.floats(2.0**-54, 1 - 2.0**-53, exclude_min=False))
    )
    shares = data.draw(hnp.arrays(float, size, elements=st.floats(1e-6, 100)))
    budget = data.draw(st.integers(0, 35))
    tau = data.draw(st.one_of(st.just(0.0), st.floats(1e-9, 1e9)))
    floor = data.draw(st.floats(0, 1))
    draw = floored_order_sample(
        gains, uniforms, budget=budget, tau=tau, floor=floor, floor_share=shares
    )
    assert draw.selected.size == np.unique(draw.selected).size == min(budget, size)
    q = draw.inclusion_probabilities
    assert ((q >= 0) & (q <= 1)).all()
    assert (np.diff(draw.keys[np.isfinite(draw.keys)]) <= 0).all()
    assert (draw.keys >= draw.threshold).all()
    if not draw.floor_overflow:
        assert (q >= np.minimum(1, floor * min(budget, size) / max(size, 1)
                                * shares[draw.selected]) * (1 - 1e-9)).all()  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": -1}, "negative"),
        ({"tau": math.nan}, "tau"),
        ({"tau": -1.0}, "tau"),
        ({"floor": 1.1}, "floor"),
        ({"uniforms": np.array([0.0, 0.5])}, "uniforms"),
        ({"uniforms": np.array([0.5])}, "equal lengths"),
        ({"floor_share": np.array([1.0, 0.0])}, "floor_share"),
    ],
)
def test_refuses_what_it_cannot_draw_from(change, message):
    arguments = {
        "gains": np.ones(2), "uniforms": np.full(2, 0.5), "budget": 1, "tau": 1.0, "floor": 0.1
    } | change  # fmt: skip
    with pytest.raises(ValueError, match=message):
        floored_order_sample(**arguments)


def test_close_misses_no_candidate():
    sampler = OrderSampler(n_candidates=3, budget=1, tau=1.0, floor=0.1)
    sampler.push(np.ones(2), np.full(2, 0.5))
    with pytest.raises(ValueError, match="2 of 3"):
        sampler.close()
