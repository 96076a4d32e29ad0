"""The in-process monitor: same decisions as the server's path, callbacks, queue, baselines."""

import math
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.baseline import BaselineError
from scoring.core.judgement import Judge, batch_of
from scoring.core.monitor import Monitor
from scoring.core.monitor_baselines import WARM_UP
from scoring.core.scorers import load_scorer
from scoring.core.scorers.cold_start_v1 import new_state
from scoring.core.scorers.contract import (
    Action,
    InvalidBatchError,
    InvalidConfigError,
    RecordBatch,
)
from scoring.core.scorers.percentile_fit import fit_percentile
from scoring.core.state import ScorerState, StateError, from_bytes, to_bytes

ROOT = Path(__file__).parents[3]
D = 5
CONFIG = {
    "signals": {"toxicity": {"direction": "high"}, "length": {"direction": "both"}},
    "fingerprint_weight": 1.0,
    "review_from_tier": 2,
    "intervene_from_tier": 4,
    "intervention": {"kind": "replace", "replacement": "I cannot help with that."},
}
INVARIANTS = {
    "language": 1,
    "invariants": [
        {
            "key": "no-secret-word",
            "title": "Never says the secret word",
            "clause": "secrecy",
            "severity": "critical",
            "condition": {"none": [{"check": "terms", "terms": ["xyzzy"]}]},
            "effect": {"kind": "block"},
            "weight": 3.0,
        },
        {
            "key": "no-shouting",
            "title": "Does not shout",
            "clause": "tone",
            "severity": "low",
            "condition": {"none": [{"check": "terms", "terms": ["SHOUT"]}]},
        },
    ],
}


def window(n, seed):
    rng = np.random.default_rng(seed)
    return RecordBatch(
        model="m",
        n=n,
        signals={"toxicity": rng.beta(1, 9, n), "length": rng.lognormal(5, 1, n)},
        fingerprints=rng.normal(size=(n, D)).astype(np.float32),
    )


def records(n, seed):
    batch = window(n, seed)
    return [
        {
            "external_id": str(i),
            "model": {"name": "m", "version": "1"},
            "input": "question",
            "output": "answer",
            "signals": {name: float(values[i]) for name, values in batch.signals.items()},
            "fingerprint": batch.fingerprints[i].tolist(),
            "context": {"region": "EU"},
        }
        for i in range(n)
    ]


@pytest.fixture(scope="module")
def state():
    return fit_percentile([window(2000, 1)], config=CONFIG)


@pytest.fixture(scope="module")
def guarded(state):
    return ScorerState(config={**state.config, "invariants": INVARIANTS}, arrays=state.arrays)


def hostile(record, output="answer"):
    return {
        **record,
        "output": output,
        "signals": {"toxicity": 1.0, "length": 1e9},
        "fingerprint": [90.0] * D,
    }


def test_decisions_equal_the_batch_path_and_the_scorer_itself(state, tmp_path):
    path = tmp_path / "scorer.bin"
    path.write_bytes(to_bytes(state))
    monitor = Monitor.load(path)
    assert monitor.scorer_digest == state.digest()
    items = [*records(200, 2), hostile(records(1, 3)[0])]
    batch = batch_of(items)
    judged = Judge(state).judge(batch, items)
    scored = load_scorer("percentile", 1, state).score(batch)
    for i, item in enumerate(items):
        result = monitor.check(item)
        assert result.score == pytest.approx(judged[i].score, abs=1e-6)
        assert (result.tier, result.action) == (judged[i].tier, judged[i].action)
        assert result.score == pytest.approx(scored.score[i], abs=1e-6)
        assert (result.tier, result.action) == (scored.tier[i], scored.action[i])
        assert sum(reason.contribution for reason in result.reasons) == pytest.approx(result.raw)
        np.testing.assert_array_equal(result.fingerprint, batch.fingerprints[i])
    assert result.action == Action.INTERVENE
    assert result.intervention.replacement == "I cannot help with that."


def test_what_it_has_seen_never_changes_a_decision(state):
    fresh, experienced = Monitor(state), Monitor(state)
    for item in records(400, 4):
        experienced.check(item)
    for item in records(50, 5):
        assert fresh.check(item).score == experienced.check(item).score


def test_invariants_lift_tier_and_action_and_add_to_raw(guarded):
    monitor = Monitor(guarded)
    quiet = records(1, 6)[0]
    plain = monitor.check(quiet)
    blocked = monitor.check({**quiet, "output": "the word is XYZZY"})
    assert (blocked.tier, blocked.action) == (4, Action.INTERVENE)
    assert blocked.intervention.kind == "block"
    assert blocked.raw == pytest.approx(plain.raw + 3.0)
    assert blocked.score == plain.score
    assert (blocked.reasons[0].kind, blocked.reasons[0].name) == ("invariant", "no-secret-word")
    flagged = monitor.check({**quiet, "output": "I SHOUT"})
    assert flagged.tier >= 1
    assert flagged.action == max(plain.action, Action.REVIEW)
    assert flagged.intervention is None
    both = monitor.check(hostile(quiet, "xyzzy"))
    assert both.intervention.kind == "block"  # and not the scorer's own replacement


def test_callbacks_are_told_which_and_may_fail(guarded, caplog):
    calls = []

    def fail(record, result):
        raise RuntimeError("broken callback")

    monitor = Monitor(
        guarded, on_block=fail, on_modify=lambda record, result: calls.append((record, result))
    )
    item = records(1, 7)[0]
    result = monitor.check(hostile(item))
    assert [call[1] for call in calls] == [result]
    assert monitor.check({**item, "output": "xyzzy"}).action == Action.INTERVENE
    assert monitor.metrics().callback_errors == 1
    assert "answer" not in caplog.text
    assert "xyzzy" not in caplog.text


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"model": "m"},
        {"model": {"name": 3}},
        {"model": {"name": "m"}, "fingerprint": [1.0, 2.0]},
        {"model": {"name": "m"}, "fingerprint": [[1.0] * D]},
        {"model": {"name": "m"}, "fingerprint": "text"},
        {"model": {"name": "m"}, "signals": {"toxicity": "high"}},
        {"model": {"name": "m"}, "signals": {"toxicity": 10**400}},
        {"model": {"name": "m"}, "context": ["EU"]},
    ],
)
def test_what_cannot_be_scored_goes_to_review(state, broken):
    monitor = Monitor(state)
    result = monitor.check(broken)
    assert (result.score, result.action) == (None, Action.REVIEW)
    assert result.reasons[0].kind == "unscorable"
    assert monitor.metrics().unscorable == 1
    assert [item for item, _ in monitor.drain()] == [broken]


def test_a_fingerprint_that_is_not_finite_is_reviewed_and_not_learnt(state):
    monitor = Monitor(state)
    result = monitor.check({**records(1, 8)[0], "fingerprint": [math.nan] * D})
    assert result.action >= Action.REVIEW
    assert monitor.metrics().absorbed == 0


@settings(max_examples=60, deadline=None)
@given(st.recursive(st.none() | st.floats() | st.text(), lambda inner: st.lists(inner, max_size=3)
       | st.dictionaries(st.sampled_from(["model", "name", "signals", "fingerprint", "context"]),
                         inner, max_size=4)))  # fmt: skip
def test_check_never_raises(value):
    monitor = Monitor(new_state(records_needed=300))
    assert monitor.check({"model": {"name": "m"}, "signals": value}).action in Action
    assert monitor.check({"model": value, "fingerprint": value}).action in Action
    assert monitor.check({"model": {"name": "m"}, "context": value}).action in Action


def test_the_queue_is_bounded_and_serves_urgent_records_first(state):
    monitor = Monitor(state, queue_size=20)
    items = records(100, 9)
    urgent = hostile(items[0])
    monitor.check(urgent)
    for item in items:
        monitor.check(item)
    metrics = monitor.metrics()
    assert sum(metrics.by_action) == sum(metrics.latency_counts) == 101
    assert metrics.queued + metrics.dropped == 101
    assert metrics.queued <= 40
    assert monitor.drain(1)[0][0] == urgent
    assert len(monitor.drain()) == metrics.queued - 1
    assert monitor.metrics().queued == 0


def test_baselines_start_after_their_warm_up_and_survive_a_checkpoint(state):
    one = Monitor(state, baseline_rate=0.01)
    for item in records(3 * WARM_UP, 10):
        one.check(item)
    baseline = one._baselines.baselines["m", "fingerprint"]
    assert baseline.n_absorbed_ > WARM_UP
    assert np.abs(baseline.mean_).max() < 0.5
    metrics = one.metrics()
    assert metrics.absorbed + metrics.refused == 2 * 3 * WARM_UP
    assert metrics.refused > 0  # the least normal tenth does not teach it
    two = Monitor(state, baseline_rate=0.5)
    two.restore(from_bytes(to_bytes(one.checkpoint())))
    for item in records(60, 11):
        one.check(item)
        two.check(item)
    assert two.checkpoint().digest() == one.checkpoint().digest()
    for broken in (state, new_state(records_needed=3)):
        with pytest.raises(BaselineError):
            two.restore(broken)


def test_many_threads_lose_no_count(state):
    monitor = Monitor(state, queue_size=10_000)
    items = records(60, 12)
    threads = [
        threading.Thread(target=lambda: [monitor.check(item) for item in items]) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    metrics = monitor.metrics()
    assert sum(metrics.by_action) == metrics.queued == 360
    assert metrics.absorbed + metrics.refused == 720
    results = monitor.drain(1000)
    scores = {}
    for item, result in results:
        scores.setdefault(item["external_id"], set()).add(result.score)
    assert all(len(found) == 1 for found in scores.values())


def test_latency_is_measured_by_the_clock_given(state):
    ticks = iter([10.0, 10.003])
    monitor = Monitor(state, clock=lambda: next(ticks))
    assert monitor.check(records(1, 13)[0]).latency_ms == pytest.approx(3.0)


def test_malformed_files_and_scorers_are_refused(tmp_path, state):
    path = tmp_path / "scorer.bin"
    path.write_bytes(to_bytes(state)[:-3])
    with pytest.raises(StateError):
        Monitor.load(path)
    with pytest.raises(InvalidConfigError):
        Monitor(ScorerState(config={"kind": "percentile"}))
    with pytest.raises(InvalidConfigError):
        Monitor(ScorerState(config={"kind": "unknown", "number": 1}))
    with pytest.raises(InvalidBatchError):
        Judge(state).judge(batch_of(records(2, 14)), [])
    with pytest.raises(InvalidBatchError):
        batch_of([{"model": {"name": "a"}}, {"model": {"name": "b"}}])


def test_it_runs_with_numpy_alone(state, guarded, tmp_path):
    """In a fresh interpreter without the packages of the server; invariants are refused there."""
    path, needs_more = tmp_path / "scorer.bin", tmp_path / "guarded.bin"
    path.write_bytes(to_bytes(state))
    needs_more.write_bytes(to_bytes(guarded))
    code = f"""
import sys
for name in ("scipy", "sklearn", "django", "re2", "pandas"):
    sys.modules[name] = None
from scoring.core.judgement import HAS_INVARIANTS
from scoring.core.monitor import Monitor
monitor = Monitor.load({str(path)!r})
result = monitor.check({{"model": {{"name": "m"}}, "signals": {{"toxicity": 0.1}}}})
print(HAS_INVARIANTS, result.action.name, result.score is not None)
try:
    Monitor.load({str(needs_more)!r})
except ValueError as error:
    print(type(error).__name__)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    assert done.stdout.split() == ["False", "PASS", "True", "InvalidConfigError"]
