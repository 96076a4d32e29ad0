"""Ending rounds early: what nobody has begun is withdrawn from the end of the key order alone.

What is left is the beginning of the round, and so a valid draw (review/selectors/finished_rounds).
Nobody's work is lost: a cut lies beyond every case that is answered, in part too, or in hand.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q
from django.db.models.functions import Coalesce, Now

from oversight.audit import services as audit
from oversight.lib.transactions import advisory_lock
from oversight.tenancy.actors import Actor
from review.models import Case, ReviewQueue, RoundCut, SamplingRound, Slot
from review.selectors.finished_rounds import cut_of


def turn(queue_id: int) -> None:
    """Draws and cuts of a queue take turns until the transaction ends."""
    advisory_lock("review.cut", queue_id)


def cut(actor: Actor, made: SamplingRound, reason: str) -> int:
    """Withdraw what nobody has begun beyond the last case that somebody has; returns how many.

    The caller holds the queue's `turn` in a transaction.
    """
    # Claims pass over locked slots, and a claim or verdict under way is waited for: what is free
    # now stays free until the end of this transaction.
    cases = Case.objects.filter(selection__round=made, state=Case.State.OPEN)
    # By their ids: right after a draw the planner has no statistics to join well by.
    slots = Slot.objects.filter(case__in=list(cases.values_list("pk", flat=True)), ai_rater="")
    list(slots.select_for_update(of=("self",)).order_by("pk").values_list("pk", flat=True))
    begun = Slot.objects.filter(case=OuterRef("pk"), ai_rater="").filter(
        Q(state=Slot.State.DONE) | Q(state=Slot.State.OPEN, lease_expires_at__gt=Now())
    )
    last = (
        Case.objects.filter(selection__round=made)
        .filter(Q(state=Case.State.RESOLVED) | Exists(begun))
        .aggregate(last=Max("selection__position"))["last"]
    )
    length = 0 if last is None else last + 1
    end = _end(made)
    if length >= end:
        return 0
    RoundCut.objects.create(round=made, length=length, reason=reason)
    beyond = list(cases.filter(selection__position__gte=length).values_list("pk", flat=True))
    Slot.objects.filter(case__in=beyond, state=Slot.State.OPEN, ai_rater="").update(
        state=Slot.State.WITHDRAWN, reviewer=None, token=None, lease_expires_at=None
    )
    n = Case.objects.filter(pk__in=beyond).update(state=Case.State.WITHDRAWN)
    audit.record(
        actor, "round.cut", "round", made.pk, before=end, after=length, reason=reason, withdrawn=n
    )
    return n


def expire(actor: Actor) -> int:
    """Cut the rounds of the actor's project whose open cases are past their queue's age limit."""
    return sum(_expire(actor, queue) for queue in ReviewQueue.objects.filter(project=actor.project))


def _expire(actor: Actor, queue: ReviewQueue) -> int:
    old = SamplingRound.objects.filter(
        queue=queue, created_at__lt=Now() - timedelta(hours=queue.max_age_hours)
    ).filter(Exists(Case.objects.filter(selection__round=OuterRef("pk"), state=Case.State.OPEN)))
    if not old.exists():
        return 0
    with transaction.atomic():
        turn(queue.pk)
        # A later draw counts on what the earlier rounds keep: those are cut no shorter.
        later = SamplingRound.objects.filter(
            queue=queue,
            window=OuterRef("window"),
            stratum=OuterRef("stratum"),
            number__gt=OuterRef("number"),
        )
        last = old.filter(~Exists(later)).order_by("pk")
        return sum(cut(actor, made, RoundCut.Reason.AGE) for made in last)


def _end(made: SamplingRound) -> int:
    found = (
        SamplingRound.objects.filter(pk=made.pk)
        .annotate(end=Coalesce(cut_of("pk"), F("n_selected")))
        .values_list("end", flat=True)
        .get()
    )
    return int(found)
