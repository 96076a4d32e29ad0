"""Who leaves, or may review no more, loses the cases in hand in the same transaction."""

import pytest
from django.urls import reverse

from oversight.tenancy.models import Membership
from review.models import ReviewQueue, Slot
from review.services import claims, rounds
from tests.factories import make_record

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("way", ["remove_member", "change_role"])
def test_a_member_who_goes_gives_back_what_is_in_hand(world, way):
    sent = world.api("records:write")(
        "POST", "records", {"records": [make_record(i) for i in range(9)]}
    )
    assert sent.status_code == 200
    queue = ReviewQueue.objects.select_related("project", "rubric").get(project=world.project)
    rounds.run(world.operator, queue=queue, budget=5)
    reviewer = world.actor("reviewer")
    colleague = world.user("reviewer", "other@acme.example")
    held = claims.claim_next(reviewer, queue=queue)
    assert held is not None
    member = Membership.objects.get(project=world.project, user=reviewer.user)
    path = reverse(way, args=[world.slug, member.pk])
    body = {"role": "auditor", "seen_role": "reviewer"} if way == "change_role" else {}
    assert world.client("owner").post(path, body).status_code == 302
    slot = Slot.objects.get(pk=held.slot.pk)
    assert (slot.state, slot.reviewer_id, slot.token) == ("open", None, None)
    assert colleague.pk != reviewer.user.pk
    again = claims.claim_next(world.actor("lead"), queue=queue)
    assert again.case == held.case, "it is served again at once, in its old place"
