"""Pages of records and rounds: who opens them, what they narrow by, what they show and hide."""

import base64
import io
import re

import pytest
from PIL import Image

from oversight.jobs.models import Job
from oversight.tenancy.models import Role
from review.models import Case, EvidenceReveal, SamplingRound, Slot
from review.services import claims, rounds, verdicts
from scoring import tasks as scoring_tasks
from scoring.models import InferenceRecord
from tests.factories import make_api, make_record

READERS = {"lead", "policy_admin", "engineer", "auditor", "owner"}
ASKERS = {"lead", "engineer", "owner"}


@pytest.fixture
def api(world):
    world.user("owner")
    return make_api(world.project)


@pytest.fixture
def send(api):
    def send_records(records):
        answer = api.post("records", {"records": records})
        assert answer.json()["rejected"] == 0, answer.content
        return [result["id"] for result in answer.json()["results"]]

    return send_records


def path_of(world, rest=""):
    return f"/p/{world.slug}/records/{rest}"


def ids(page):
    return [str(row.record.pk) for row in page.context["rows"]]


def queue_of(world):
    return world.project.queues.select_related("project", "rubric").get()


class TestList:
    @pytest.mark.parametrize("role", sorted(Role.values))
    def test_it_opens_to_who_may_read_records(self, world, send, role):
        (record,) = send([make_record()])
        client = world.client(role)
        expected = 200 if role in READERS else 403
        for path in (path_of(world), path_of(world, f"{record}/")):
            assert client.get(path).status_code == expected

    def test_a_stranger_finds_nothing(self, world, other_world, send):
        (record,) = send([make_record()])
        stranger = other_world.client("owner")
        assert stranger.get(path_of(world)).status_code == 404
        assert stranger.get(path_of(world, f"{record}/")).status_code == 404
        assert stranger.get(path_of(other_world, f"{record}/")).status_code == 404
        assert ids(stranger.get(path_of(other_world))) == []

    def test_pages_go_on_where_the_last_one_ended_and_keep_the_filter(self, world, send):
        wanted = send([make_record(i, context={"region": "eu"}) for i in range(5)])
        send([make_record(10 + i, context={"region": "us"}) for i in range(3)])
        client, seen = world.client("lead"), []
        url = "?region=eu&limit=2"
        while url:
            page = client.get(path_of(world, url))
            seen += ids(page)
            url = page.context["next_url"]
        assert seen == wanted[::-1]
        assert page.context["first_url"] == path_of(world, "?region=eu&limit=2")

    def test_it_is_narrowed_by_each_filter(self, world, send):
        other = {"name": "assistant", "version": "2"}
        old, new = send([make_record(0), make_record(3_600, model=other)])
        moment = InferenceRecord.objects.get(pk=new).occurred_at.strftime("%Y-%m-%dT%H:%M:%S")
        client = world.client("engineer")
        for query, expected in {
            "": [new, old],
            "?model=assistant": [new, old],
            "?model=none": [],
            "?version=2": [new],
            "?tier=0&action=pass": [new, old],
            "?tier=4": [],
            f"?occurred_after={moment}": [new],
            f"?occurred_before={moment}": [old],
            "?model=&version=&tier=&action=&region=&occurred_after=&occurred_before=": [new, old],
        }.items():
            assert ids(client.get(path_of(world, query))) == expected, query

    @pytest.mark.parametrize(
        "query",
        ["tier=9", "action=x", "occurred_after=x", "bogus=1", "cursor=x", "cursor=WzVd", "limit=0",
         "region=%00"],
    )  # fmt: skip
    def test_what_is_no_filter_is_refused(self, world, query):
        assert world.client("lead").get(path_of(world, f"?{query}")).status_code == 400


class TestDetail:
    def page(self, world, record, role="lead"):
        return world.client(role).get(path_of(world, f"{record}/"))

    def test_hostile_text_is_text(self, world, send):
        (record,) = send(
            [
                make_record(
                    external_id="<i>x\u202ey",
                    output="<script>alert(1)</script> \u202e",
                    context={"<b>k": "<b>v"},
                )
            ]
        )
        text = self.page(world, record).content.decode()
        assert "<script>alert" not in text
        assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
        assert "\u202e" not in text
        assert "U+202E RLO" in text
        assert "<b>" not in text

    def test_the_score_is_explained_with_signed_numbers(self, world, api, send):
        send([make_record(i) for i in range(60)])
        config = {"minimum_records": 40, "review_from_tier": 1}
        job = api.post("scorers/default/versions", {"config": config}).json()
        scoring_tasks.fit_scorer(job["id"])
        api.post("scorers/default/versions/2/release")
        (record,) = send([make_record(700, external_id="x", signals={"toxicity": 9.0})])
        page = self.page(world, record)
        shown = page.context["shown"]
        text = page.content.decode()
        (reason,) = shown.evidence.reasons
        assert (reason.name, shown.evidence.action) == ("toxicity", "review")
        assert reason.detail in text
        assert f"+{reason.contribution:.3f}" in text
        assert re.search(r'<rect x="100\.0" y="1" width="100\.0"', text)
        assert 'data-tier="' + str(shown.record.tier) in text
        assert "default v2" in text

    def test_a_person_is_asked_once(self, world, send):
        (record,) = send([make_record()])
        lead, path = world.client("lead"), path_of(world, f"{record}/review")
        asked = lead.post(path, {"queue": "default", "reason": "a complaint"})
        assert asked.status_code == 302
        case = Case.objects.get(project=world.project)
        assert (str(case.evidence.record_id), case.kind) == (record, "escalated")
        assert list(self.page(world, record).context["shown"].cases) == [case]
        again = lead.post(path, {"queue": "default", "reason": "again"})
        assert again.status_code == 409
        assert "already" in again.content.decode()
        assert "again</textarea>" in again.content.decode()  # what was typed stays
        assert lead.post(path, {"queue": "default", "reason": " "}).status_code == 422
        assert lead.post(path, {"queue": "none", "reason": "x"}).status_code == 422
        assert Case.objects.count() == 1

    @pytest.mark.parametrize("role", sorted(Role.values))
    def test_who_may_ask(self, world, send, role):
        (record,) = send([make_record()])
        client, path = world.client(role), path_of(world, f"{record}/review")
        answer = client.post(path, {"queue": "default", "reason": "x"})
        assert answer.status_code == (302 if role in ASKERS else 403)
        if role in READERS:
            has_form = path in self.page(world, record, role).content.decode()
            assert has_form == (role in ASKERS)

    def test_nobody_asks_across_projects(self, world, other_world, send):
        (record,) = send([make_record()])
        foreign = other_world.client("owner")
        body = {"queue": "default", "reason": "x"}
        assert foreign.post(path_of(other_world, f"{record}/review"), body).status_code == 404
        assert foreign.post(path_of(world, f"{record}/review"), body).status_code == 404

    def test_without_consent_no_content_is_shown(self, world, send):
        content = [{"role": "user", "content": [image_piece()]}]
        (record,) = send([make_record(input=content, output="secret", consent={"review": False})])
        page = self.page(world, record, "owner")
        assert "secret" not in page.content.decode()
        assert "no consent" in page.content.decode()
        assert not page.context["may_ask"]
        image = world.client("owner").get(path_of(world, f"{record}/images/0"))
        assert image.status_code == 404

    def test_whoever_holds_the_case_is_not_told_the_score(self, world, send):
        (record,) = send([make_record(signals={"toxicity": 0.123456})])
        lead = world.client("lead")
        lead.post(path_of(world, f"{record}/review"), {"queue": "default", "reason": "x"})
        assert self.page(world, record).context["shown"].evidence is not None
        claim = claims.claim_next(world.actor("lead"), queue=queue_of(world))
        page = self.page(world, record)
        assert page.context["shown"].evidence is None
        assert "0.123456" not in page.content.decode()
        assert self.page(world, record, "engineer").context["shown"].evidence is not None
        Slot.objects.filter(pk=claim.slot.pk).update(lease_expires_at="2020-01-01T00:00:00Z")
        assert self.page(world, record).context["shown"].evidence is None  # it may yet be answered
        claims.claim_next(world.actor("reviewer"), queue=queue_of(world))
        assert self.page(world, record).context["shown"].evidence is not None

    def test_the_list_tells_no_score_of_a_record_in_hand(self, world, send):
        held, other = send([make_record(1), make_record(2)])
        lead, engineer = world.client("lead"), world.client("engineer")
        lead.post(path_of(world, f"{held}/review"), {"queue": "default", "reason": "x"})
        claim = claims.claim_next(world.actor("lead"), queue=queue_of(world))
        page = lead.get(path_of(world))
        shown = {str(row.record.pk): row.is_in_hand for row in page.context["rows"]}
        assert shown == {held: True, other: False}
        assert page.content.decode().count("you have a case of it in hand") == 1
        assert page.content.decode().count("data-tier") == 1
        for query in ("?tier=0", "?action=pass"):
            assert ids(lead.get(path_of(world, query))) == [other]
            assert set(ids(engineer.get(path_of(world, query)))) == {held, other}
        assert "in hand" not in engineer.get(path_of(world)).content.decode()
        claims.release(world.actor("lead"), case_id=claim.case.pk, token=claim.token)
        assert lead.get(path_of(world)).content.decode().count("data-tier") == 2


@pytest.mark.parametrize("place", ["records/{record}/", "records/", "rounds/{round}/"])
def test_what_a_page_tells_of_a_judged_record_counts_as_seen(world, send, place):
    send([make_record(i) for i in range(20)])
    made = rounds.run(world.actor("lead"), queue=queue_of(world), budget=3)[0]
    lead, actor = world.client("lead"), world.actor("lead")
    claim = claims.claim_next(actor, queue=queue_of(world))
    record = claim.case.evidence.record_id
    path = f"/p/{world.slug}/{place.format(record=record, round=made.pk)}"
    page = lead.get(path).content.decode()
    assert "in hand" in page
    assert "π =" not in page
    assert (str(record) in page) == (not place.startswith("rounds"))  # its stratum may tell of it
    answers = {
        q.key: True for q in claim.slot.rubric_version.questions.all() if q.kind == "boolean"
    }
    first = verdicts.submit(actor, case_id=claim.case.pk, claim_token=claim.token, answers=answers)
    world.client("engineer").get(path)
    assert not EvidenceReveal.objects.exists()
    assert "in hand" not in lead.get(path).content.decode()
    assert EvidenceReveal.objects.get().verdict == first
    assert not verdicts.supersede(actor, verdict_id=first.pk, answers=answers).is_blind


def image_piece():
    data = io.BytesIO()
    Image.new("RGB", (2, 2), "blue").save(data, "PNG")
    encoded = base64.b64encode(data.getvalue()).decode()
    return {"type": "image", "media_type": "image/png", "data": encoded}


def test_an_image_is_served_to_run_nothing(world, other_world, send):
    content = [{"role": "user", "content": [{"type": "text", "text": "see"}, image_piece()]}]
    (record,) = send([make_record(input=content)])
    path = path_of(world, f"{record}/images/1")
    assert path in world.client("auditor").get(path_of(world, f"{record}/")).content.decode()
    answer = world.client("auditor").get(path)
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    for index in (0, 2, 99):
        path = path_of(world, f"{record}/images/{index}")
        assert world.client("auditor").get(path).status_code == 404
    assert world.client("reviewer").get(path_of(world, f"{record}/images/1")).status_code == 403
    foreign = path_of(other_world, f"{record}/images/1")
    assert other_world.client("owner").get(foreign).status_code == 404


class TestRounds:
    @pytest.fixture
    def drawn(self, world, send):
        send([make_record(i) for i in range(60)])
        return rounds.run(world.actor("lead"), queue=queue_of(world), budget=7)[0]

    def path(self, world, rest=""):
        return f"/p/{world.slug}/rounds/{rest}"

    @pytest.mark.parametrize("role", sorted(Role.values))
    def test_they_open_to_who_may_read_figures(self, world, drawn, role):
        client = world.client(role)
        expected = 200 if role in READERS else 403
        assert client.get(self.path(world)).status_code == expected
        assert client.get(self.path(world, f"{drawn.pk}/")).status_code == expected
        draw = client.post(self.path(world, "draw"), {"queue": "none"})
        assert draw.status_code == (422 if role in ASKERS else 403)

    def test_a_stranger_finds_nothing(self, world, other_world, drawn):
        stranger = other_world.client("owner")
        assert stranger.get(self.path(world)).status_code == 404
        assert stranger.get(self.path(other_world, f"{drawn.pk}/")).status_code == 404
        assert stranger.get(self.path(other_world)).context["rounds"] == []

    def test_a_draw_is_asked_for_as_a_job(self, world):
        lead = world.client("lead")
        asked = lead.post(self.path(world, "draw"), {"queue": "default", "budget": "3"})
        job = Job.objects.get(project=world.project)
        assert asked["Location"].startswith(f"/p/{world.slug}/jobs/{job.pk}")
        assert job.arguments == {"queue": queue_of(world).pk, "budget": 3}
        refused = lead.post(self.path(world, "draw"), {"queue": "default", "budget": "0"})
        assert refused.status_code == 422
        assert "budget" in refused.context["form"].errors
        assert Job.objects.count() == 1

    def test_a_round_tells_all_of_its_draw(self, world, drawn):
        client, seen = world.client("engineer"), []
        url = "?limit=3"
        while url:
            page = client.get(self.path(world, f"{drawn.pk}/{url}"))
            seen += [selection.position for selection in page.context["selections"]]
            url = page.context["next_url"]
        assert seen == list(range(7))
        text = client.get(self.path(world, f"{drawn.pk}/")).content.decode()
        assert bytes(drawn.seed).hex() in text
        assert drawn.candidates_hash in text
        for selection in drawn.selections.all():
            assert f"{selection.inclusion_probability:.4g}" in text
            assert path_of(world, f"{selection.record_id}/") in text
        strata = SamplingRound.objects.filter(window=drawn.window).order_by("pk")
        assert page.context["strata"] == list(strata)
        assert page.context["completed_prefix"] == 0
        Case.objects.filter(selection__round=drawn, selection__position__lt=2).update(
            state="resolved"
        )
        page = client.get(self.path(world, f"{drawn.pk}/"))
        assert page.context["completed_prefix"] == 2
        assert page.content.decode().count(">resolved<") == 2
