"""What the desk says is left: what its reviewer can be given now, no more and no less."""

from datetime import UTC, datetime, timedelta

import pytest

from review.models import Slot
from review.selectors import desk
from review.services import claims, rounds, verdicts
from tests.factories import make_member, make_record

pytestmark = pytest.mark.django_db

N = 6


@pytest.fixture
def drawn(owner, queue, send):
    """A queue with six cases, each for two reviewers."""
    queue.overlap, queue.evaluation_budget = 2, 0
    queue.save()
    send(20)
    return rounds.run(owner, queue=queue, budget=N)


@pytest.fixture
def queue_of_world(world):
    """The same in a world with pages."""
    sent = [make_record(i) for i in range(20)]
    assert world.api("records:write")("POST", "records", {"records": sent}).status_code == 200
    queue = world.project.queues.select_related("project", "rubric").get()
    queue.overlap, queue.evaluation_budget = 2, 0
    queue.save()
    rounds.run(world.operator, queue=queue, budget=N)
    return queue


def answer(actor, queue):
    claim = claims.claim_next(actor, queue=queue)
    questions = claim.slot.rubric_version.questions.all()
    answers = {question.key: True for question in questions if question.kind == "boolean"}
    verdicts.submit(actor, case_id=claim.case.pk, claim_token=claim.token, answers=answers)
    return claim.case


def skip(actor, queue):
    claim = claims.claim_next(actor, queue=queue)
    claims.skip(actor, case_id=claim.case.pk, token=claim.token, reason="cannot tell")


def fill(case, project):
    """Have both places of a case held by others."""
    for slot in Slot.objects.filter(case=case, state="open", reviewer=None):
        Slot.objects.filter(pk=slot.pk).update(
            reviewer=make_member(project).user,
            lease_expires_at=datetime.now(UTC) + timedelta(hours=1),
        )


def left(actor, queue):
    card = desk.queue_card(actor, queue)
    return card.n_waiting, card.has_more


def n_claimable(actor, queue):
    """How many cases the reviewer is given, taking all of them."""
    n = 0
    while claims.claim_next(actor, queue=queue) is not None:
        n += 1
    return n


def test_it_is_what_the_reviewer_can_be_given(project, queue, drawn, ada):
    assert left(ada, queue) == (N, False)
    half_done = answer(ada, queue)
    assert Slot.objects.filter(case=half_done, state="open").exists()
    skip(ada, queue)
    assert left(ada, queue) == (N - 2, False)
    fill(Slot.objects.filter(state="open", reviewer=None).latest("rank").case, project)
    assert left(ada, queue) == (N - 3, False)
    held = claims.claim_next(ada, queue=queue)
    assert left(ada, queue) == (N - 4, False)
    Slot.objects.filter(pk=held.slot.pk).update(lease_expires_at="2020-01-01T00:00:00Z")
    assert left(ada, queue) == (N - 3, False)  # what ran out may come again
    assert n_claimable(ada, queue) == N - 3
    assert left(make_member(project), queue) == (5, False)  # the half done one, but not the full


@pytest.mark.parametrize("n_places", [1, 3, 2 * N])
def test_beyond_the_places_looked_at_it_is_said_to_be_at_least(
    queue, drawn, ada, monkeypatch, n_places
):
    monkeypatch.setattr(desk, "MAX_PLACES", n_places)
    n, has_more = left(ada, queue)
    assert has_more
    assert n == -(-n_places // 2) <= n_claimable(ada, queue)


def test_who_has_answered_all_that_is_looked_at_may_still_start(world, queue_of_world, monkeypatch):
    monkeypatch.setattr(desk, "MAX_PLACES", 2)
    reviewer = world.actor("reviewer")
    for _ in range(2):
        answer(reviewer, queue_of_world)
    assert left(reviewer, queue_of_world) == (0, True)
    for path in ("queues/", f"queues/{queue_of_world.slug}/review/"):
        page = world.client("reviewer").get(f"/p/{world.slug}/{path}").content.decode()
        assert "Start" in page
        assert "0+" in page
    assert claims.claim_next(reviewer, queue=queue_of_world) is not None
