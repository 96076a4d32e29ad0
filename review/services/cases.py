"""Making cases with their slots, in the order in which they are to be served."""

from collections.abc import Sequence
from hashlib import blake2b
from uuid import UUID

from django.db import transaction
from django.db.models import Max

from oversight.audit import services as audit
from oversight.lib import clock, errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Case, CaseEvidence, ReviewQueue, SamplingRound, Selection, Slot
from review.models.queues import Stratum
from review.services import evidence, frontiers
from scoring.models import Window

# Windows in their order, within a window by position, strata of a window side by side: the order
# of serving within a round is that of its keys, and no stratum waits for another.
# A window that is drawn again queues up behind what the latest window has brought.
_WINDOW_BITS, _NUMBER_BITS, _STRATUM_BITS = 36, 26, 2
_STRATA = list(Stratum)
_CERTAIN = -(1 << 62)  # asked for by a person: before all that chance has chosen


def rank(window_number: int, number: int, position: int, stratum: str) -> int:
    """The place of a round's case in its queue."""
    return (
        (window_number << _WINDOW_BITS)
        | (min(number - 1, 1_023) << _NUMBER_BITS)
        | (position << _STRATUM_BITS)
        | _STRATA.index(Stratum(stratum))
    )


def n_slots(overlap: float, seed: bytes, record_id: UUID) -> int:
    """How many reviewers a case gets: `overlap` of them, or a second one by keyed chance."""
    if overlap >= 1:
        return int(overlap)
    digest = blake2b(record_id.bytes, key=seed, digest_size=8, person=b"overlap").digest()
    return 1 + (int.from_bytes(digest, "big") < overlap * 2**64)


def open_sampled(
    queue: ReviewQueue, *, made: SamplingRound, selections: Sequence[Selection]
) -> int:
    """Copy the evidence of a round's selections and open their cases; returns how many.

    They are served from the end of the caller's transaction, which `serve` is called at.
    """
    copies = evidence.copy(queue.project, [selection.record_id for selection in selections])
    seed = bytes(made.seed)
    window_number = made.window.number
    if made.number > 1:
        latest = Window.objects.filter(project=queue.project_id).aggregate(n=Max("number"))
        window_number = latest["n"] or window_number
    cases = []
    slots = []
    for selection in selections:
        copied = copies.get(selection.record_id)
        if copied is None:
            continue  # erased meanwhile: stays selected, and counts as unresolved
        places = n_slots(queue.overlap, seed, selection.record_id)
        case = Case(
            project_id=queue.project_id,
            queue=queue,
            kind=Case.Kind.SAMPLED,
            evidence=copied,
            selection=selection,
            n_slots=places,
        )
        cases.append(case)
        slots += _slots(case, rank(window_number, made.number, selection.position, made.stratum))
    Case.objects.bulk_create(cases)
    Slot.objects.bulk_create(slots)
    return len(cases)


def serve(queue: ReviewQueue, rounds: Sequence[SamplingRound]) -> None:
    """Have everybody look for the cases that these rounds have opened; last in a transaction."""
    if rounds:
        earliest = min(made.window.number for made in rounds)  # no case comes before its window
        frontiers.draw_back(queue.pk, rank=rank(earliest, 1, 0, Stratum.STREAM))


def _slots(case: Case, place: int) -> list[Slot]:
    return [
        Slot(case=case, queue_id=case.queue_id, number=number, rank=place)
        for number in range(case.n_slots)
    ]


def escalate_record(actor: Actor, *, queue: ReviewQueue, record_id: UUID, reason: str) -> Case:
    """Ask that a person looks at one record: chosen with certainty, a stratum of its own.

    Raises:
        InvalidInput: no reason.
        NotFound: no such record, or it may not be reviewed.
        Conflict: it is in this queue already by the same way.
    """
    access.require(actor, "escalate")
    reason = reason.strip()
    if not reason or len(reason) > 2_000:
        raise errors.InvalidInput.at("reason", "say why, in at most 2,000 characters", "required")
    with transaction.atomic():
        copied = evidence.copy(actor.project, [record_id]).get(record_id)
        if copied is None:
            raise errors.NotFound("there is no such record, or it may not be reviewed")
        case, place = _open_certain(queue, copied, reason)
        audit.record(
            actor,
            "case.escalated",
            "case",
            case.pk,
            queue=queue.slug,
            record=str(record_id),
            reason_hmac=audit.content_hmac(actor.project, reason.encode()),
        )
        frontiers.draw_back(queue.pk, rank=place)
    return case


def _open_certain(queue: ReviewQueue, copied: CaseEvidence, reason: str) -> tuple[Case, int]:
    # One escalation at a time; cases of the queue may be opened and answered beside it.
    ReviewQueue.objects.select_for_update(no_key=True).get(pk=queue.pk)
    if Case.objects.filter(queue=queue, evidence=copied, kind=Case.Kind.ESCALATED).exists():
        raise errors.Conflict("this record has been escalated to the queue already")
    case = Case.objects.create(
        project_id=queue.project_id,
        queue=queue,
        kind=Case.Kind.ESCALATED,
        evidence=copied,
        n_slots=max(1, int(queue.overlap)),
        escalation_reason=reason,
    )
    place = _CERTAIN + (clock.now() - clock.EPOCH) // clock.MILLISECOND
    Slot.objects.bulk_create(_slots(case, place))
    return case, place
