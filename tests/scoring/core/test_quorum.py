"""The weighted quorum against enumeration of all votes, and its properties under attack."""

import math
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.quorum import Outcome, Quorum, QuorumError, Vote

NAMES = "abcdefg"
accuracies = st.dictionaries(
    st.sampled_from(NAMES), st.floats(0.0, 0.999), min_size=0, max_size=len(NAMES)
)
thresholds = st.floats(0.2, 0.8)


def votes_of(answers):
    """{monitor: True, False or None for no vote} as votes."""
    return [Vote(name, answer) for name, answer in answers.items() if answer is not None]


def naive(shares, threshold, answers):
    """Equation 4 with exact fractions, over the registered weight."""
    exact = {name: Fraction(round(share * 10**9), 10**9) for name, share in shares.items()}
    limit = Fraction(math.floor(threshold * 10**9 + 1e-6), 10**9)
    if not any(exact.values()):
        return Outcome.NO_DECISION
    yes = sum((exact[name] for name, answer in answers.items() if answer is True), Fraction(0))
    no = sum((exact[name] for name, answer in answers.items() if answer is False), Fraction(0))
    if yes > limit:
        return Outcome.ACT
    missing = sum((exact[name] for name, said in answers.items() if said is None), Fraction(0))
    assert yes + no + missing == sum(exact.values())
    return Outcome.DEGRADED if yes + missing > limit else Outcome.PASS


@pytest.mark.parametrize("threshold", [0.34, 0.5, 2 / 3])
def test_all_combinations_of_yes_no_and_missing(threshold):
    accuracy = {"a": 0.95, "b": 0.9, "c": 0.8, "d": 0.7, "e": 0.6, "f": 0.5}
    quorum = Quorum(accuracy, threshold=threshold)
    for combination in product([True, False, None], repeat=6):
        answers = dict(zip(accuracy, combination, strict=True))
        decision = quorum.decide(votes_of(answers))
        assert decision.outcome == naive(quorum.shares, threshold, answers)
        assert set(decision.missing) == {n for n, answer in answers.items() if answer is None}


def test_shares_are_capped_log_odds():
    quorum = Quorum({"a": 0.9, "b": 0.8, "c": 0.75, "d": 0.6, "e": 0.3})
    odds = [math.log(p / (1 - p)) for p in (0.9, 0.8, 0.75, 0.6)] + [0.0]
    expected = [w / sum(odds) for w in odds]
    assert list(quorum.shares.values()) == pytest.approx(expected, abs=2e-9)
    tight = Quorum({"a": 0.999, "b": 0.8, "c": 0.8, "d": 0.8}, cap=0.3)
    assert tight.shares["a"] == pytest.approx(0.3)
    assert tight.shares["b"] == pytest.approx(0.7 / 3, abs=2e-9)


def test_log_odds_weights_are_the_best_by_enumeration():
    """Seven conditionally independent monitors: errors of the decision, summed over 2^7 votes."""
    accuracy = dict(zip(NAMES, (0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65), strict=True))
    quorum = Quorum(accuracy)
    error_weighted = error_majority = 0.0
    for combination in product([True, False], repeat=7):
        probability = math.prod(
            p if vote else 1 - p for p, vote in zip(accuracy.values(), combination, strict=True)
        )
        decision = quorum.decide(
            Vote(name, vote) for name, vote in zip(NAMES, combination, strict=True)
        )
        error_weighted += probability * (decision.outcome != Outcome.ACT)
        error_majority += probability * (sum(combination) < 4)
    assert error_weighted < error_majority
    assert error_weighted < 0.02


@pytest.mark.parametrize(("n", "needed"), [(2, 2), (3, 2), (6, 4), (7, 4)])
def test_equal_monitors_need_more_than_half(n, needed):
    quorum = Quorum(dict.fromkeys(NAMES[:n], 0.9))
    for yes in range(n + 1):
        votes = [Vote(name, i < yes) for i, name in enumerate(NAMES[:n])]
        expected = Outcome.ACT if yes >= needed else Outcome.PASS
        assert quorum.decide(votes).outcome == expected


def test_a_single_monitor_cannot_act_alone_and_none_decides_nothing():
    assert Quorum({"a": 0.99}).decide([Vote("a", True)]).outcome == Outcome.DEGRADED
    assert Quorum({"a": 0.99}).decide([Vote("a", False)]).outcome == Outcome.PASS
    assert Quorum({}).decide([Vote("a", True)]).outcome == Outcome.NO_DECISION
    assert Quorum({"a": 0.4, "b": 0.5}).decide([Vote("a", True)]).outcome == Outcome.NO_DECISION


def test_missing_votes_hold_instead_of_renormalising():
    quorum = Quorum(dict.fromkeys("abcd", 0.9))
    one_of_one = quorum.decide([Vote("a", True)])
    assert one_of_one.outcome == Outcome.DEGRADED
    assert (one_of_one.support, one_of_one.absent) == (0.25, 0.75)
    assert quorum.decide([Vote("a", False), Vote("b", False)]).outcome == Outcome.PASS


def test_repeats_count_once_and_equivocation_not_at_all():
    quorum = Quorum(dict.fromkeys("abcd", 0.9))
    votes = [Vote("a", True)] * 9 + [Vote("b", True), Vote("b", False), Vote("z", True)]
    decision = quorum.decide(votes)
    assert decision.support == 0.25
    assert decision.equivocating == ("b",)
    assert decision.missing == ("b", "c", "d")
    assert decision.unknown == ("z",)


@settings(deadline=None)
@given(accuracies, thresholds, st.lists(st.tuples(st.sampled_from(NAMES), st.booleans())))
def test_one_more_yes_never_weakens_and_order_does_not_matter(accuracy, threshold, said):
    quorum = Quorum(accuracy, threshold=threshold)
    votes = [Vote(name, answer) for name, answer in said]
    before = quorum.decide(votes)
    assert quorum.decide(votes[::-1]) == before
    assert before.support + before.opposed + before.absent == pytest.approx(1.0, abs=1e-8)
    for name in NAMES:
        assert quorum.decide([*votes, Vote(name, True)]).outcome >= before.outcome


@settings(deadline=None)
@given(accuracies, thresholds, st.sets(st.sampled_from(NAMES)))
def test_byzantine_weight_up_to_the_threshold_never_acts(accuracy, threshold, byzantine):
    """All honest monitors say no; the Byzantine ones say whatever, here the worst: yes."""
    quorum = Quorum(accuracy, threshold=threshold)
    weight = sum(quorum.shares.get(name, 0.0) for name in byzantine)
    votes = [Vote(name, name in byzantine) for name in accuracy]
    acts = quorum.decide(votes).outcome == Outcome.ACT
    if weight <= threshold - 1e-8:
        assert not acts
    if weight > threshold + 1e-8:
        assert acts  # the bound is sharp
    assert max(quorum.shares.values(), default=0.0) <= threshold + 1e-9  # shares are billionths


@settings(deadline=None)
@given(accuracies, thresholds, st.sets(st.sampled_from(NAMES)), st.sets(st.sampled_from(NAMES)))
def test_tolerated_weight_keeps_both_safety_and_liveness(accuracy, threshold, byzantine, missing):
    quorum = Quorum(accuracy, threshold=threshold)
    byzantine -= missing
    b = sum(quorum.shares.get(name, 0.0) for name in byzantine)
    m = sum(quorum.shares.get(name, 0.0) for name in missing)
    if b > 0 and b <= quorum.tolerated_weight(min(1.0, m)):
        present = [name for name in accuracy if name not in missing]
        violation = [Vote(name, name not in byzantine) for name in present]
        harmless = [Vote(name, name in byzantine) for name in present]
        assert quorum.decide(violation).outcome == Outcome.ACT
        assert quorum.decide(harmless).outcome != Outcome.ACT


def test_tolerated_monitors_of_equal_ones():
    assert Quorum(dict.fromkeys(NAMES, 0.9)).tolerated_monitors() == 3
    assert Quorum(dict.fromkeys(NAMES, 0.9)).tolerated_monitors(absent=1 / 7) == 2
    assert Quorum(dict.fromkeys(NAMES[:6], 0.9)).tolerated_monitors() == 2
    assert Quorum({}).tolerated_monitors() == 0
    assert Quorum(dict.fromkeys(NAMES, 0.9)).tolerated_weight(absent=1.0) == 0.0


@pytest.mark.parametrize(
    ("accuracy", "threshold", "cap"),
    [
        ({"a": 1.0}, 0.5, None),
        ({"a": math.nan}, 0.5, None),
        ({"a": 0.9}, 1.0, None),
        ({"a": 0.9}, -0.1, None),
        ({"a": 0.9}, 0.5, 0.6),
        ({"a": 0.9}, 0.5, 0.0),
    ],
)
def test_malformed_settings_are_refused(accuracy, threshold, cap):
    with pytest.raises(QuorumError):
        Quorum(accuracy, threshold=threshold, cap=cap)
    with pytest.raises(QuorumError):
        Quorum({}).tolerated_weight(2.0)
