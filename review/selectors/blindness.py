"""Whom the machine's opinion is kept from: whoever is about to judge a record blind."""

from uuid import UUID

from oversight.tenancy.actors import Actor
from review.models import ReviewQueue, Slot


def in_hand(actor: Actor) -> frozenset[UUID]:
    """The records that the actor is about to judge blind, in the cases that they hold.

    Whatever would tell what the machine made of them is withheld, wherever it stands; also once a
    lease has run out, for until somebody else takes the case it may still be answered.
    """
    if not actor.can_review:
        return frozenset()
    mine = {"ai_rater": actor.ai_rater} if actor.ai_rater else {"reviewer": actor.user}
    held = Slot.objects.filter(
        **mine,
        state=Slot.State.OPEN,
        queue__project=actor.project,
    ).exclude(queue__evidence=ReviewQueue.Evidence.OPEN)
    return frozenset(held.values_list("case__evidence__record_id", flat=True))
