"""From records to verdicts over the API: rounds, claims, answers, corrections."""

import pytest
from django.db.models.functions import Now

from oversight.jobs.models import Job
from oversight.tenancy.actors import system_actor
from oversight.tenancy.services.keys import create_key
from review import tasks
from review.models import Case, CaseResolution, RubricVersion, SamplingRound, Slot, Verdict
from review.services import rounds, rubrics, verification
from tests.factories import make_api, make_member, make_project, make_record

ANSWERS = {"violation": True}


@pytest.fixture
def drawn(project, owner, queue, send):
    send(60)
    return rounds.run(owner, queue=queue, budget=10)


def answers_for(case):
    """A valid answer to every required question of the starter rubric."""
    told = {}
    for question in case["rubric"]["questions"]:
        if question["kind"] == "boolean":
            told[question["key"]] = False
        elif question["kind"] == "choice":
            told[question["key"]] = question["options"][0]["value"]
        elif question["kind"] == "multichoice":
            told[question["key"]] = []
        elif question["kind"] == "scale":
            told[question["key"]] = question["options"]["min"]
        elif question["required"]:
            told[question["key"]] = "text"
    return told


def claim(api, queue):
    answer = api.post(f"queues/{queue.slug}/claim")
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_a_round_by_job(project, api, queue, send):
    send(40)
    asked = api.post("rounds", {"queue": queue.slug, "budget": 5})
    assert asked.status_code == 202
    job = asked.json()
    assert tasks.run_round(job["id"]) == "done"
    done = api.get(f"jobs/{job['id']}").json()
    assert done["status"] == "done"
    told = api.get(f"rounds/{done['result']['round']}").json()
    assert told["selected"] == len(told["selections"]) == 5
    strata = SamplingRound.objects.filter(project=project)
    assert sum(made.n_candidates for made in strata) == 40
    assert all(0 < s["inclusion_probability"] <= 1 for s in told["selections"])
    again = api.post("rounds", {"queue": queue.slug}).json()
    tasks.run_round(again["id"])
    assert Job.objects.get(pk=again["id"]).result["round"] is None


def test_a_task_that_runs_twice_draws_once(api, project, queue, send):
    send(20)
    job = api.post("rounds", {"queue": queue.slug}).json()
    tasks.run_round(job["id"])
    assert tasks.run_round(job["id"]) == "not due"
    count = SamplingRound.objects.filter(project=project).count()
    window = SamplingRound.objects.filter(project=project)[0].window
    rounds.draw_window(make_member(project, "lead"), queue=queue, window=window)
    assert SamplingRound.objects.filter(project=project).count() == count


def test_rounds_verify(drawn):
    assert {verification.verify_round(made).outcome for made in drawn} == {"full"}


def test_cases_are_served_in_key_order_and_hide_what_sways(api, queue, drawn):
    stream = next(made for made in drawn if made.stratum == "stream")
    expected = [str(s.record_id) for s in stream.selections.order_by("position")]
    served = []
    while (answer := api.post(f"queues/{queue.slug}/claim")).status_code == 200:
        case = answer.json()["case"]
        assert set(case) == {"id", "record", "rubric", "policy"}
        assert not {"score", "tier", "signals"} & set(case["record"])
        served.append(case["record"]["id"])
    assert [record for record in served if record in expected] == expected


def test_answer_and_see(api, queue, drawn):
    got = claim(api, queue)
    case, token = got["case"], got["claim"]["token"]
    before = api.get(f"cases/{case['id']}").json()
    assert "score" not in before
    body = {"claim_token": token, "answers": answers_for(case), "note": "fine", "seconds": 12.5}
    answer = api.post(f"cases/{case['id']}/verdicts", body)
    assert answer.status_code == 201, answer.content
    verdict = answer.json()
    assert verdict["is_blind"] is True
    assert verdict["rubric_version"] == case["rubric"]["version"]
    assert verdict["clause_hashes"]
    replay = api.post(f"cases/{case['id']}/verdicts", body)
    assert (replay.status_code, replay.json()["id"]) == (201, verdict["id"])
    after = api.get(f"cases/{case['id']}").json()
    assert after["inclusion_probability"] > 0
    resolution = CaseResolution.objects.get(case=case["id"])
    assert (resolution.number, resolution.rule, resolution.violation) == (1, "single", False)


def test_stale_and_foreign_tokens_are_refused(project, api, queue, drawn):
    got = claim(api, queue)
    case, token = got["case"], got["claim"]["token"]
    colleague = make_api(project, user=make_member(project).user)
    body = {"claim_token": token, "answers": answers_for(case)}
    stolen = colleague.post(f"cases/{case['id']}/verdicts", body)
    assert stolen.status_code == 409
    assert stolen.json()["state"]["state"] == "open"
    Slot.objects.filter(case=case["id"]).update(lease_expires_at="2020-01-01T00:00:00Z")
    taken = claim(colleague, queue)
    assert taken["case"]["id"] == case["id"]
    late = api.post(f"cases/{case['id']}/verdicts", body)
    assert (late.status_code, late.json()["code"]) == (409, "claim_lost")
    assert not Verdict.objects.filter(case=case["id"]).exists()


def test_a_late_answer_counts_while_nobody_took_the_slot(api, queue, drawn):
    got = claim(api, queue)
    case, token = got["case"], got["claim"]["token"]
    Slot.objects.filter(case=case["id"]).update(lease_expires_at="2020-01-01T00:00:00Z")
    body = {"claim_token": token, "answers": answers_for(case)}
    assert api.post(f"cases/{case['id']}/verdicts", body).status_code == 201


def test_heartbeat_release_and_skip(api, queue, drawn):
    got = claim(api, queue)
    case, token = got["case"]["id"], got["claim"]["token"]
    assert api.post(f"cases/{case}/heartbeat", {"claim_token": token}).status_code == 200
    assert api.post(f"cases/{case}/release", {"claim_token": token}).status_code == 204
    assert api.post(f"cases/{case}/release", {"claim_token": token}).status_code == 409
    again = claim(api, queue)
    assert again["case"]["id"] == case
    token = again["claim"]["token"]
    assert api.post(f"cases/{case}/skip", {"claim_token": token}).status_code == 400
    said = api.post(f"cases/{case}/skip", {"claim_token": token, "reason": "not my language"})
    assert said.status_code == 204
    assert claim(api, queue)["case"]["id"] != case


def test_wrong_answers_are_named(api, queue, drawn):
    got = claim(api, queue)
    body = {"claim_token": got["claim"]["token"], "answers": {"nonsense": 1}}
    answer = api.post(f"cases/{got['case']['id']}/verdicts", body)
    assert answer.status_code == 400
    assert all(error["path"].startswith("answers.") for error in answer.json()["errors"])


def test_a_correction_supersedes_and_appends(api, queue, drawn):
    got = claim(api, queue)
    case = got["case"]
    body = {"claim_token": got["claim"]["token"], "answers": answers_for(case)}
    first = api.post(f"cases/{case['id']}/verdicts", body).json()
    flipped = {k: (not v if isinstance(v, bool) else v) for k, v in answers_for(case).items()}
    second = api.post(f"verdicts/{first['id']}/supersede", {"answers": flipped})
    assert second.status_code == 201, second.content
    assert second.json()["supersedes"] == first["id"]
    again = api.post(f"verdicts/{first['id']}/supersede", {"answers": flipped})
    assert again.status_code == 409
    numbers = CaseResolution.objects.filter(case=case["id"]).values_list("number", "violation")
    assert sorted(numbers)[0][0] == 1
    assert len(numbers) == 2


def test_escalated_records_come_first_and_hide_their_origin(api, queue, drawn, send):
    record = send([make_record(500)])["results"][0]["id"]
    asked = api.post(f"records/{record}/review", {"queue": queue.slug, "reason": "a complaint"})
    assert asked.status_code == 201
    twice = api.post(f"records/{record}/review", {"queue": queue.slug, "reason": "again"})
    assert twice.status_code == 409
    case = claim(api, queue)["case"]
    assert case["record"]["id"] == record
    assert "kind" not in case
    assert Case.objects.get(pk=case["id"]).kind == "escalated"


def test_an_ai_rater_takes_no_human_place(project, api, queue, drawn):
    _, text = create_key(system_actor(project), name="judge", scopes=["review"], ai_rater="judge-1")
    rater = type(api)(text, api.client)
    seen = set()
    while (answer := rater.post(f"queues/{queue.slug}/claim")).status_code == 200:
        got = answer.json()
        seen.add(got["case"]["id"])
        body = {"claim_token": got["claim"]["token"], "answers": answers_for(got["case"])}
        verdict = rater.post(f"cases/{got['case']['id']}/verdicts", body).json()
        assert verdict["is_human"] is False
    assert len(seen) == sum(made.n_selected for made in drawn)
    assert not CaseResolution.objects.filter(case__project=project).exists()
    assert claim(api, queue)["case"]["id"] in seen


def test_a_rater_that_comes_back_late_answers_the_form_of_now(project, owner, api, queue, drawn):
    _, text = create_key(system_actor(project), name="judge", scopes=["review"], ai_rater="judge-1")
    rater = type(api)(text, api.client)
    first = claim(rater, queue)["case"]
    Slot.objects.filter(case=first["id"], ai_rater="judge-1").update(lease_expires_at=Now())
    published = RubricVersion.objects.get(rubric=queue.rubric, status="published")
    draft = rubrics.draft_rubric(
        owner, slug=queue.rubric.slug, questions=rubrics.as_plain(published), changelog="Again."
    )
    rubrics.publish_rubric(owner, slug=queue.rubric.slug, number=draft.number)
    again = claim(rater, queue)["case"]
    assert again["id"] == first["id"]
    assert again["rubric"]["version"] == draft.number == first["rubric"]["version"] + 1
    assert Slot.objects.get(case=first["id"], ai_rater="judge-1").rubric_version == draft


def test_nothing_across_projects(api, queue, drawn):
    stranger = make_api(make_project())
    got = claim(api, queue)
    case = got["case"]["id"]
    body = {"claim_token": got["claim"]["token"]}
    assert stranger.get(f"cases/{case}").status_code == 404
    assert stranger.post(f"cases/{case}/release", body).status_code == 404
    assert stranger.get(f"rounds/{drawn[0].pk}").status_code == 404
    assert stranger.get("verdicts").json()["results"] == []
