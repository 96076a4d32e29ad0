"""Figures through the product: against a hand count, against the estimators, null and refused."""

import itertools
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from review.estimates import populations as sizes
from review.estimates.domains import Threshold
from review.models import PopulationCount, SamplingRound
from review.services import rounds
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import Window, floor_testimony, make_round
from tests.factories import make_api, make_record
from tests.judging import conclude, judge

pytestmark = pytest.mark.django_db(transaction=True)

DAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=3)


def asked(api, queue, metric="prevalence", **params):
    text = "&".join(f"{name}={value}" for name, value in params.items())
    return api.get(f"estimates?queue={queue.slug}&metric={metric}&{text}")


def figure(api, queue, metric="prevalence", **params):
    answer = asked(api, queue, metric, **params)
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_census_is_counted_by_hand(api, owner, queue, send):
    """40 records, all drawn in every stratum and judged: every third violates, exactly."""
    send(40)
    queue.evaluation_budget = 40
    rounds.run(owner, queue=queue, budget=40)
    judge(api, queue)
    told = figure(api, queue)
    assert (told["value"], told["low"], told["high"]) == (14 / 40, 14 / 40, 14 / 40)
    assert (told["n_verdicts"], told["n_records"], told["unresolved"]) == (40, 40, 0)
    assert told["effective_sample_size"] == 40
    assert told["excluded"] == []
    assert told["reason"] is None


def stream_window(queue):
    """The stream's round as estimators take it, from the stored rows by hand; all tier 0."""
    made = SamplingRound.objects.get(queue=queue, stratum="stream")
    rows = list(made.selections.order_by("position").select_related("case__evidence"))
    done = list(itertools.takewhile(lambda row: row.case.state == "resolved", rows))
    left = rows[len(done)] if len(done) < len(rows) else None
    threshold, last = made.threshold, made.threshold_exponential
    if left is not None:
        threshold, last = (np.inf if left.key is None else left.key), left.exponential
    hits, hazard = floor_testimony(
        np.array([row.exponential for row in done]),
        made.floor_hazard,
        threshold,
        last,
        least_log_softmax=-made.log_normalizer,
    )
    q = 1 - np.exp(
        -made.floor_hazard
        - np.exp([made.tau * row.gain - made.log_normalizer - threshold for row in done])
    )
    if threshold == np.inf:
        q = np.full(len(done), 1 - np.exp(-min(made.floor_hazard, last)))
    labels = [int(row.case.evidence.external_id.rpartition("-")[2]) % 3 == 0 for row in done]
    one = make_round(labels, q, floor_draws=hits, floor_hazards=(hazard, hazard))
    return Window(made.n_candidates, (made.n_candidates, 0), (one,))


@pytest.mark.parametrize("n_judged", [20, 9])
def test_a_draw_is_told_as_its_estimator_tells_it(api, owner, queue, send, n_judged):
    send(120)
    queue.evaluation_budget = 0
    rounds.run(owner, queue=queue, budget=20)
    judge(api, queue, n_judged)
    told = figure(api, queue)
    window = stream_window(queue)
    expected = estimate_rate([window], "prevalence")
    assert window.rounds[0].size == n_judged
    for name in ("value", "low", "high", "design_low", "design_high", "effective_sample_size"):
        assert told[name] == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert told["n_records"] == window.n_records
    held_out = 120 - window.n_records
    assert told["excluded"] == (
        [{"records": held_out, "reason": "their stratum has no review budget"}] if held_out else []
    )
    assert told["uniform"]["low"] <= told["value"] <= told["uniform"]["high"]
    assert told["continuous"]["low"] <= told["low"] <= told["high"] <= told["continuous"]["high"]
    assert (told["corrected"]["value"], told["corrected"]["reason"] is None) == (None, False)


def is_third(evidence):
    return int(evidence.external_id.rpartition("-")[2]) % 3 == 0


def test_strata_and_windows_make_one_population(api, owner, queue, send):
    for start in (0, 100):
        send([make_record(i) for i in range(start, start + 100)])
        rounds.run(owner, queue=queue, budget=15)
    conclude(queue, is_third)
    told = figure(api, queue)
    made = SamplingRound.objects.filter(queue=queue)
    assert {one.stratum for one in made} == {"stream", "evaluation"}
    assert told["n_records"] == sum(one.n_candidates for one in made) == 200
    assert told["n_verdicts"] == sum(one.n_selected for one in made)
    assert told["low"] < told["value"] < told["high"]


def test_a_round_barely_begun_waits_for_its_review(api, owner, queue, send):
    queue.evaluation_budget = 0
    send(60)
    rounds.run(owner, queue=queue, budget=12)
    assert figure(api, queue)["value"] is None
    assert "finished far enough" in figure(api, queue)["reason"]
    judge(api, queue)
    alone = figure(api, queue)
    send([make_record(i) for i in range(60, 120)])
    rounds.run(owner, queue=queue, budget=12)
    judge(api, queue, 2)
    later = figure(api, queue)
    assert (later["value"], later["n_records"]) == (alone["value"], alone["n_records"])
    waiting = [row for row in later["excluded"] if "not finished" in row["reason"]]
    second = SamplingRound.objects.filter(queue=queue, stratum="stream").last()
    assert waiting == [
        {"records": second.n_candidates, "reason": "their round is not finished far enough"}
    ]


def varied(n):
    """Records over three days, two model versions, two regions and many customers."""
    return [
        make_record(
            i,
            occurred_at=(DAY + timedelta(minutes=i * 29)).isoformat(),
            model={"name": "assistant", "version": str(1 + i % 2)},
            context={"region": "eu" if i % 4 else "us", "customer": f"c{i}", "adult": i % 5 == 0},
            consent={"review": i % 10 != 9, "training": False},
        )
        for i in range(n)
    ]


DOMAINS = [
    ({}, lambda i: True),
    ({"version": "2"}, lambda i: i % 2 == 1),
    ({"segment": "region:us"}, lambda i: i % 4 == 0),
    ({"segment": "adult:true", "version": "1"}, lambda i: i % 10 == 0),
    ({"segment": "customer:c7"}, lambda i: i == 7),
    ({"since": (DAY + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}, lambda i: i * 29 >= 1440),
    (
        {
            "since": (DAY + timedelta(minutes=1450)).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "until": (DAY + timedelta(minutes=2000)).strftime("%Y-%m-%dT%H:%M:%SZ"),
        },
        lambda i: 1450 <= i * 29 < 2000,
    ),
    ({"scorer_version": "1"}, lambda i: True),
]


def test_domains_hold_what_they_say(api, owner, queue, send, monkeypatch):
    """Counted at the draw or scanned anew: the same populations, the same exact rates."""
    send(varied(120))
    queue.evaluation_budget = 120
    rounds.run(owner, queue=queue, budget=120)
    conclude(queue, is_third)
    for params, holds in DOMAINS:
        inside = [i for i in range(120) if holds(i) and i % 10 != 9]
        told = figure(api, queue, **params)
        assert (told["n_records"], told["n_verdicts"]) == (len(inside), len(inside)), params
        assert told["value"] == pytest.approx(np.mean([i % 3 == 0 for i in inside])), params
        withheld = sum(holds(i) and i % 10 == 9 for i in range(120))
        said = [row for row in told["excluded"] if row["reason"] == "may not be reviewed"]
        assert said == ([{"records": withheld, "reason": said[0]["reason"]}] if withheld else [])
    counted = [figure(api, queue, **params) for params, _ in DOMAINS]
    monkeypatch.setattr(sizes, "_finer_than_counted", lambda *_: ("at", "asked to scan"))
    scanned = [figure(api, queue, **params) for params, _ in DOMAINS]
    assert scanned == counted


def test_only_what_was_counted_is_answered_of_large_populations(
    api, owner, queue, send, monkeypatch
):
    send(varied(60))
    rounds.run(owner, queue=queue, budget=10)
    conclude(queue, is_third)
    monkeypatch.setattr(sizes, "SCAN_LIMIT", 10)
    assert figure(api, queue, segment="region:us", at="score:0.25")["reason"] is None
    for params, path in (
        ({"segment": "customer:c7"}, "segment"),
        ({"at": "score:0.12345"}, "at"),
        ({"since": (DAY + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M:%SZ")}, "since"),
    ):
        answer = asked(api, queue, **params)
        assert (answer.status_code, answer.json()["errors"][0]["path"]) == (400, path), params
    assert PopulationCount.objects.filter(segment="customer", value=None).exists()
    assert not PopulationCount.objects.filter(segment="customer", value="c7").exists()


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"metric": "accuracy"}, "metric"),
        ({"at": "tier:7"}, "at"),
        ({"at": "score:1.5"}, "at"),
        ({"at": "score:nan"}, "at"),
        ({"segment": "region"}, "segment"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-02T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"model": "nobody"}, "model"),
        ({"scorer_version": "99"}, "scorer_version"),
        ({"rubric_version": "x"}, "rubric_version"),
        ({"question": "mood"}, "question"),
        ({"question": "quality"}, "question"),
        ({"question": "clauses:none-such"}, "question"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_parameters_are_named(api, queue, params, path):
    answer = asked(api, queue, **{"metric": "prevalence", **params})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == path


def test_who_may_ask(project, other_project, queue):
    for scope in ("datasets:read", "records:read", "policies:write"):
        assert asked(make_api(project, scopes=[scope]), queue).status_code == 200
    for scope in ("records:write", "review"):
        assert asked(make_api(project, scopes=[scope]), queue).status_code == 403
    assert asked(make_api(other_project), queue).json()["value"] is None  # its own default queue
    assert make_api(project).get("estimates?metric=prevalence").json()["errors"][0]["path"] == (
        "queue"
    )


def test_every_counted_threshold_is_known_as_one():
    """As a client writes it; some times 1000 fall short of a whole number as floats."""
    steps = range(1001)
    assert all(Threshold(score=float(f"{step / 1000:.3f}")).is_counted for step in steps)
    assert not any(Threshold(score=step / 1000 + 0.0004).is_counted for step in steps)
