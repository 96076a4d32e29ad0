"""The percentile scorer against its definition, its invariances, and odd input."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.scorers import load_scorer
from scoring.core.scorers.cold_start_v1 import new_state
from scoring.core.scorers.contract import (
    Action,
    BaselineTooSmallError,
    InvalidBatchError,
    InvalidConfigError,
    RecordBatch,
)
from scoring.core.scorers.percentile_fit import fit_percentile
from scoring.core.state import ScorerState, from_bytes, to_bytes

CONFIG = {
    "signals": {
        "toxicity": {"direction": "high", "weight": 2.0},
        "confidence": {"direction": "low", "weight": 1.0},
        "length": {"direction": "both"},
    },
    "fingerprint_weight": 1.5,
    "context_weights": {"region": {"EU": 3.0}},
    "review_from_tier": 2,
}


def window(n=600, seed=0, model="m", d=6, scale=1.0):
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(d, d))
    return RecordBatch(
        model=model,
        n=n,
        signals={
            "toxicity": rng.exponential(size=n) * scale,
            "confidence": rng.random(n) * scale,
            "length": np.round(rng.normal(50, 9, n)) * scale,
        },
        fingerprints=(rng.normal(size=(n, d)) @ mixing * scale).astype(np.float32),
        context=[{"region": "EU" if i % 5 == 0 else "US"} for i in range(n)],
    )


def rows(batch, index):
    return dataclasses.replace(
        batch,
        n=len(index),
        signals={name: values[index] for name, values in batch.signals.items()},
        fingerprints=None if batch.fingerprints is None else batch.fingerprints[index],
        has_fingerprint=batch.has_fingerprint[index],
        context=[batch.context[i] for i in index] if batch.context else [],
    )


def load(state):
    return load_scorer("percentile", 1, state)


@pytest.fixture(scope="module")
def state():
    return fit_percentile([window()], config=CONFIG)


@pytest.fixture(scope="module")
def scorer(state):
    return load(state)


def test_matches_the_definition(scorer):
    baseline, batch = window(), window(40, seed=1)
    scored = scorer.score(batch)

    def share(mask):
        return np.sum(mask) / (baseline.n + 1)

    base = baseline.signals
    for i in range(batch.n):
        toxicity, confidence, length = (
            batch.signals[name][i] for name in ("toxicity", "confidence", "length")
        )
        above, below = share(base["length"] > length), share(base["length"] < length)
        p_both = 2 * min(1 - above, 1 - below)
        expected = {
            "toxicity": 2.0 * share(base["toxicity"] < toxicity),
            "confidence": share(base["confidence"] > confidence),
            "length": max(0.0, 1 - p_both),
        }
        for j, term in enumerate(scored.terms[:3]):
            contribution = scored.contributions[i, j]
            assert contribution == pytest.approx(expected[term.name] / 5.5, abs=1e-9)
    assert [term.kind for term in scored.terms] == ["signal"] * 3 + ["fingerprint"]


def test_fingerprint_ranks_are_uniform_on_new_records_even_in_many_dimensions():
    """In-sample distances would put nearly all of these at the top."""
    config = {"fingerprint_weight": 1.0}
    scorer = load(fit_percentile([window(400, d=150)], config=config))
    scores = scorer.score(window(2000, seed=5, d=150)).score
    assert 0.4 < np.mean(scores < 0.5) < 0.65
    assert np.mean(scores > 0.95) < 0.10


def test_a_shifted_fingerprint_scores_high(scorer):
    batch = window(50, seed=2)
    shifted = dataclasses.replace(batch, fingerprints=batch.fingerprints + np.float32(40))
    contribution = scorer.score(shifted).contributions[:, 3]
    np.testing.assert_allclose(contribution, 1.5 / 5.5 * 600 / 601, rtol=1e-9)


def test_tiers_follow_their_rates_on_new_records():
    config = {**CONFIG, "context_weights": {}}
    scored = load(fit_percentile([window(3000)], config=config)).score(window(8000, seed=3))
    for tier, rate in ((1, 0.10), (2, 0.05), (3, 0.01)):
        assert np.mean(scored.tier >= tier) == pytest.approx(rate, rel=0.35)
    assert ((scored.action == Action.REVIEW) == (scored.tier >= 2)).all()


def test_business_weight_raises_the_tier_only_where_it_applies(scorer):
    batch = window(500, seed=4)
    scored, plain = scorer.score(batch), scorer.score(dataclasses.replace(batch, context=()))
    europe = np.array([record["region"] == "EU" for record in batch.context])
    assert (scored.raw == plain.raw).all()
    assert (scored.tier[~europe] == plain.tier[~europe]).all()
    assert (scored.tier[europe] >= plain.tier[europe]).all()
    assert (scored.tier[europe] > plain.tier[europe]).any()
    i = int(np.flatnonzero(europe)[0])
    assert scored.reasons(i)[-1].kind == "context"


@given(st.integers(0, 2**32 - 1), st.integers(0, 12), st.integers(1, 6))
@settings(max_examples=40, deadline=None)
def test_contributions_and_reasons_sum_to_raw(scorer, seed, n, top):
    rng = np.random.default_rng(seed)
    batch = window(n, seed=seed)
    batch = dataclasses.replace(
        batch,
        signals={
            name: np.where(rng.random(n) < 0.4, np.nan, values)
            for name, values in batch.signals.items()
        },
        has_fingerprint=rng.random(n) < 0.6,
    )
    scored = scorer.score(batch)
    assert np.abs(scored.contributions.sum(axis=1) - scored.raw).max(initial=0) <= 1e-9
    assert ((scored.score >= 0) & (scored.score <= 1)).all()
    assert (scored.weight >= 1).all()
    for i in range(n):
        reasons = scored.reasons(i, top=top)
        assert reasons
        assert sum(reason.contribution for reason in reasons) == pytest.approx(scored.raw[i])
        if not np.isnan(scored.low[i]):
            assert 0 <= scored.low[i] <= scored.score[i] <= scored.high[i] <= 1


@given(st.permutations(range(25)))
@settings(max_examples=25, deadline=None)
def test_rows_are_scored_independently(scorer, order):
    batch = window(25, seed=6)
    scored, mixed = scorer.score(batch), scorer.score(rows(batch, np.array(order)))
    np.testing.assert_allclose(mixed.raw, scored.raw[order], atol=1e-5)  # float32 products
    one = scorer.score(rows(batch, np.array([order[0]])))
    np.testing.assert_allclose(one.raw, scored.raw[[order[0]]], atol=1e-5)


def test_fit_does_not_depend_on_how_the_window_is_cut(state):
    baseline = window()
    parts = [rows(baseline, np.arange(0, 250)), rows(baseline, np.arange(250, 600))]
    assert fit_percentile(parts, config=CONFIG).digest() == state.digest()


def test_scores_do_not_depend_on_units(scorer):
    scaled = load(fit_percentile([window(scale=64.0)], config=CONFIG))
    plain, other = scorer.score(window(80, seed=7)), scaled.score(window(80, seed=7, scale=64.0))
    np.testing.assert_allclose(plain.raw, other.raw, atol=1e-5)
    assert (plain.tier == other.tier).all()


def test_saved_and_loaded_scores_are_equal(scorer, state):
    batch = window(100, seed=8)
    again = load(from_bytes(to_bytes(state))).score(batch)
    assert (again.raw == scorer.score(batch).raw).all()
    assert (again.tier == scorer.score(batch).tier).all()


def test_weight_of_missing_signals_goes_to_the_others(scorer):
    full = window(30, seed=9)
    bare = dataclasses.replace(
        full,
        signals={"toxicity": full.signals["toxicity"]},
        fingerprints=None,
        has_fingerprint=None,
    )
    scored = scorer.score(bare)
    with_all = scorer.score(full)
    np.testing.assert_allclose(scored.raw, with_all.contributions[:, 2] * 5.5 / 2.0, atol=1e-12)
    assert scored.terms[2].name == "toxicity"
    assert (scored.contributions[:, [0, 1, 3]] == 0).all()


def test_a_record_without_anything_scores_zero_and_says_so(scorer):
    scored = scorer.score(RecordBatch(model="m", n=1))
    assert scored.raw.tolist() == [0.0]
    assert scored.tier.tolist() == [0]
    assert np.isnan(scored.low[0])
    assert "not sent" in scored.reasons(0)[0].detail


def test_a_broken_fingerprint_ranks_highest_and_is_reviewed(scorer):
    batch = window(3, seed=10)
    fingerprints = batch.fingerprints.copy()
    fingerprints[0, 0], fingerprints[1, 2] = np.nan, np.inf
    scored = scorer.score(dataclasses.replace(batch, fingerprints=fingerprints))
    np.testing.assert_allclose(scored.contributions[:2, 3], 1.5 / 5.5 * 600 / 601)
    assert (scored.action[:2] >= Action.REVIEW).all()
    reasons = {reason.kind: reason.detail for reason in scored.reasons(0)}
    assert "not finite" in reasons["fingerprint"]


def test_an_infinite_signal_lies_beyond_the_baseline(scorer):
    batch = window(1, seed=11)
    signals = {**batch.signals, "toxicity": np.array([np.inf]), "confidence": np.array([np.inf])}
    scored = scorer.score(dataclasses.replace(batch, signals=signals))
    by_name = dict(zip([term.name for term in scored.terms], scored.contributions[0], strict=True))
    assert by_name["toxicity"] == pytest.approx(2 / 5.5 * 600 / 601)
    assert by_name["confidence"] == 0.0


def test_an_unknown_model_has_no_fingerprint_term(scorer):
    scored = scorer.score(dataclasses.replace(window(4, seed=12), model="new"))
    assert (scored.contributions[:, 3] == 0).all()
    assert (scored.raw > 0).all()


def test_constant_columns_are_defined():
    n = 400
    batch = RecordBatch(
        model="m",
        n=n,
        signals={"a": np.full(n, 3.0)},
        fingerprints=np.ones((n, 4), np.float32),
    )
    scorer = load(fit_percentile([batch], config={"signals": {"a": {}}}))
    same = scorer.score(rows(batch, np.array([0])))
    assert same.raw.tolist() == [0.0]
    assert same.tier.tolist() == [0]
    other = dataclasses.replace(
        rows(batch, np.array([0])),
        signals={"a": np.array([4.0])},
        fingerprints=np.full((1, 4), 2, np.float32),
    )
    assert scorer.score(other).raw[0] == pytest.approx(n / (n + 1))


def test_empty_batch(scorer):
    scored = scorer.score(RecordBatch(model="m", n=0))
    assert len(scored) == 0
    assert scored.contributions.shape == (0, 4)


def test_sentences(scorer):
    batch = RecordBatch(
        model="m",
        n=1,
        signals={"toxicity": np.array([99.0]), "confidence": np.array([np.nan])},
    )
    reasons = scorer.score(batch).reasons(0)
    assert [reason.detail for reason in reasons] == ["value 99 is above 100.0 % of the baseline"]


def test_small_baselines_are_refused():
    with pytest.raises(BaselineTooSmallError, match="299 baseline records, at least 300"):
        fit_percentile([window(299)], config=CONFIG)
    with pytest.raises(BaselineTooSmallError, match="any signal"):
        fit_percentile([RecordBatch(model="m", n=500)], config=CONFIG)


def test_terms_without_enough_values_are_left_out_and_named():
    batch = window(400)
    signals = {**batch.signals, "length": np.where(np.arange(400) < 12, 1.0, np.nan)}
    few = dataclasses.replace(window(20, seed=1), model="rare")
    state = fit_percentile([dataclasses.replace(batch, signals=signals), few], config=CONFIG)
    assert state.config["left_out"] == {
        "length": "32 values in the baseline",
        "fingerprint of rare": "20 fingerprints in the baseline",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"signals": {"a": {"direction": "up"}}},
        {"signals": {"a": {"weight": 0}}},
        {"signals": {"a": {"weight": float("inf")}}},
        {"signals": {"a": 1}},
        {"signals": []},
        {"fingerprint_weight": -1},
        {"tier_rates": [0.1, 0.2, 0.01, 0.001]},
        {"tier_rates": [0.1]},
        {"minimum_records": 2},
        {"seed": -1},
        {"review_from_tier": 9},
    ],
)
def test_malformed_settings_are_refused(change):
    with pytest.raises(InvalidConfigError):
        fit_percentile([window()], config={**CONFIG, **change})


def test_batches_that_do_not_fit_are_refused(scorer):
    with pytest.raises(InvalidBatchError, match="dimensions"):
        scorer.score(window(2, d=5))
    with pytest.raises(InvalidBatchError, match="differ in length"):
        fit_percentile([window(300), window(300, d=5)], config=CONFIG)
    bad = dataclasses.replace(window(), signals={"toxicity": np.full(600, np.inf)})
    with pytest.raises(InvalidBatchError, match="infinite"):
        fit_percentile([bad], config=CONFIG)
    for broken in (
        {"n": -1},
        {"n": 2, "signals": {"a": np.zeros(3)}},
        {"n": 2, "signals": {"a": np.zeros(2, np.float32)}},
        {"n": 2, "context": [{}]},
        {"n": 2, "fingerprints": np.zeros((2, 3))},
        {"n": 2, "has_fingerprint": np.ones(2, bool)},
    ):
        with pytest.raises(InvalidBatchError):
            RecordBatch(model="m", **broken)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("signal/0/values", np.zeros(600)),
        ("signal/0/below", np.zeros(3)),
        ("fingerprint/0/mean", np.zeros(6)),
        ("fingerprint/0/root", np.full((6, 6), np.nan, np.float32)),
        ("score/upto", None),
        ("surprise", np.zeros(1)),
    ],
)
def test_tampered_states_are_refused(state, name, value):
    arrays = {**state.arrays, name: value}
    if value is None:
        del arrays[name]
    with pytest.raises(InvalidConfigError):
        load(ScorerState(config=state.config, arrays=arrays))


def test_cold_start_claims_nothing():
    scorer = load_scorer("cold_start", 1, new_state(records_needed=300))
    scored = scorer.score(window(3))
    assert scored.cold_start
    assert scored.raw.tolist() == scored.score.tolist() == [0.0] * 3
    assert scored.action.tolist() == [Action.PASS] * 3
    (reason,) = scored.reasons(1)
    assert (reason.kind, reason.contribution) == ("cold_start", 0.0)
    assert "300 records" in reason.detail


def test_states_belong_to_their_version(state):
    with pytest.raises(InvalidConfigError, match="not one of"):
        load_scorer("cold_start", 1, state)
    with pytest.raises(InvalidConfigError, match="no scorer"):
        load_scorer("percentile", 99, state)
