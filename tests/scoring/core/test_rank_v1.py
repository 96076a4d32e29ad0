"""Ranks from knots against plain counting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.scorers.rank_v1 import MAX_KNOTS, anomaly_rank, build_knots, counts

numbers = st.floats(-1e6, 1e6).map(lambda x: round(x, 1))


def naive_rank(baseline, x, direction):
    """1 - p, straight from the definition of a conformal p-value."""
    n = len(baseline)
    p_high = (1 + np.sum(baseline >= x)) / (n + 1)
    p_low = (1 + np.sum(baseline <= x)) / (n + 1)
    p = {"high": p_high, "low": p_low, "both": min(1.0, 2 * min(p_high, p_low))}[direction]
    return 1 - p


@given(
    st.lists(numbers, min_size=1, max_size=40),
    st.lists(numbers, max_size=10),
    st.sampled_from(["high", "low", "both"]),
)
def test_exact_up_to_the_number_of_knots(baseline, queries, direction):
    queries = np.array([*queries, *baseline, np.inf, -np.inf])
    # between two neighbouring values both counts are known exactly, so nothing is interpolated
    ranks = anomaly_rank(build_knots(np.array(baseline)), queries, direction)
    expected = [naive_rank(np.array(baseline), x, direction) for x in queries]
    np.testing.assert_allclose(ranks, expected, atol=1e-12)


@pytest.mark.parametrize("direction", ["high", "low", "both"])
def test_close_in_the_middle_and_exact_in_the_tails(direction):
    rng = np.random.default_rng(3)
    baseline = np.round(rng.standard_cauchy(20_000), 4)
    knots = build_knots(baseline)
    assert knots.values.size <= MAX_KNOTS
    queries = np.sort(baseline)[::37]
    ranks = anomaly_rank(knots, queries, direction)
    expected = np.array([naive_rank(baseline, x, direction) for x in queries])
    assert np.abs(ranks - expected).max() <= 2 * 2 / 767
    tail = expected > 1 - 100 / 20_000
    assert tail.sum() >= 2
    np.testing.assert_allclose(ranks[tail], expected[tail], atol=1e-12)


def test_heavy_atoms_stay_exact_among_many_values():
    rng = np.random.default_rng(4)
    baseline = np.concatenate([np.full(5000, 0.25), rng.random(15_000)])
    below, upto = counts(build_knots(baseline), np.array([0.25]))
    assert below[0] == np.sum(baseline < 0.25)
    assert upto[0] == np.sum(baseline <= 0.25)


def test_constant_baseline():
    ranks = anomaly_rank(build_knots(np.full(9, 2.0)), np.array([1.0, 2.0, 3.0]), "high")
    assert ranks.tolist() == [0.0, 0.0, 0.9]


def test_missing_stays_missing_and_empty_stays_empty():
    knots = build_knots(np.arange(5.0))
    assert np.isnan(anomaly_rank(knots, np.array([np.nan]), "both")).all()
    assert anomaly_rank(knots, np.empty(0), "high").shape == (0,)


@given(st.lists(numbers, min_size=2, max_size=60), st.sampled_from(["high", "low", "both"]))
def test_ranks_do_not_depend_on_order_or_scale(values, direction):
    baseline = np.array(values)
    plain = anomaly_rank(build_knots(baseline), baseline, direction)
    turned = anomaly_rank(build_knots(baseline[::-1]), baseline, direction)
    scaled = anomaly_rank(build_knots(baseline * 8 + 64), baseline * 8 + 64, direction)
    assert plain.tolist() == turned.tolist() == scaled.tolist()


@pytest.mark.parametrize("baseline", [[], [1.0, np.nan], [np.inf]])
def test_unusable_baselines_are_refused(baseline):
    with pytest.raises(ValueError, match="baseline"):
        build_knots(np.array(baseline, np.float64))
