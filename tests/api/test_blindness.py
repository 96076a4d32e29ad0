"""What the API tells whoever judges: nothing before, and what it tells after counts as seen."""

import pytest

from oversight.audit.models import AuditEvent
from oversight.tenancy.actors import system_actor
from oversight.tenancy.services.keys import create_key
from review.models import CaseResolution, EvidenceReveal, Skip, Slot
from review.services import rounds
from tests.factories import make_api, make_member
from tests.judging import answers_for

SCORE = {"score", "tier", "raw", "p_violation", "reasons", "kind", "inclusion_probability"}


@pytest.fixture
def drawn(owner, queue, send):
    """A queue with three cases, each for two reviewers."""
    queue.overlap, queue.evaluation_budget = 2, 0
    queue.save()
    send(20)
    return rounds.run(owner, queue=queue, budget=3)


def claim(api, queue):
    answer = api.post(f"queues/{queue.slug}/claim")
    assert answer.status_code == 200, answer.content
    return answer.json()


def answer(api, queue, is_violation=True):
    got = claim(api, queue)
    body = {
        "claim_token": got["claim"]["token"],
        "answers": answers_for(got["case"], is_violation),
    }
    return got["case"], api.post(f"cases/{got['case']['id']}/verdicts", body).json()


def correct(api, case, verdict, is_violation=False):
    body = {"answers": answers_for(case, is_violation)}
    return api.post(f"verdicts/{verdict['id']}/supersede", body).json()


def rater(project, api, *scopes):
    key = create_key(
        system_actor(project), name="judge", scopes=["review", *scopes], ai_rater="judge-1"
    )
    return type(api)(key[1], api.client)


@pytest.fixture(params=["member", "rater"])
def judge(request, project, api):
    """Whoever gives verdicts by a key."""
    return api if request.param == "member" else rater(project, api)


@pytest.fixture(params=["member", "rater"])
def reading_judge(request, project, api):
    """Whoever gives verdicts by a key that reads records and figures too."""
    return api if request.param == "member" else rater(project, api, "records:read")


def test_a_correction_after_the_case_was_read_is_not_blind(judge, queue, drawn):
    case, first = answer(judge, queue)
    assert judge.get(f"cases/{case['id']}").json().keys() >= SCORE
    assert EvidenceReveal.objects.get().verdict_id.hex == first["id"].replace("-", "")
    second = correct(judge, case, first)
    assert (first["is_blind"], second["is_blind"]) == (True, False)
    seen = AuditEvent.objects.filter(action="evidence.seen")
    assert [event.object_id for event in seen] == [first["id"]]
    assert judge.get(f"cases/{case['id']}").json().keys() >= SCORE


@pytest.mark.parametrize("place", ["records/{record}", "records?limit=100", "rounds/{round}"])
def test_a_correction_after_the_score_was_told_elsewhere_is_not_blind(
    reading_judge, queue, drawn, place
):
    case, first = answer(reading_judge, queue)
    other_case, other = answer(reading_judge, queue)
    path = place.format(record=case["record"]["id"], round=drawn[0].pk)
    assert reading_judge.get(path).status_code == 200
    assert reading_judge.get(path).status_code == 200
    told = {first["id"]} if "/{record}" in place else {first["id"], other["id"]}
    seen = AuditEvent.objects.filter(action="evidence.seen").order_by("id")
    assert sorted(event.object_id for event in seen) == sorted(told)
    assert {event.detail["case"] for event in seen} <= {case["id"], other_case["id"]}
    assert {str(row.verdict_id) for row in EvidenceReveal.objects.all()} == told
    assert correct(reading_judge, case, first)["is_blind"] is False
    assert correct(reading_judge, other_case, other)["is_blind"] is (other["id"] not in told)


def test_what_one_has_not_judged_is_not_noted_as_seen(project, api, queue, drawn):
    case, _ = answer(api, queue)
    colleague = make_api(project, user=make_member(project).user)
    colleague.get(f"records/{case['record']['id']}")
    make_api(project, scopes=["records:read"]).get(f"records/{case['record']['id']}")
    assert EvidenceReveal.objects.count() == 0


def test_a_round_tells_the_place_alone_of_what_is_in_hand(project, reading_judge, queue, drawn):
    path = f"rounds/{drawn[0].pk}"
    reader = make_api(project, scopes=["records:read"])
    got = claim(reading_judge, queue)
    told, known = (by.get(path).json()["selections"] for by in (reading_judge, reader))
    for mine, theirs in zip(told, known, strict=True):
        assert theirs["withheld"] is False
        if theirs["record"] == got["case"]["record"]["id"]:
            assert mine == dict.fromkeys(theirs) | {"position": mine["position"], "withheld": True}
        else:
            assert mine == theirs
    assert [row["withheld"] for row in told].count(True) == 1
    body = {"claim_token": got["claim"]["token"], "answers": answers_for(got["case"], True)}
    reading_judge.post(f"cases/{got['case']['id']}/verdicts", body)
    assert reading_judge.get(path).json()["selections"] == known


def test_one_case_tells_nothing_while_another_of_its_record_is_in_hand(
    reading_judge, api, queue, drawn
):
    case, _ = answer(reading_judge, queue)
    asked = {"queue": queue.slug, "reason": "a complaint"}
    assert api.post(f"records/{case['record']['id']}/review", asked).status_code == 201
    again = claim(reading_judge, queue)
    assert again["case"]["record"] == case["record"]
    assert not reading_judge.get(f"cases/{case['id']}").json().keys() & SCORE
    assert reading_judge.get(f"records/{case['record']['id']}").json()["withheld"] is True
    assert EvidenceReveal.objects.count() == 0
    body = {"claim_token": again["claim"]["token"]}
    reading_judge.post(f"cases/{again['case']['id']}/release", body)
    assert reading_judge.get(f"cases/{case['id']}").json().keys() >= SCORE


def test_figures_keep_the_answer_that_was_blind(api, queue, drawn, project):
    queue.overlap = 1
    queue.save()
    case, first = answer(api, queue)
    colleague = make_api(project, user=make_member(project).user)
    answer(colleague, queue)
    api.get(f"cases/{case['id']}")
    correct(api, case, first)
    last = CaseResolution.objects.filter(case=case["id"]).latest("number")
    assert (last.violation, last.verdicts[0]) == (True, first["id"])


def test_a_correction_before_the_case_was_read_is_blind(judge, queue, drawn):
    case, first = answer(judge, queue)
    assert correct(judge, case, first)["is_blind"] is True
    assert EvidenceReveal.objects.count() == 0


def test_a_queue_that_is_blind_always_tells_nothing_after_either(judge, queue, drawn):
    queue.evidence = "always"
    queue.save()
    case, first = answer(judge, queue)
    assert not judge.get(f"cases/{case['id']}").json().keys() & SCORE
    assert EvidenceReveal.objects.count() == 0
    assert correct(judge, case, first)["is_blind"] is True


def test_what_others_answered_is_told_once_one_has_answered_oneself(project, api, queue, drawn):
    lead = make_api(project, scopes=["review"], user=make_member(project).user)
    both = make_api(project, scopes=["review", "records:read"], user=make_member(project).user)
    reader = make_api(project, scopes=["records:read"])
    case, given = answer(api, queue)
    path = f"verdicts?case={case['id']}"

    def told(by):
        return [row["id"] for row in by.get(path).json()["results"]]

    assert told(reader) == told(api) == [given["id"]]
    assert told(both) == told(lead) == []  # it may come to them
    held = claim(both, queue)
    assert held["case"]["id"] == case["id"]
    assert told(both) == []  # it has
    body = {"claim_token": held["claim"]["token"], "answers": answers_for(case, True)}
    own = both.post(f"cases/{case['id']}/verdicts", body).json()
    assert told(both) == [given["id"], own["id"]]
    assert told(lead) == []  # a reviewer sees their own alone


@pytest.mark.parametrize("ending", ["skipped", "full"])
def test_a_case_that_cannot_come_any_more_is_told(project, api, queue, drawn, ending):
    both = make_api(project, scopes=["review", "records:read"], user=make_member(project).user)
    case, given = answer(api, queue)
    if ending == "skipped":
        held = claim(both, queue)
        body = {"claim_token": held["claim"]["token"], "reason": "cannot tell"}
        assert both.post(f"cases/{case['id']}/skip", body).status_code == 204
        expected = [given["id"]]
    else:
        other = make_api(project, scopes=["review"], user=make_member(project).user)
        expected = [given["id"], answer(other, queue)[1]["id"]]
    told = both.get(f"verdicts?case={case['id']}").json()["results"]
    assert [row["id"] for row in told] == expected


@pytest.mark.parametrize("others", [0, 1])
def test_a_tie_goes_to_nobody_who_has_read_the_answers(project, api, queue, drawn, others):
    lead = make_api(project, scopes=["review", "records:read"], user=make_member(project).user)
    colleague = make_api(project, user=make_member(project).user)
    case, first = answer(api, queue)
    answer(colleague, queue)
    readers = [make_api(project, user=make_member(project).user) for _ in range(others)]
    for active in (lead, *readers):
        assert answer(active, queue)[0]["id"] != case["id"]
    for _ in range(2):
        assert len(lead.get(f"verdicts?case={case['id']}").json()["results"]) == 2
    seen = AuditEvent.objects.get(action="answers.seen")
    assert seen.object_id == case["id"]
    assert Skip.objects.get().case_id.hex == case["id"].replace("-", "")
    correct(api, case, first)
    assert CaseResolution.objects.filter(case=case["id"]).latest("number").rule == "tie"
    assert Slot.objects.filter(case=case["id"], state="open").count() == others
    assert claim(lead, queue)["case"]["id"] != case["id"]
    for reader in readers:
        assert claim(reader, queue)["case"]["id"] == case["id"]


def test_a_tie_goes_to_nobody_who_has_skipped_the_case(project, api, queue, drawn):
    skipper = make_api(project, scopes=["review"], user=make_member(project).user)
    got = claim(skipper, queue)
    body = {"claim_token": got["claim"]["token"], "reason": "cannot tell"}
    skipper.post(f"cases/{got['case']['id']}/skip", body)
    answer(skipper, queue)
    case, _ = answer(api, queue)
    answer(make_api(project, user=make_member(project).user), queue, is_violation=False)
    assert case["id"] == got["case"]["id"]
    assert CaseResolution.objects.get(case=case["id"]).rule == "tie"
    assert not Slot.objects.filter(case=case["id"], state="open").exists()


def test_a_rater_that_reads_figures_is_told_no_answers_before_its_own(project, api, queue, drawn):
    machine = rater(project, api, "records:read")
    got = claim(machine, queue)
    for _ in range(2):
        answer(make_api(project, user=make_member(project).user), queue)
    path = f"verdicts?case={got['case']['id']}"
    assert machine.get(path).json()["results"] == []
    body = {"claim_token": got["claim"]["token"], "answers": answers_for(got["case"], True)}
    assert machine.post(f"cases/{got['case']['id']}/verdicts", body).status_code == 201
    assert len(machine.get(path).json()["results"]) == 3


SWAYING = ("score", "raw", "tier", "action", "signals")


@pytest.mark.parametrize("as_rater", [False, True])
def test_a_records_score_is_withheld_while_its_case_is_in_hand(
    project, api, queue, drawn, as_rater
):
    reader = make_api(project, scopes=["records:read"])
    if as_rater:
        judging = rater(project, api, "records:read")
    else:
        user = make_member(project).user
        judging = make_api(project, scopes=["review", "records:read"], user=user)
    got = claim(judging, queue)
    record = got["case"]["record"]["id"]

    def listed(by, query=""):
        return {row["id"]: row for row in by.get(f"records?limit=100{query}").json()["results"]}

    for told in (judging.get(f"records/{record}").json(), listed(judging)[record]):
        assert told["withheld"] is True
        assert {told[name] for name in SWAYING} == {None}
        assert told.get("reasons") is None
    known = reader.get(f"records/{record}").json()
    assert known["withheld"] is False
    assert None not in [known[name] for name in SWAYING]
    for query in (f"&tier={known['tier']}", f"&action={known['action']}"):
        assert listed(judging, query).keys() == listed(reader, query).keys() - {record}
    assert {row["withheld"] for row in listed(judging).values()} == {True, False}
    body = {"claim_token": got["claim"]["token"]}
    assert judging.post(f"cases/{got['case']['id']}/release", body).status_code == 204
    assert listed(judging) == listed(reader)
