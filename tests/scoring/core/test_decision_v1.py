"""Tiers, business weights and actions as a table."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.core.scorers.contract import Action, InvalidConfigError
from scoring.core.scorers.decision_v1 import decide, read_rule, thresholds_at

RATES = [0.10, 0.05, 0.01, 0.001]


def rule(**config):
    return read_rule(config, thresholds_at(RATES))


@pytest.mark.parametrize(
    ("rarity", "context", "tier"),
    [
        (0.0, {}, 0),
        (0.899, {}, 0),
        (0.90, {}, 1),
        (0.99, {}, 3),
        (0.999, {}, 4),
        (0.80, {"region": "EU"}, 1),
        (0.80, {"region": "US"}, 0),
        (0.75, {"paying": True}, 2),
        (0.50, {"paying": True, "region": "EU"}, 2),
        (0.75, {"paying": "true"}, 2),
        (0.0, {"level": 3.0}, 3),
        (0.0, {"level": 4}, 0),
    ],
)
def test_tier(rarity, context, tier):
    weights = {"region": {"EU": 2}, "paying": {"true": 5.0}, "level": {"3": 100}}
    decisions = decide(rule(context_weights=weights), np.array([rarity]), [context])
    assert decisions.tier.tolist() == [tier]


@pytest.mark.parametrize(
    ("config", "actions"),
    [
        ({}, [0, 0, 0, 0, 0]),
        ({"review_from_tier": 2}, [0, 0, 1, 1, 1]),
        ({"intervene_from_tier": 4, "intervention": {"kind": "block"}}, [0, 0, 0, 0, 2]),
        (
            {
                "review_from_tier": 1,
                "intervene_from_tier": 3,
                "intervention": {"kind": "replace", "replacement": "Sorry."},
            },
            [0, 1, 1, 2, 2],
        ),
    ],
)
def test_action(config, actions):
    decisions = decide(rule(**config), np.array([0.5, 0.9, 0.95, 0.99, 0.999]), [])
    assert decisions.tier.tolist() == [0, 1, 2, 3, 4]
    assert [Action(action) for action in decisions.action] == actions


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=20),
    st.floats(1, 1e6),
)
def test_a_weight_never_lowers_a_tier(rarity, weight):
    rarity = np.array(rarity)
    plain = decide(rule(), rarity, [])
    weighted = decide(
        rule(context_weights={"a": {"b": weight}}), rarity, [{"a": "b"}] * len(rarity)
    )
    assert (weighted.tier >= plain.tier).all()
    assert (weighted.weight == weight).all()


@pytest.mark.parametrize(
    "config",
    [
        {"review_from_tier": 0},
        {"review_from_tier": 5},
        {"review_from_tier": True},
        {"intervene_from_tier": 3},
        {"intervention": {"kind": "explode"}},
        {"intervention": {"kind": "replace"}},
        {"intervention": {"kind": "block", "replacement": "x"}},
        {"context_weights": {"a": {"b": 0.5}}},
        {"context_weights": {"a": {"b": float("inf")}}},
        {"context_weights": {"a": {"b": float("nan")}}},
        {"context_weights": {"a": {"b": True}}},
        {"context_weights": {"a": 2}},
        {"context_weights": [1]},
    ],
)
def test_malformed_settings_are_refused(config):
    with pytest.raises(InvalidConfigError):
        rule(**config)
