"""Claims: one reviewer's lease on one slot of a case.

A claim is one conditional UPDATE by the database's clock. Its token fences everything that follows:
whoever holds an old token is told so with 409 and the present state, and nothing of theirs is
written over somebody else's work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Case, ReviewQueue, RubricVersion, Skip, Slot
from review.models.publishing import VersionStatus

_ATTEMPTS = 5


@dataclass(frozen=True, slots=True)
class Claim:
    """A slot held until `expires_at`; `token` is shown with every act on it."""

    slot: Slot
    case: Case
    token: UUID
    expires_at: datetime


def claim_next(actor: Actor, *, queue: ReviewQueue) -> Claim | None:
    """Lease the next case of a queue, in serving order; None where there is none for this reviewer.

    Raises:
        NotAllowed: the actor may not review, or a key that acts as nobody asks.
        Conflict: the queue's rubric has no published version.
    """
    _require_reviewer(actor)
    if queue.is_paused:
        return None
    rubric = current_rubric(queue)
    for _ in range(_ATTEMPTS):
        try:
            with transaction.atomic():
                slot_id = _take_rater_slot(actor, queue, rubric) if actor.ai_rater else None
                if not actor.ai_rater:
                    slot_id = _take_slot(actor, queue, rubric)
                if slot_id is None:
                    return None
                claim = _claim(slot_id, queue, rubric)
                _audit(actor, "case.claimed", claim.slot)
                return claim
        except IntegrityError:
            # The same reviewer claimed another slot of this case in a second tab.
            continue
    return None


def current_rubric(queue: ReviewQueue) -> RubricVersion:
    """The rubric version that a new claim is given under.

    Raises:
        Conflict: none is published.
    """
    version = RubricVersion.objects.filter(
        rubric=queue.rubric_id, status=VersionStatus.PUBLISHED
    ).first()
    if version is None:
        raise errors.Conflict("the queue's rubric has no published version", code="no_rubric")
    return version


# The slot_next index serves the order; the two NOT EXISTS look at one case each. SKIP LOCKED lets
# claimers pass each other, so none waits and none gets another's slot.
_TAKE = """
UPDATE review_slot SET reviewer_id = %(user)s, token = %(token)s, rubric_version_id = %(rubric)s,
    claimed_at = now(), lease_expires_at = now() + make_interval(secs => %(lease)s)
WHERE id = (
    SELECT s.id FROM review_slot s
    WHERE s.queue_id = %(queue)s AND s.state = 'open' AND s.ai_rater = ''
      AND (s.lease_expires_at IS NULL OR s.lease_expires_at <= now())
      AND NOT EXISTS (
        SELECT 1 FROM review_slot o
        WHERE o.case_id = s.case_id AND o.reviewer_id = %(user)s AND o.id <> s.id)
      AND NOT EXISTS (
        SELECT 1 FROM review_skip k WHERE k.case_id = s.case_id AND k.reviewer_id = %(user)s)
    ORDER BY s.rank LIMIT 1
    FOR UPDATE OF s SKIP LOCKED)
RETURNING id
"""

# An AI rater never takes a human's place: it gets a slot of its own beside them.
_TAKE_AS_RATER = """
INSERT INTO review_slot (case_id, queue_id, number, rank, state, ai_rater, token,
    rubric_version_id, claimed_at, lease_expires_at)
SELECT c.case_id, c.queue_id,
    (SELECT 1000 + count(*) FROM review_slot n WHERE n.case_id = c.case_id AND n.number >= 1000),
    c.rank, 'open', %(rater)s, %(token)s, %(rubric)s,
    now(), now() + make_interval(secs => %(lease)s)
FROM (
    SELECT s.case_id, s.queue_id, s.rank FROM review_slot s
    WHERE s.queue_id = %(queue)s AND s.state = 'open' AND s.number = 0
      AND NOT EXISTS (
        SELECT 1 FROM review_slot o WHERE o.case_id = s.case_id AND o.ai_rater = %(rater)s)
      AND NOT EXISTS (
        SELECT 1 FROM review_skip k WHERE k.case_id = s.case_id AND k.ai_rater = %(rater)s)
    ORDER BY s.rank LIMIT 1) c
RETURNING id
"""


def _take_slot(actor: Actor, queue: ReviewQueue, rubric: RubricVersion) -> int | None:
    assert actor.user is not None
    return _run(_TAKE, queue, rubric, user=actor.user.pk)


def _take_rater_slot(actor: Actor, queue: ReviewQueue, rubric: RubricVersion) -> int | None:
    # A rater's own claim that ran out is taken up again first.
    expired = (
        Slot.objects.select_for_update(skip_locked=True)
        .filter(queue=queue, state=Slot.State.OPEN, ai_rater=actor.ai_rater)
        .filter(lease_expires_at__lte=Now())
        .order_by("rank")
        .first()
    )
    if expired is None:
        return _run(_TAKE_AS_RATER, queue, rubric, rater=actor.ai_rater)
    Slot.objects.filter(pk=expired.pk).update(
        token=uuid4(), claimed_at=Now(), lease_expires_at=_lease_end(queue)
    )
    return expired.pk


def _run(statement: str, queue: ReviewQueue, rubric: RubricVersion, **who: Any) -> int | None:
    values = {
        "queue": queue.pk,
        "rubric": rubric.pk,
        "token": uuid4(),
        "lease": queue.lease_seconds,
        **who,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        row = cursor.fetchone()
    return row[0] if row else None


def _lease_end(queue: ReviewQueue) -> Any:
    return Now() + timedelta(seconds=queue.lease_seconds)


def _claim(slot_id: int, queue: ReviewQueue, rubric: RubricVersion | None = None) -> Claim:
    joined = ["case__evidence", *(["rubric_version"] if rubric is None else [])]
    slot = Slot.objects.select_related(*joined).defer("case__evidence__fingerprint").get(pk=slot_id)
    slot.queue = queue
    if rubric is not None:
        slot.rubric_version = rubric
    assert slot.token is not None
    assert slot.lease_expires_at is not None
    return Claim(slot, slot.case, slot.token, slot.lease_expires_at)


def find_live_claim(actor: Actor, *, queue: ReviewQueue) -> Claim | None:
    """The reviewer's oldest unexpired claim in a queue, to go on with after a reload."""
    _require_reviewer(actor)
    slot = (
        Slot.objects.filter(queue=queue, state=Slot.State.OPEN, **_held_by(actor))
        .filter(lease_expires_at__gt=Now())
        .order_by("claimed_at")
        .values_list("pk", flat=True)
        .first()
    )
    return None if slot is None else _claim(slot, queue)


def heartbeat(actor: Actor, *, case_id: UUID, token: UUID) -> datetime:
    """Extend a lease; also takes up again one that ran out while nobody else took the slot.

    Raises:
        Conflict: the claim is not the caller's any more.
    """
    with transaction.atomic():
        slot = lock_claim(actor, case_id=case_id, token=token)
        Slot.objects.filter(pk=slot.pk).update(lease_expires_at=_lease_end(slot.queue))
        slot.refresh_from_db(fields=["lease_expires_at"])
    assert slot.lease_expires_at is not None
    return slot.lease_expires_at


def release(actor: Actor, *, case_id: UUID, token: UUID) -> None:
    """Give a slot back unanswered.

    Raises:
        Conflict: the claim is not the caller's any more.
    """
    with transaction.atomic():
        slot = lock_claim(actor, case_id=case_id, token=token)
        _free(slot)
        _audit(actor, "case.released", slot)


def skip(actor: Actor, *, case_id: UUID, token: UUID, reason: str) -> None:
    """Give a slot back with a reason; the case is not served to this reviewer again.

    Raises:
        InvalidInput: no reason.
        Conflict: the claim is not the caller's any more.
    """
    reason = reason.strip()
    if not reason or len(reason) > 1_000:
        raise errors.InvalidInput.at("reason", "say why, in at most 1,000 characters", "required")
    with transaction.atomic():
        slot = lock_claim(actor, case_id=case_id, token=token)
        _free(slot)
        Skip.objects.create(
            case=slot.case, reviewer=actor.user, ai_rater=actor.ai_rater, reason=reason
        )
        _audit(actor, "case.skipped", slot)


def release_all_of(actor: Actor, *, user_id: int) -> int:
    """Free every open claim of a person in the actor's project (they left, or lost their role)."""
    with transaction.atomic():
        slots = list(
            Slot.objects.select_for_update(of=("self",)).filter(
                case__project=actor.project, reviewer=user_id, state=Slot.State.OPEN
            )
        )
        for slot in slots:
            _free(slot)
            _audit(actor, "case.released", slot)
    return len(slots)


def lock_claim(actor: Actor, *, case_id: UUID, token: UUID) -> Slot:
    """The caller's open slot under its token, locked until the transaction ends.

    Raises:
        NotFound: no such case in the project.
        Conflict: the claim is not the caller's any more; `state` says what the case is now.
    """
    _require_reviewer(actor)
    slot = (
        Slot.objects.select_for_update(of=("self",))
        .select_related("case", "queue", "rubric_version")
        .filter(case__project=actor.project, case=case_id, token=token, **_held_by(actor))
        .first()
    )
    if slot is None or slot.state != Slot.State.OPEN:
        raise _lost(actor, case_id)
    return slot


def _lost(actor: Actor, case_id: UUID) -> errors.ApplicationError:
    case = Case.objects.filter(project=actor.project, pk=case_id).first()
    if case is None:
        return errors.NotFound("there is no such case")
    return errors.Conflict(
        "this claim is not yours any more: its lease ran out and the case went on",
        code="claim_lost",
        extra={"state": {"case": str(case.pk), "state": case.state}},
    )


def _held_by(actor: Actor) -> dict[str, Any]:
    return {"ai_rater": actor.ai_rater} if actor.ai_rater else {"reviewer": actor.user}


def _free(slot: Slot) -> None:
    if slot.ai_rater:
        slot.delete()
        return
    Slot.objects.filter(pk=slot.pk).update(
        reviewer=None, token=None, rubric_version=None, claimed_at=None, lease_expires_at=None
    )


def _require_reviewer(actor: Actor) -> None:
    access.require(actor, "review")
    if not actor.can_review:
        raise errors.NotAllowed("this key acts as no member and no AI rater, so it cannot review")


def _audit(actor: Actor, action: str, slot: Slot) -> None:
    audit.record(actor, action, "case", slot.case_id, slot=slot.number, queue=slot.queue.slug)
