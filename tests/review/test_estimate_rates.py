"""Rates that need flags, many answers or many draws: coverage, thresholds, rubrics, real data."""

import gzip
import json
import os
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from review.estimates import ask, figures
from review.models import ReviewQueue, SamplingRound, Selection
from review.models.populations import PopulationCount
from review.services import cases, policies, rounds, rubrics
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import Window, make_round
from scoring.models import InferenceRecord
from tests.factories import make_record
from tests.judging import conclude, judge

pytestmark = pytest.mark.django_db(transaction=True)

METRICS = ("prevalence", "precision", "recall", "fpr", "fnr")
DATA = Path(
    os.environ.get("OVERSIGHT_SHARED_DATA", Path(__file__).resolve().parents[3] / "shared" / "data")
)


def number_of(evidence):
    return int(evidence.external_id.rpartition("-")[2])


def score(rng, n, is_violation):
    """Stored scores and tiers that know something of the truth."""
    table = {}
    for i in range(n):
        lean = rng.normal() + 2.0 * is_violation(i)
        table[i] = round(float(1 / (1 + np.exp(1.5 - lean))), 4)
    for record in InferenceRecord.objects.all():
        record.score = table[number_of(record)]
        record.tier = min(int(record.score * 5), 4)
        record.save(update_fields=["score", "tier"])
    return table


def another_queue(queue, slug, **changes):
    copy = ReviewQueue.objects.get(pk=queue.pk)
    copy.pk, copy.slug = None, slug
    for name, value in changes.items():
        setattr(copy, name, value)
    copy.save()
    return ReviewQueue.objects.select_related("project", "rubric").get(pk=copy.pk)


def told(queue, metric="prevalence", **params):
    return figures.as_answer(figures.figure(ask.parse(queue, {"metric": metric, **params})))


def test_flags_split_the_population_where_the_threshold_says(owner, queue, send):
    """Against the records themselves; scores on a threshold count as reaching it."""
    send(200)
    table = score(np.random.default_rng(1), 200, lambda i: i % 5 == 0)
    edges = {0: 0.57, 1: 0.29, 2: 0.58, 3: 0.001, 4: 1.0}  # as floats, some times 1000 fall short
    for i, edge in edges.items():
        table[i] = edge
        InferenceRecord.objects.filter(external_id=f"r-{i}").update(score=edge, tier=2)
    queue.budget = queue.evaluation_budget = 200
    rounds.run(owner, queue=queue)
    conclude(queue, lambda one: number_of(one) % 5 == 0)
    tiers = {number_of(record): record.tier for record in InferenceRecord.objects.all()}
    limits = [("tier:2", 2, tiers), ("2", 2, tiers), ("score:0.61234", 0.61234, table)]
    limits += [(f"score:{edge}", edge, table) for edge in edges.values()]
    for at, limit, values in limits:
        flagged = {i for i in range(200) if values[i] >= limit}
        violations = {i for i in range(200) if i % 5 == 0}
        expected = {
            "precision": len(flagged & violations) / len(flagged),
            "recall": len(flagged & violations) / len(violations),
            "fpr": len(flagged - violations) / len(set(range(200)) - violations),
            "fnr": 1 - len(flagged & violations) / len(violations),
        }
        for metric, value in expected.items():
            answer = told(queue, metric, at=at)
            assert answer["value"] == pytest.approx(value), (at, metric)
            assert answer["low"] == answer["high"] == pytest.approx(value), (at, metric)


def test_intervals_cover_what_is_true(owner, queue, send, monkeypatch):
    """60 audits of one window, drawn by the product itself from seeded randomness."""
    rng = np.random.default_rng(5)
    monkeypatch.setattr(rounds.secrets, "token_bytes", rng.bytes)
    send(600)
    table = score(rng, 600, lambda i: i % 8 == 0)
    truth_of = {i: i % 8 == 0 for i in range(600)}
    flagged = {i for i in range(600) if table[i] >= 0.6}
    hits = sum(truth_of[i] for i in flagged)
    truths = {
        "prevalence": 75 / 600,
        "precision": hits / len(flagged),
        "recall": hits / 75,
        "fpr": (len(flagged) - hits) / 525,
        "fnr": 1 - hits / 75,
    }
    covered = {metric: [] for metric in METRICS}
    values = []
    for audit in range(60):
        one = another_queue(queue, f"audit-{audit}", budget=60, evaluation_budget=15, floor=0.3)
        rounds.run(owner, queue=one)
        conclude(one, lambda evidence: truth_of[number_of(evidence)])
        for metric, truth in truths.items():
            answer = told(one, metric, at="score:0.6")
            assert answer["n_records"] == 600
            covered[metric].append(answer["low"] <= truth <= answer["high"])
            if metric == "prevalence":
                values.append(answer["value"])
                assert answer["continuous"]["low"] <= truth <= answer["continuous"]["high"]
    error = np.std(values) / np.sqrt(len(values))
    assert abs(np.mean(values) - truths["prevalence"]) < 5.5 * error
    for metric, found in covered.items():
        assert np.mean(found) >= 0.76, metric  # of 60 at 95 %: fewer in 2 of 10 million runs


def test_ties_widen_to_the_worst(owner, queue, send):
    send(80)
    queue.budget = queue.evaluation_budget = 80
    rounds.run(owner, queue=queue)
    conclude(queue, lambda one: None if number_of(one) % 10 == 1 else number_of(one) % 10 == 0)
    answer = told(queue)
    assert answer["unresolved"] == 8
    assert (answer["n_verdicts"], answer["n_records"]) == (72, 80)
    assert (answer["low"], answer["high"]) == (8 / 80, 16 / 80)
    assert any("8 unanswered cases" in said for said in answer["assumptions"])


def test_who_was_asked_about_before_the_draw_counts_once(owner, queue, send):
    """Escalated before: a stratum of its own. Escalated after: what chance says stays."""
    sent = send(100)["results"]
    for result in sent[:10]:
        _escalate(owner, queue, UUID(result["id"]))
    conclude(queue, lambda one: True)  # all ten violate
    queue.evaluation_budget = 0
    queue.budget = 30
    rounds.run(owner, queue=queue)
    stream = SamplingRound.objects.get(queue=queue, stratum="stream")
    late = stream.selections.exclude(record_id__in=[result["id"] for result in sent[:10]]).earliest(
        "position"
    )
    _escalate(owner, queue, late.record_id)
    conclude(queue, lambda one: number_of(one) < 10)
    answer = told(queue)
    first = {result["id"] for result in sent[:10]}
    held_out = 100 - stream.n_candidates
    certain = sum(
        not record.held_out and str(record.pk) in first for record in InferenceRecord.objects.all()
    )
    rows = list(Selection.objects.filter(round=stream).order_by("position"))
    one = make_round(
        np.zeros(len(rows)),
        [row.inclusion_probability for row in rows],
        domain=[-1 if str(row.record_id) in first else 0 for row in rows],
    )
    rest = stream.n_candidates - certain
    sure = make_round(np.ones(certain), np.ones(certain))
    expected = estimate_rate(
        [
            Window(stream.n_candidates, (rest, 0), (one,)),
            Window(certain, (certain, 0), (sure,)),
        ],
        "prevalence",
    )
    assert answer["value"] == pytest.approx(expected.value) == certain / stream.n_candidates
    assert answer["low"] == pytest.approx(certain / stream.n_candidates)
    assert answer["n_records"] == 100 - held_out
    assert answer["n_verdicts"] == expected.n_verdicts


def _escalate(owner, queue, record_id):
    cases.escalate_record(owner, queue=queue, record_id=record_id, reason="a complaint")


def republish(owner, change):
    """The next version of policy and rubric, its clauses changed by `change`."""
    policy = policies.draft_policy(
        owner, slug="conversations", introduction="", clauses=change(list(starter_clauses()))
    )
    policies.publish_policy(owner, slug="conversations", number=policy.number)
    questions = [
        {**question, "clauses": [clause.key for clause in policy.clauses.all()]}
        if question["key"] == "violation"
        else {**question, "clauses": []}
        for question in starter_questions()
        if question["key"] != "clauses"
    ]
    made = rubrics.draft_rubric(owner, slug="conversations", questions=questions)
    rubrics.publish_rubric(owner, slug="conversations", number=made.number)


def starter_clauses():
    for key in ("dangerous-help", "privacy"):
        yield {"key": key, "title": key.title(), "text": f"About {key}.", "severity": "high"}


def starter_questions():
    yield {
        "key": "violation",
        "text": "Does it break the policy?",
        "kind": "boolean",
        "required": True,
        "violation": {"in": [True]},
    }
    yield {"key": "over-refusal", "text": "Did it refuse needlessly?", "kind": "boolean"}


def test_changed_words_are_refused_and_named_added_ones_widen(api, owner, queue, send):
    republish(owner, lambda clauses: clauses)
    send(40)
    queue.evaluation_budget = 40
    rounds.run(owner, queue=queue, budget=40)
    conclude(queue, lambda one: number_of(one) % 2 == 0)
    before = told(queue)
    assert before["value"] == 0.5
    added = {"key": "new", "title": "New", "text": "More.", "severity": "low"}
    republish(owner, lambda clauses: [*clauses, added])
    send([make_record(i) for i in range(40, 80)])
    rounds.run(owner, queue=queue, budget=40)
    conclude(queue, lambda one: number_of(one) % 2 == 0)
    wider = told(queue)  # the old "no" is unknown under the clause that came later
    assert (wider["low"], wider["high"], wider["unresolved"]) == (0.5, 0.75, 20)
    only = told(queue, rubric_version="3")
    assert (only["value"], only["n_records"]) == (0.5, 40)
    assert {"records": 40, "reason": "their reviewers were not asked this"} in only["excluded"]

    def reworded(clauses):
        return [{**clauses[0], "text": "Other words."}, *clauses[1:], added]

    republish(owner, reworded)
    send([make_record(i) for i in range(80, 120)])
    rounds.run(owner, queue=queue, budget=40)
    conclude(queue, lambda one: True)
    answer = api.get(f"estimates?queue={queue.slug}&metric=prevalence")
    assert answer.status_code == 400
    problem = answer.json()["errors"][0]
    assert (problem["path"], problem["code"]) == ("question", "not_comparable")
    assert "dangerous-help" in problem["message"]
    assert "rubric_version" in problem["message"]
    latest = told(queue, rubric_version="4")
    assert (latest["value"], latest["n_records"]) == (1.0, 40)


def test_a_question_or_one_option_of_it_is_a_figure_of_its_own(api, owner, queue, send):
    """`judge` says violation of every third record, and ticks no clause."""
    send(30)
    queue.evaluation_budget = 30
    rounds.run(owner, queue=queue, budget=30)
    judge(api, queue)
    assert told(queue, question="violation")["value"] == told(queue)["value"] == 1 / 3
    refusals = told(queue, question="clauses:needless-refusal")
    assert (refusals["value"], refusals["question"]) == (0.0, "clauses:needless-refusal")


def test_nulls_say_why(owner, queue, send):
    assert "no records" in told(queue)["reason"]
    send(40)
    assert told(queue)["reason"] == "The segment holds no records."
    queue.evaluation_budget = 40
    rounds.run(owner, queue=queue, budget=40)
    assert "finished far enough" in told(queue)["reason"]
    conclude(queue, lambda one: False)
    assert told(queue)["value"] == 0.0
    assert told(queue, "recall", at="tier:0")["reason"].startswith("No violation was found")
    assert told(queue, "precision", at="tier:4")["reason"].startswith("Nothing was flagged")
    for metric in METRICS[2:]:
        empty = told(queue, metric, segment="region:mars")
        assert (empty["value"], empty["low"], empty["high"]) == (None, None, None)
        assert empty["reason"] == "The segment holds no records."


def test_a_weak_figure_is_called_weak(owner, queue, send):
    send(300)
    rounds.run(owner, queue=queue, budget=20)
    conclude(queue, lambda one: number_of(one) == 0)
    answer = told(queue)
    assert answer["is_weak"]
    assert answer["effective_positives"] < 10


def test_the_number_of_queries_does_not_grow(owner, queue, send):
    counts = []
    for batch in range(3):
        send([make_record(i, context={"region": "eu"}) for i in range(40 * batch, 40 * batch + 40)])
        rounds.run(owner, queue=queue, budget=8)
        conclude(queue, lambda one: number_of(one) % 3 == 0)
        with CaptureQueriesContext(
            connection,
        ) as queries:
            told(queue, "recall", segment="region:eu", at="tier:0")
        counts.append(len(queries))
    assert counts[0] == counts[1] == counts[2] < 30


def test_populations_are_counted_once_and_match_the_draw(owner, queue, send):
    send(50)
    rounds.run(owner, queue=queue, budget=5)
    rounds.run(owner, queue=queue, budget=5)
    for made in SamplingRound.objects.filter(queue=queue):
        rows = PopulationCount.objects.filter(
            window=made.window, stratum=made.stratum, segment="", queue=queue
        )
        assert sum(row.n for row in rows) == made.n_candidates
        assert all(row.at_tier[0] == row.at_score[0] == row.n for row in rows)


def test_over_refusal_by_model_on_real_answers(owner, queue, send):
    """Five models' answers to the same prompts: each share is found in its own segment."""
    folder = DATA / "drift_xstest"
    if not folder.exists():
        pytest.skip("the folder of shared data is not there")
    labels, records = (
        [json.loads(line) for line in gzip.decompress((folder / name).read_bytes()).splitlines()]
        for name in ("labels.ndjson.gz", "records.ndjson.gz")
    )
    refused = {row["external_id"]: row["final_label"] != "1_full_compliance" for row in labels}
    for record in records:
        record["context"] = {"model": record["model"]["name"]}
    for start in range(0, len(records), 750):
        send(records[start : start + 750])
    queue.floor, queue.evaluation_budget = 0.5, 150
    rounds.run(owner, queue=queue, budget=600)
    conclude(queue, lambda one: refused[one.external_id])
    shares = {
        "gpt4": 0.489,
        "mistralinstruct": 0.169,
        "mistralguard": 0.533,
        "llama2new": 0.609,
        "llama2orig": 0.776,
    }
    for model, share in shares.items():
        by_model, by_segment = told(queue, model=model), told(queue, segment=f"model:{model}")
        assert by_model == by_segment
        assert by_model["n_records"] == 450
        width = by_model["high"] - by_model["low"]
        assert width < 0.6, model
        assert abs(by_model["value"] - share) <= 1.4 * width, model  # 5.5 standard errors
