"""Proxy gaps: silent where the score is right, loud where a segment differs, honest about few."""

import numpy as np
import pytest
from scipy import stats

from scoring.core.proxy_gap import _p_values, expected_by_bin, holm, proxy_gaps


def world(rng, n=600, *, rate=0.05, planted=0.0):
    """Rare violations, weights as of an importance sample, ten segments in two fields."""
    p = np.clip(rng.beta(1.0, 1.0 / rate - 1.0, n), 1e-3, 0.9)
    inclusion = np.clip(4.0 * p, 0.05, 1.0)
    taken = rng.random(n) < inclusion
    region = rng.integers(0, 6, n)
    plan = rng.integers(0, 4, n)
    truth = np.where(region == 2, np.minimum(1.0, p + planted), p)
    labels = (rng.random(n) < truth).astype(float)
    segments = {"region": [f"r{k}" for k in region[taken]], "plan": [f"p{k}" for k in plan[taken]]}
    return p[taken], labels[taken], 1.0 / inclusion[taken], segments


def test_a_right_score_is_seldom_flagged():
    """Family-wise: any flag at all, among some ten segments, in at most about 5 % of 150 worlds."""
    rng = np.random.default_rng(7)
    flagged = overall = 0
    for _ in range(150):
        found = proxy_gaps(*world(rng, 800), rng=rng, n_simulations=600)
        assert found.n_tested >= 8
        flagged += any(gap.is_flagged for gap in found.segments)
        overall += found.overall.is_flagged
    assert flagged <= 15  # 5 % is 7.5; 16 or more has probability .004
    assert overall <= 15


def test_a_calibration_fitted_on_other_labels_is_not_blamed_for_its_noise():
    """The level of the stated probabilities is itself an estimate from 100 labels."""
    rng = np.random.default_rng(8)
    n_worlds, blamed, named = 60, 0, 0
    for _ in range(n_worlds):
        rate = rng.binomial(100, 0.2) / 100
        stated = np.full(400, min(max(rate, 0.01), 0.99))
        labels = (rng.random(400) < 0.2).astype(float)
        segments = {"half": ["a", "b"] * 200}
        blind = proxy_gaps(stated, labels, np.ones(400), segments, rng=rng, n_simulations=400)
        aware = proxy_gaps(
            stated,
            labels,
            np.ones(400),
            segments,
            rng=rng,
            n_simulations=400,
            stated_effective_size=100.0,
        )
        blamed += blind.overall.is_flagged
        named += aware.overall.is_flagged or any(gap.is_flagged for gap in aware.segments)
    assert blamed > 12
    assert named <= 8


def test_a_planted_gap_is_found_where_it_is_and_nowhere_else():
    rng = np.random.default_rng(9)
    found = proxy_gaps(*world(rng, 4000, planted=0.15), rng=rng)
    first = found.segments[0]
    assert (first.field, first.value) == ("region", "r2")
    assert first.is_flagged
    assert first.gap == pytest.approx(0.15, abs=0.06)
    assert first.low > first.stated
    assert [gap for gap in found.segments[1:] if gap.is_flagged and gap.field == "region"] == []


def test_a_score_that_sees_too_much_has_a_gap_below_nought():
    rng = np.random.default_rng(10)
    labels = (rng.random(500) < 0.05).astype(float)
    found = proxy_gaps(np.full(500, 0.4), labels, np.ones(500), {"f": ["a", "b"] * 250}, rng=rng)
    assert found.overall.is_flagged
    assert found.overall.gap < -0.3
    assert all(gap.is_flagged for gap in found.segments)


def test_no_violation_in_a_small_segment_is_no_certain_gap():
    """A normal law of the residuals would call this one certain: they hardly vary."""
    rng = np.random.default_rng(11)
    stated = np.full(60, 0.02)
    segments = {"f": ["a"] * 30 + ["b"] * 30}
    found = proxy_gaps(stated, np.zeros(60), np.ones(60), segments, rng=rng)
    assert not any(gap.is_flagged for gap in found.segments)
    assert all(gap.p_value > 0.5 for gap in found.segments)


def test_p_values_are_those_of_the_binomial_where_all_is_equal():
    rng = np.random.default_rng(12)
    for hits in (0, 2, 9, 14):
        labels = np.repeat([1.0, 0.0], [hits, 40 - hits])
        p = np.full(40, 0.2)
        (found,) = _p_values(p, labels, np.full(40, 3.0), [np.ones(40, bool)], rng, None, 10_000)
        law = stats.binom(40, 0.2)
        exact = min(1.0, 2 * min(law.cdf(hits), law.sf(hits - 1)))
        assert found == pytest.approx(exact, abs=4 * np.sqrt(exact / 10_000) + 3e-4)


def test_few_labels_are_not_tested_and_say_so():
    rng = np.random.default_rng(13)
    segments = {"f": ["a"] * 40 + ["b"] * 5, "alone": ["x"] * 45}
    found = proxy_gaps(np.full(45, 0.1), np.zeros(45), np.ones(45), segments, rng=rng)
    small = next(gap for gap in found.segments if gap.value == "b")
    assert (small.p_value, small.is_flagged) == (None, False)
    assert "at least 20" in small.reason
    assert found.segments[-1] is small
    assert {gap.field for gap in found.segments} == {"f"}
    heavy = np.array([1e6, *([1.0] * 39)])
    lopsided = proxy_gaps(np.full(40, 0.1), np.zeros(40), heavy, {}, rng=rng)
    assert "carry all the weight" in lopsided.overall.reason


def test_weights_decide_what_a_segment_is_worth():
    labels = np.repeat([1.0, 0.0], [30, 30])
    weights = np.repeat([1.0, 9.0], [30, 30])
    rng = np.random.default_rng(14)
    found = proxy_gaps(np.full(60, 0.1), labels, weights, {}, rng=rng).overall
    assert found.observed == pytest.approx(0.1)
    assert found.gap == pytest.approx(0.0, abs=1e-12)
    assert not found.is_flagged


def test_expected_rates_are_those_of_records_that_score_alike():
    score = np.repeat([0.1, 0.5, 0.9], 100)
    labels = np.concatenate([np.zeros(100), np.repeat([1.0, 0.0], [20, 80]), np.ones(100)])
    told = expected_by_bin(score, labels, np.ones(300), n_bins=3)
    assert told[[0, 150, 299]] == pytest.approx([0.0, 0.2, 1.0])
    assert expected_by_bin(np.zeros(300), labels, np.ones(300)) == pytest.approx(np.full(300, 0.4))
    weights = np.where(labels == 1.0, 1.0, 4.0)
    weighted = expected_by_bin(np.zeros(300), labels, weights)
    assert weighted[0] == pytest.approx(120 / (120 + 4 * 180))


def test_holm_is_as_in_the_paper():
    assert holm({1: 0.01, 2: 0.04, 3: 0.03}) == pytest.approx({1: 0.03, 3: 0.06, 2: 0.06})
    assert holm({}) == {}


@pytest.mark.parametrize(
    ("stated", "labels", "weights", "segments"),
    [
        ([], [], [], {}),
        ([0.1], [0.5], [1.0], {}),
        ([1.1], [1.0], [1.0], {}),
        ([0.1], [1.0], [0.0], {}),
        ([0.1], [1.0], [1.0], {"f": []}),
    ],
)
def test_what_cannot_be_is_refused(stated, labels, weights, segments):
    with pytest.raises(ValueError, match=r"vectors|lie in|above 0|one value"):
        proxy_gaps(
            np.array(stated), np.array(labels), np.array(weights), segments,
            rng=np.random.default_rng(0),
        )  # fmt: skip
