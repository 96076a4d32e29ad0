"""The desk's addresses without a browser: who gets in, what scripts are told, what 4xx keep."""

import pytest
from django.urls import reverse

from review.models import Slot, Verdict
from tests.e2e import desk_world

pytestmark = pytest.mark.django_db

HTMX = {"HX-Request": "true"}


@pytest.fixture
def clinic():
    return desk_world.build([("q", "a"), ("q2", "a2")], questions=desk_world.BINARY)


@pytest.fixture
def desk(clinic, client):
    """A signed-in client with the first case in hand."""
    client.force_login(clinic.user)
    client.post(reverse("review:desk", args=["support", "answers"]))
    return client


def claimed():
    return Slot.objects.get(token__isnull=False)


def answer(client, slot, value="true", headers=None, **more):
    url = reverse("review:submit", args=["support", slot.case_id])
    data = {"claim_token": slot.token, "q-violates": value, **more}
    return client.post(url, data, headers=headers)


def addresses(world):
    case = world.cases[0].pk
    yield "get", reverse("review:queue_list", args=["support"])
    yield "get", reverse("review:desk", args=["support", "answers"])
    yield "post", reverse("review:desk", args=["support", "answers"])
    for name in ("submit", "skip", "release", "heartbeat"):
        yield "post", reverse(f"review:{name}", args=["support", case])
    yield "get", reverse("review:evidence_image", args=["support", case, 0])
    yield "get", reverse("review:verdict", args=["support", case])
    yield "post", reverse("review:reveal", args=["support", case])


def test_a_stranger_is_sent_to_the_login_and_a_script_is_told_401(clinic, client):
    for method, url in addresses(clinic):
        assert getattr(client, method)(url).url.startswith(reverse("account_login"))
        assert getattr(client, method)(url, headers=HTMX).status_code == 401


def test_a_member_of_another_project_finds_nothing(clinic, client):
    other = desk_world.build([("q", "a")], slug="elsewhere")
    client.force_login(other.user)
    for method, url in addresses(clinic):
        assert getattr(client, method)(url).status_code == 404


def test_a_role_that_may_not_review_is_refused(clinic, client):
    auditor = desk_world.User.objects.create_user("auditor@example.org", desk_world.PASSWORD)
    desk_world.Membership.objects.create(
        project=clinic.project, user=auditor, role=desk_world.Role.AUDITOR
    )
    client.force_login(auditor)
    assert client.get(reverse("review:queue_list", args=["support"])).status_code == 403
    assert client.post(reverse("review:desk", args=["support", "answers"])).status_code == 403
    assert Slot.objects.filter(token__isnull=False).count() == 0


def test_a_replay_is_told_the_same_and_another_answer_409(desk):
    slot = claimed()
    assert answer(desk, slot).status_code == 302
    assert answer(desk, slot).status_code == 302
    refused = answer(desk, slot, "false", note="a thought")
    assert refused.status_code == 409
    assert "a thought" in refused.content.decode()
    assert Verdict.objects.count() == 1


def test_a_script_gets_the_next_case_and_errors_beside_the_form(desk):
    slot = claimed()
    refused = answer(desk, slot, "", headers=HTMX)
    assert refused.status_code == 422
    assert "<html" not in refused.content.decode()
    taken = answer(desk, slot, headers=HTMX)
    assert taken.status_code == 200
    assert taken.content.decode().lstrip().startswith('<div id="case"')
    assert f'data-case="{claimed_after(slot)}"' in taken.content.decode()


def claimed_after(slot):
    return Slot.objects.exclude(pk=slot.pk).get(token__isnull=False).case_id


def test_a_heartbeat_extends_and_a_lost_claim_is_409(desk):
    slot = claimed()
    url = reverse("review:heartbeat", args=["support", slot.case_id])
    Slot.objects.filter(pk=slot.pk).update(lease_expires_at=desk_world.NOW)
    extended = desk.post(url, {"claim_token": slot.token})
    assert 600 <= extended.json()["seconds_left"] <= 900
    Slot.objects.filter(pk=slot.pk).update(reviewer=None, token=None)
    assert desk.post(url, {"claim_token": slot.token}).status_code == 409


@pytest.mark.parametrize("token", ["", "x", "00000000-0000-0000-0000-000000000000"])
def test_a_token_that_is_not_the_claims_changes_nothing(desk, token):
    slot = claimed()
    slot.token = token
    assert answer(desk, slot).status_code in (400, 409)
    assert Verdict.objects.count() == 0


def test_pages_are_never_cached_and_fragments_vary(desk):
    page = desk.get(reverse("review:desk", args=["support", "answers"]))
    assert page.headers["Cache-Control"] == "no-store, private"
    assert "HX-Request" in page.headers["Vary"]


@pytest.mark.parametrize("target", ["//evil.example/", "https://evil.example/", "/p/support/"])
def test_the_theme_switch_goes_back_to_this_site_only(client, target):
    answered = client.post(reverse("theme"), {"theme": "dark", "next": target})
    assert answered.url == (target if target == "/p/support/" else "/")
    assert answered.cookies["theme"].value == "dark"
