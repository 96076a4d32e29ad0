"""Reads of the reviewer's pages. What is shown before a verdict is built from a list of fields that
holds no score, tier, reason, kind, origin or probability: a template cannot leak what it lacks.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import Count, QuerySet
from django.db.models.functions import Now

from oversight.lib import clock, errors
from oversight.lib.postgres.statements import fetch
from oversight.tenancy.actors import Actor
from review import rendering, verdict_form
from review.models import (
    Case,
    CaseEvidence,
    Clause,
    Question,
    ReviewQueue,
    RubricVersion,
    Slot,
    Verdict,
)
from review.selectors.published import form_of
from review.services import frontiers
from review.services.claims import Claim

RECENT = timedelta(hours=12)
MAX_PLACES = 1_000  # that are looked at to count what waits


@dataclass(frozen=True, slots=True)
class QueueCard:
    name: str
    slug: str
    is_paused: bool
    n_waiting: int  # cases that this reviewer could be given now, among the next MAX_PLACES
    has_more: bool  # whether places lie beyond these, so that it is at least so many
    n_done: int  # verdicts that this reviewer gave in the last twelve hours
    is_claimed: bool  # the reviewer has a case of it in hand

    @property
    def may_start(self) -> bool:
        """Whether a case may be had for the asking."""
        return self.n_waiting > 0 or self.has_more


@dataclass(frozen=True, slots=True)
class ShownCase:
    """A claimed case as its reviewer may see it before answering."""

    id: UUID
    token: UUID
    seconds_left: int
    lease_seconds: int
    form: "ShownForm"
    conversation: rendering.Conversation


@dataclass(frozen=True, slots=True)
class ShownForm:
    questions: tuple[verdict_form.ShownQuestion, ...]
    introduction: str
    clauses: tuple[Clause, ...]
    rubric: str
    policy: str
    note: str = ""
    note_error: str = ""

    @property
    def has_passages(self) -> bool:
        return any(question.kind == "span" for question in self.questions)


def queue_cards(actor: Actor) -> list[QueueCard]:
    """The project's queues with what they hold for this reviewer."""
    queues = list(ReviewQueue.objects.filter(project=actor.project).order_by("name", "pk"))
    counted = _done_by(actor).values_list("case__queue").annotate(n=Count("pk")).order_by()
    done = dict(counted)
    held = set(_held_by(actor).values_list("queue", flat=True))
    return [_card(actor, queue, done.get(queue.pk, 0), queue.pk in held) for queue in queues]


def queue_card(actor: Actor, queue: ReviewQueue) -> QueueCard:
    n_done = _done_by(actor).filter(case__queue=queue).count()
    return _card(actor, queue, n_done, _held_by(actor).filter(queue=queue).exists())


def _card(actor: Actor, queue: ReviewQueue, n_done: int, is_claimed: bool) -> QueueCard:
    assert actor.user is not None
    values = {"queue": queue.pk, "user": actor.user.pk, "most": MAX_PLACES}
    ((n_places, n_waiting),) = fetch(_WAITING, values)
    return QueueCard(
        name=queue.name,
        slug=queue.slug,
        is_paused=queue.is_paused,
        n_waiting=n_waiting,
        has_more=n_places == MAX_PLACES,
        n_done=n_done,
        is_claimed=is_claimed,
    )


# The conditions of a claim, counted over the next places and no further, so that a million waiting
# cases cost what a few do. As subqueries that give a value they look at one case each; NOT EXISTS
# may be planned as a join with all slots.
_WAITING = f"""
WITH {frontiers.OF_REVIEWER.frontier}, ahead AS (
    SELECT s.id, s.case_id, s.lease_expires_at FROM review_slot s
    WHERE s.queue_id = %(queue)s AND s.state = 'open' AND s.ai_rater = ''
      AND s.rank >= (SELECT rank FROM frontier)
    ORDER BY s.rank LIMIT %(most)s
)
SELECT count(*), count(DISTINCT s.case_id) FILTER (
    WHERE (s.lease_expires_at IS NULL OR s.lease_expires_at <= now())
      AND (SELECT o.id FROM review_slot o
        WHERE o.case_id = s.case_id AND o.reviewer_id = %(user)s AND o.id <> s.id) IS NULL
      AND (SELECT k.id FROM review_skip k
        WHERE k.case_id = s.case_id AND k.reviewer_id = %(user)s LIMIT 1) IS NULL)
FROM ahead s
"""  # noqa: S608  our own names


def _held_by(actor: Actor) -> "QuerySet[Slot]":
    return Slot.objects.filter(
        reviewer=actor.user, state=Slot.State.OPEN, lease_expires_at__gt=Now()
    )


def _done_by(actor: Actor) -> "QuerySet[Verdict]":
    """The reviewer's recent first answers; the index on time bounds what is looked at."""
    return Verdict.objects.filter(
        project=actor.project,
        created_at__gt=Now() - RECENT,
        reviewer=actor.user,
        supersedes=None,
    )


def get_queue(actor: Actor, slug: str) -> ReviewQueue:
    """Raises NotFound: the project has no such queue."""
    queue = ReviewQueue.objects.filter(project=actor.project, slug=slug).first()
    if queue is None:
        raise errors.NotFound("there is no such queue")
    return queue


def get_own_slot(actor: Actor, case_id: UUID) -> Slot:
    """The reviewer's slot of a case, whether its claim is live, ran out or is answered.

    Raises:
        NotFound: no such case in the project.
        Conflict: the case went to somebody else.
    """
    slot = (
        Slot.objects.select_related("case__evidence", "queue", "rubric_version")
        .filter(case__project=actor.project, case=case_id, reviewer=actor.user)
        .first()
    )
    if slot is not None and slot.rubric_version is not None:
        return slot
    if not Case.objects.filter(project=actor.project, pk=case_id).exists():
        raise errors.NotFound("there is no such case")
    raise errors.Conflict(
        "this case is not yours any more: its lease ran out and another reviewer took it",
        code="claim_lost",
    )


def version_of(slot: Slot) -> RubricVersion:
    """The rubric version that a slot was claimed under."""
    assert slot.rubric_version is not None, "get_own_slot gives claimed slots only"
    return slot.rubric_version


def questions_of(version: RubricVersion) -> list[Question]:
    return list(form_of(version).questions)


def parts_of(evidence: CaseEvidence) -> dict[str, str]:
    return rendering.part_texts(evidence.input, evidence.output)


def shown_case(claim: Claim) -> ShownCase:
    """The claimed case, blind."""
    slot, evidence = claim.slot, claim.case.evidence
    left = (claim.expires_at - clock.database_now()).total_seconds()
    assert slot.rubric_version is not None
    return ShownCase(
        id=claim.case.pk,
        token=claim.token,
        seconds_left=max(int(left), 0),
        lease_seconds=slot.queue.lease_seconds,
        form=shown_form(slot.rubric_version),
        conversation=rendering.conversation(evidence.input, evidence.output),
    )


def shown_form(
    version: RubricVersion,
    entered: Mapping[str, Sequence[str]] | None = None,
    wrong: Mapping[str, str] | None = None,
    note: str = "",
) -> ShownForm:
    """A rubric version as a form, with what was entered and what was wrong with it."""
    wrong = wrong or {}
    pinned = form_of(version)
    return ShownForm(
        questions=tuple(verdict_form.show(pinned.questions, entered or {}, wrong)),
        introduction=pinned.policy.introduction,
        clauses=pinned.clauses,
        rubric=str(pinned.version),
        policy=str(pinned.policy),
        note=note,
        note_error=wrong.get("note", ""),
    )


@dataclass(frozen=True, slots=True)
class Receipt:
    """A verdict just given, to look at again or to change."""

    id: UUID
    violation: bool | None
    at: datetime
    may_see_evidence: bool


def receipts(actor: Actor, queue: ReviewQueue, limit: int = 10) -> list[Receipt]:
    """The reviewer's latest verdicts in a queue, newest first, corrections in place of what they
    correct."""
    verdicts = (
        Verdict.objects.filter(
            project=actor.project,
            reviewer=actor.user,
            case__queue=queue,
            superseded_by=None,
            created_at__gt=Now() - RECENT,
        )
        .order_by("-created_at")
        .values_list("pk", "violation", "created_at")[:limit]
    )
    may_see = queue.evidence != ReviewQueue.Evidence.ALWAYS
    return [Receipt(pk, violation, at, may_see) for pk, violation, at in verdicts]


def get_piece(actor: Actor, case_id: UUID, index: int) -> dict[str, Any]:
    """A piece of a case's content, as stored, for who may see the case.

    Raises:
        NotFound: no such case or piece, or the case is not shown to the actor.
    """
    case = Case.objects.select_related("evidence").filter(project=actor.project, pk=case_id).first()
    hidden = errors.NotFound("there is nothing here, or not for you")
    if case is None:
        raise hidden
    if "records:read" not in actor.permissions and not _is_shown_to(actor, case):
        raise hidden
    pieces = rendering.pieces_of(case.evidence.input, case.evidence.output)
    if index >= len(pieces):
        raise hidden
    return pieces[index]


def _is_shown_to(actor: Actor, case: Case) -> bool:
    return actor.user is not None and Slot.objects.filter(case=case, reviewer=actor.user).exists()
