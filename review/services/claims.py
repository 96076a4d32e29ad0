"""Claims: one reviewer's lease on one slot of a case.

A claim is one conditional UPDATE by the database's clock. Its token fences everything that follows:
whoever holds an old token is told so with 409 and the present state, and nothing of theirs is
written over somebody else's work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.lib.postgres.statements import Columns, fetch
from oversight.lib.transactions import alone
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Case, CaseEvidence, ReviewQueue, RubricVersion, Skip, Slot
from review.models.publishing import VersionStatus
from review.services import frontiers

# An attempt fails only where another claim on the same case was committed meanwhile.
_ATTEMPTS = 10


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
        Unavailable: too many claim the same cases at this moment.
    """
    _require_reviewer(actor)
    if queue.is_paused:
        return None
    for _ in range(_ATTEMPTS):
        try:
            take = _claim_as_rater if actor.ai_rater else _claim_next
            claim, n_passed = take(actor, queue)
        except IntegrityError:
            # The same reviewer claimed another slot of this case in a second tab, or another rater
            # took the number that this one would have had.
            continue
        if n_passed >= frontiers.WORTH_MOVING:
            frontiers.move_on(actor, queue_id=queue.pk)
        if claim is None:
            current_rubric(queue)  # without one, nothing is served
        return claim
    raise errors.Unavailable("others claim the same cases at this moment", retry_after_seconds=1)


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


_SLOT = Columns(Slot, "s")
_CASE = Columns(Case, "c")
_VERSION = Columns(RubricVersion, "r")
# A reviewer is shown the record, never its fingerprint.
_EVIDENCE = Columns(CaseEvidence, "e", without=["fingerprint"])
_DETAIL = "jsonb_build_object('slot', s.number, 'queue', %(slug)s::text)"

# The slot_next index serves the order, from the reviewer's frontier on; the two NOT EXISTS look at
# one case each. SKIP LOCKED lets claimers pass each other, so none waits and none gets another's
# slot. The version that is locked to the slot is the one that is published at this moment, and the
# log tells of it, all at once.
_TAKE = f"""
WITH form AS (
    SELECT * FROM review_rubricversion WHERE rubric_id = %(rubric)s AND status = 'published' LIMIT 1
), {frontiers.OF_REVIEWER.frontier}, next AS (
    SELECT s.id, s.rank FROM review_slot s
    WHERE (SELECT id FROM form) IS NOT NULL
      AND s.queue_id = %(queue)s AND s.state = 'open' AND s.ai_rater = ''
      AND s.rank >= (SELECT rank FROM frontier)
      AND (s.lease_expires_at IS NULL OR s.lease_expires_at <= now())
      AND NOT EXISTS (
        SELECT 1 FROM review_slot o
        WHERE o.case_id = s.case_id AND o.reviewer_id = %(user)s AND o.id <> s.id)
      AND NOT EXISTS (
        SELECT 1 FROM review_skip k WHERE k.case_id = s.case_id AND k.reviewer_id = %(user)s)
    ORDER BY s.rank LIMIT 1
    FOR UPDATE OF s SKIP LOCKED
), {frontiers.OF_REVIEWER.passed}, s AS (
    UPDATE review_slot t SET reviewer_id = %(user)s, token = %(token)s,
        rubric_version_id = (SELECT id FROM form), claimed_at = now(),
        lease_expires_at = now() + make_interval(secs => %(lease)s)
    WHERE t.id = (SELECT id FROM next)
    RETURNING t.*
), {audit.events_of("s", object_id="s.case_id::text", detail=_DETAIL)}
SELECT passed.n, {_SLOT}, {_CASE}, {_EVIDENCE}, {_VERSION} FROM passed LEFT JOIN (s
    JOIN form r ON r.id = s.rubric_version_id
    JOIN review_case c ON c.id = s.case_id
    JOIN review_caseevidence e ON e.id = c.evidence_id) ON true
"""  # noqa: S608  our own names


def _claim_next(actor: Actor, queue: ReviewQueue) -> tuple[Claim | None, int]:
    """The next claim, and how many places were stepped over on the way to it."""
    assert actor.user is not None
    values = {
        "queue": queue.pk,
        "slug": queue.slug,
        "rubric": queue.rubric_id,
        "user": actor.user.pk,
        "token": uuid4(),
        "lease": queue.lease_seconds,
        **audit.event_of(actor, "case.claimed", "case"),
    }
    with alone():
        ((n_passed, *found),) = fetch(_TAKE, values)
    if found[0] is None:
        return None, n_passed
    row = iter(found)
    slot, case = _SLOT.take(row), _CASE.take(row)
    case.evidence, slot.rubric_version = _EVIDENCE.take(row), _VERSION.take(row)
    slot.case = case
    return _held(slot, queue), n_passed


# An AI rater never takes a human's place: it gets a slot of its own beside them.
_TAKE_AS_RATER = f"""
WITH {frontiers.OF_RATER.frontier}, next AS (
    SELECT s.case_id, s.queue_id, s.rank FROM review_slot s
    WHERE s.queue_id = %(queue)s AND s.state = 'open' AND s.number = 0
      AND s.rank >= (SELECT rank FROM frontier)
      AND NOT EXISTS (
        SELECT 1 FROM review_slot o WHERE o.case_id = s.case_id AND o.ai_rater = %(rater)s)
      AND NOT EXISTS (
        SELECT 1 FROM review_skip k WHERE k.case_id = s.case_id AND k.ai_rater = %(rater)s)
    ORDER BY s.rank LIMIT 1
), {frontiers.OF_RATER.passed}, taken AS (
    INSERT INTO review_slot (case_id, queue_id, number, rank, state, ai_rater, token,
        rubric_version_id, claimed_at, lease_expires_at)
    SELECT c.case_id, c.queue_id,
        (SELECT coalesce(max(number), 999) + 1 FROM review_slot n
            WHERE n.case_id = c.case_id AND n.number >= 1000),
        c.rank, 'open', %(rater)s, %(token)s, %(rubric)s,
        now(), now() + make_interval(secs => %(lease)s)
    FROM next c
    RETURNING id
)
SELECT passed.n, taken.id FROM passed LEFT JOIN taken ON true
"""  # noqa: S608  our own names


def _claim_as_rater(actor: Actor, queue: ReviewQueue) -> tuple[Claim | None, int]:
    rubric = current_rubric(queue)
    with transaction.atomic():
        slot_id, n_passed = _take_rater_slot(actor, queue, rubric)
        if slot_id is None:
            return None, n_passed
        claim = _claim(slot_id, queue)
        _audit(actor, "case.claimed", claim.slot)
    return claim, n_passed


def _take_rater_slot(
    actor: Actor, queue: ReviewQueue, rubric: RubricVersion
) -> tuple[int | None, int]:
    # A rater's own claim that ran out is taken up again first.
    expired = (
        Slot.objects.select_for_update(skip_locked=True)
        .filter(queue=queue, state=Slot.State.OPEN, ai_rater=actor.ai_rater)
        .filter(lease_expires_at__lte=Now())
        .order_by("rank")
        .first()
    )
    if expired is not None:
        Slot.objects.filter(pk=expired.pk).update(
            rubric_version=rubric,
            token=uuid4(),
            claimed_at=Now(),
            lease_expires_at=_lease_end(queue),
        )
        return expired.pk, 0
    values = {
        "queue": queue.pk,
        "rubric": rubric.pk,
        "token": uuid4(),
        "lease": queue.lease_seconds,
        "rater": actor.ai_rater,
    }
    ((n_passed, slot_id),) = fetch(_TAKE_AS_RATER, values)
    return slot_id, n_passed


def _lease_end(queue: ReviewQueue) -> Any:
    return Now() + timedelta(seconds=queue.lease_seconds)


def _claim(slot_id: int, queue: ReviewQueue) -> Claim:
    slot = (
        Slot.objects.select_related("case__evidence", "rubric_version")
        .defer("case__evidence__fingerprint")
        .get(pk=slot_id)
    )
    return _held(slot, queue)


def _held(slot: Slot, queue: ReviewQueue) -> Claim:
    slot.queue = queue
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


_QUEUE = Columns(ReviewQueue, "q")
_SHOWN = Columns(CaseEvidence, "e", only=["content_hash"])
_HELD = f"""
SELECT {_SLOT}, {_CASE}, {_QUEUE}, {_SHOWN}, {_VERSION} FROM review_slot s
JOIN review_case c ON c.id = s.case_id
JOIN review_reviewqueue q ON q.id = c.queue_id
JOIN review_caseevidence e ON e.id = c.evidence_id
JOIN review_rubricversion r ON r.id = s.rubric_version_id
WHERE c.project_id = %(project)s AND s.case_id = %(case)s AND s.token = %(token)s
  AND s.ai_rater = %(rater)s AND (s.ai_rater <> '' OR s.reviewer_id = %(user)s)
FOR UPDATE OF s"""  # noqa: S608  our own names


def lock_claim(actor: Actor, *, case_id: UUID, token: UUID, with_case: bool = False) -> Slot:
    """The caller's open slot under its token, locked until the transaction ends.

    It comes with its form's version, its case and the case's queue and content hash.

    Args:
        with_case: lock the case too, as whoever may resolve it must.

    Raises:
        NotFound: no such case in the project.
        Conflict: the claim is not the caller's any more; `state` says what the case is now.
    """
    _require_reviewer(actor)
    values = {
        "project": actor.project.pk,
        "case": case_id,
        "token": token,
        "rater": actor.ai_rater,
        "user": None if actor.user is None else actor.user.pk,
    }
    rows = fetch(f"{_HELD}, c" if with_case else _HELD, values)
    if rows:
        row = iter(rows[0])
        slot, case, queue = _SLOT.take(row), _CASE.take(row), _QUEUE.take(row)
        case.evidence, slot.rubric_version = _SHOWN.take(row), _VERSION.take(row)
        slot.case, slot.queue, case.queue = case, queue, queue
        if slot.state == Slot.State.OPEN:
            return slot
    raise _lost(actor, case_id)


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
