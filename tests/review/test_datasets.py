"""Exports: exact weights, one snapshot, files that public loaders accept, consent, replays."""

import json

import numpy as np
import pytest

from oversight.jobs.models import Job
from review.models import (
    Case,
    CaseEvidence,
    SamplingRound,
    Selection,
    VerdictNote,
)
from review.selectors import finished_rounds
from review.services import cases, datasets, rounds
from scoring.core import sampling
from tests.factories import make_api, make_member, make_record
from tests.judging import answers_for, judge, rows_of

pytestmark = pytest.mark.django_db(transaction=True)

NEEDED = {
    *("record_id", "external_id", "occurred_at", "model_name", "model_version", "score", "tier"),
    *("label", "label_rule", "n_verdicts", "agreement", "inclusion_probability", "weight"),
    *("round_id", "policy_version", "rubric_version", "scorer_version"),
}


def test_a_census_weighs_every_record_once(api, owner, queue, send, export):
    send(40)
    rounds.run(owner, queue=queue, budget=100)
    queue_budgets = SamplingRound.objects.filter(queue=queue)
    judge(api, queue)
    dataset = export()
    rows = rows_of(dataset)
    assert all(set(row) >= NEEDED for row in rows)
    whole = {made.pk: made.n_candidates for made in queue_budgets if made.n_selected}
    for round_id, n in whole.items():
        total = sum(row["weight"] for row in rows if row["round_id"] == round_id)
        taken = SamplingRound.objects.get(pk=round_id)
        if taken.threshold_kind == "taken":
            assert total == pytest.approx(n)
    stream = [row for row in rows if row["stratum"] == "stream"]
    assert {row["weight"] for row in stream} == {1.0}
    assert sum(row["label"] for row in stream) == sum(
        int(row["external_id"].rpartition("-")[2]) % 3 == 0 for row in stream
    )
    assert {row["split"] for row in stream} == {"train"}


def test_a_whole_draw_weighs_by_its_stored_probability(api, owner, queue, send, export):
    send(60)
    rounds.run(owner, queue=queue, budget=10)
    judge(api, queue)
    rows = rows_of(export())
    stored = {
        str(s.record_id): s.inclusion_probability
        for s in Selection.objects.filter(round__queue=queue)
    }
    assert {row["record_id"] for row in rows} == set(stored)
    for row in rows:
        assert row["inclusion_probability"] == stored[row["record_id"]]
        assert row["weight"] == pytest.approx(1 / stored[row["record_id"]], rel=1e-12)
        assert row["in_prefix"] is True


def test_a_part_of_a_draw_weighs_as_a_smaller_draw(api, owner, queue, send, export):
    """Against the sampler itself: the prefix of k' is the draw of budget k' (same keys)."""
    send(60)
    rounds.run(owner, queue=queue, budget=12)
    judge(api, queue, 8)
    stream = SamplingRound.objects.get(queue=queue, stratum="stream")
    selections = list(stream.selections.order_by("position"))
    done = set(
        Case.objects.filter(selection__round=stream, state="resolved").values_list(
            "selection__position", flat=True
        )
    )
    prefix = next(i for i in range(13) if i not in done)
    assert 0 < prefix < 12, "the scenario needs an unfinished round"
    dataset = export()
    rows = [row for row in rows_of(dataset) if row["round_id"] == stream.pk]
    told = next(made for made in dataset.manifest["rounds"] if made["id"] == stream.pk)
    assert told["completed_prefix"] == prefix
    following = selections[prefix]
    for position, row in enumerate(rows[:prefix]):
        kept = selections[position]
        assert row["record_id"] == str(kept.record_id)
        log_softmax = stream.tau * kept.gain - stream.log_normalizer
        if following.key is None:
            hazard = min(stream.floor_hazard, following.exponential)
        else:
            hazard = stream.floor_hazard + 2.718281828459045 ** min(log_softmax - following.key, 50)
        assert row["weight"] == pytest.approx(1 / (1 - 2.718281828459045**-hazard), rel=1e-9)
        assert row["inclusion_probability"] == kept.inclusion_probability


def test_an_answer_beyond_the_prefix_weighs_nothing(api, project, owner, queue, send, export):
    send(60)
    rounds.run(owner, queue=queue, budget=8)
    first = Case.objects.filter(selection__position=0, selection__round__stratum="stream").get()
    held = api.post(f"queues/{queue.slug}/claim").json()  # one reviewer sits on a case
    while held["case"]["id"] != str(first.pk):
        token = held["claim"]["token"]
        body = {"claim_token": token, "answers": answers_for(held["case"], False)}
        assert api.post(f"cases/{held['case']['id']}/verdicts", body).status_code == 201
        held = api.post(f"queues/{queue.slug}/claim").json()
    colleague = make_api(project, user=make_member(project).user)
    judge(colleague, queue)
    dataset = export()
    stream = [row for row in rows_of(dataset) if row["stratum"] == "stream"]
    assert len(stream) == 7
    assert {(row["weight"], row["in_prefix"]) for row in stream} == {(0.0, False)}
    assert dataset.manifest["counts"]["beyond_prefix"] == 7


def test_weights_are_unbiased_under_every_prefix():
    """E[Σ weight] = N: drawn again and again, with an unspent budget."""
    rng = np.random.default_rng(7)
    n, budget, prefix = 40, 10, 4
    gains = sampling.quantise(rng.gamma(1.0, 0.3, n))
    totals = []
    for _ in range(3_000):
        draw = sampling.floored_order_sample(
            gains, rng.uniform(1e-12, 1, n), budget=budget, tau=3.0, floor=0.3
        )
        selections = [
            {
                "position": position,
                "gain": gains[index],
                "key": None if np.isinf(draw.keys[position]) else draw.keys[position],
                "exponential": draw.exponentials[position],
                "inclusion_probability": draw.inclusion_probabilities[position],
            }
            for position, index in enumerate(draw.selected)
        ]
        stored = {
            "tau": draw.tau,
            "log_normalizer": draw.log_normalizer,
            "floor_hazard": draw.floor_hazard,
            "n_selected": budget,
            **{"id": 1, "window_id": 1, "stratum": "stream", "number": 1, "n_candidates": n},
            **{"threshold": draw.threshold, "threshold_exponential": draw.threshold_exponential},
            **{"threshold_kind": "finite", "cut": None, "beyond": None},
            "unfinished": selections[prefix],
        }
        found = finished_rounds.finish([stored])[1].weights(
            np.arange(budget), gains[draw.selected], draw.inclusion_probabilities
        )
        assert not found[prefix:].any()
        np.testing.assert_allclose(found[:prefix], 1 / sampling.prefix_inclusion(draw, prefix))
        totals.append(sum(found))
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - n) < 4 * error


def test_what_a_person_chose_weighs_one(api, owner, queue, send, export):
    send(30)
    rounds.run(owner, queue=queue, budget=5)
    drawn = Selection.objects.filter(round__queue=queue, position=0).first()
    cases.escalate_record(owner, queue=queue, record_id=drawn.record_id, reason="a complaint")
    judge(api, queue)
    dataset = export()
    twice = [row for row in rows_of(dataset) if row["record_id"] == str(drawn.record_id)]
    assert {(row["stratum"] == "certain", row["weight"]) for row in twice} == {
        (True, 1.0),
        (False, 0.0),
    }
    certain = next(row for row in twice if row["stratum"] == "certain")
    assert (certain["inclusion_probability"], certain["round_id"]) == (1.0, None)
    assert dataset.manifest["counts"]["drawn_and_certain"] == 1


def test_raw_holds_every_verdict_and_shares_a_cases_weight(api, owner, queue, send, export):
    send(30)
    rounds.run(owner, queue=queue, budget=5)
    given = judge(api, queue, note="quotes the content")
    case = api.get(f"cases/{given[0]['case']}").json()
    body = {"answers": answers_for(case, True)}
    corrected = api.post(f"verdicts/{given[0]['id']}/supersede", body).json()
    dataset = export("raw")
    rows = {row["verdict_id"]: row for row in rows_of(dataset)}
    assert set(rows) == {verdict["id"] for verdict in given} | {corrected["id"]}
    old, new = rows[given[0]["id"]], rows[corrected["id"]]
    assert (old["is_superseded"], new["supersedes"]) == (True, given[0]["id"])
    assert sum(row["weight"] for row in rows.values()) == pytest.approx(
        sum(row["weight"] for row in rows_of(export()))
    )
    assert json.loads(new["answers"])
    assert json.loads(new["clause_hashes"])
    assert len({row["reviewer"] for row in rows.values()}) == 1
    assert str(owner.user.pk) not in {row["reviewer"] for row in rows.values()}
    # Notes may quote content, and these records have no training consent.
    assert {row["note"] for row in rows.values()} == {None}
    assert dataset.manifest["emptied"]["note_without_training_consent"] == len(given)


def test_content_leaves_with_training_consent_only(api, owner, queue, send, export):
    consent = {"review": True, "training": True, "basis": "contract"}
    send([make_record(i, **({"consent": consent} if i % 2 else {})) for i in range(40)])
    rounds.run(owner, queue=queue, budget=40)
    judge(api, queue, note="fine")
    dataset = export("classification")
    rows = rows_of(dataset)
    assert rows
    assert all(int(row["external_id"].rpartition("-")[2]) % 2 for row in rows)
    assert all("question number" in row["input"] for row in rows)
    held_out = set(CaseEvidence.objects.filter(held_out=True).values_list("external_id", flat=True))
    assert not held_out & {row["external_id"] for row in rows}
    withheld = dataset.manifest["withheld"]
    assert withheld["no_training_consent"] + withheld.get("held_out", 0) + len(rows) == (
        Case.objects.filter(state="resolved").count()
    )
    assert Job.objects.get(pk=dataset.job_id).result["withheld"] == withheld
    assert dataset.manifest["consent"] == [
        {"training": True, "basis": "contract", "rows": len(rows)}
    ]
    assert rows_of(export())[0].keys().isdisjoint({"input", "output"})
    measured = rows_of(export("evaluation"))
    assert {row["external_id"] for row in measured} <= held_out
    assert all((row["input"] is not None) == _odd(row) for row in measured)
    VerdictNote.objects.update(note="", erased_at="2026-01-01T00:00:00Z")
    assert {row["note"] for row in rows_of(export("raw"))} == {None}


def _odd(row):
    return int(row["external_id"].rpartition("-")[2]) % 2 == 1


def test_erased_evidence_is_withheld(api, owner, queue, send, export):
    send(30)
    rounds.run(owner, queue=queue, budget=5)
    judge(api, queue)
    gone = CaseEvidence.objects.first()
    CaseEvidence.objects.filter(pk=gone.pk).update(erased_at="2026-01-01T00:00:00Z")
    dataset = export()
    assert str(gone.record_id) not in {row["record_id"] for row in rows_of(dataset)}
    assert dataset.manifest["withheld"] == {"erased": 1}
    assert datasets.withdraw_holding(owner, evidence_ids=[gone.pk]) == 1
    answer = api.get(f"datasets/{dataset.pk}/files/README.md")
    assert (answer.status_code, answer.json()["code"]) == (410, "gone")
    assert not datasets.folder_of(dataset).exists()
