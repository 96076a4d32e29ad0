"""Frontiers: claims begin to search where something may be left for their reviewer.

Places are served by rank, and one that a reviewer has answered the case of stays open for others.
Without a frontier every claim would step over all of those again.

A frontier never lies behind a place that could be given. It moves on over what is answered or
skipped, which stays so; and who opens places draws it back in the same transaction. Both hold the
queue's lock until they commit, the one alone, the other with its like: whoever moves a frontier on
has seen every place that is open, and whoever opens one sees where the frontiers lie.
"""

from dataclasses import dataclass

from django.db import connection, transaction
from django.db.models import Q

from oversight.lib.transactions import advisory_lock, try_advisory_lock
from oversight.tenancy.actors import Actor
from review.models import Case, Frontier, Skip, Slot
from review.models.frontiers import FIRST, LAST

_LOCK = "review.frontier"
# So many places stepped over in one claim are worth the two statements that move the frontier on.
WORTH_MOVING = 64

# Two parts of a WITH that claims: where to begin, and how many free places lie before `next`, the
# part between them that finds one. Each of those was answered or skipped before.
_FRONTIER = """frontier AS (
    SELECT coalesce((SELECT f.rank FROM review_frontier f
        WHERE f.queue_id = %(queue)s AND f.{mine}), {first}) AS rank
)"""
_PASSED = """passed AS (
    SELECT count(*) AS n FROM (
        SELECT FROM review_slot p
        WHERE p.queue_id = %(queue)s AND p.state = 'open' AND p.ai_rater = '' AND {free}
          AND p.rank >= (SELECT rank FROM frontier)
          AND p.rank < coalesce((SELECT rank FROM next), {last})
        ORDER BY p.rank LIMIT {worth_moving}) free
)"""
_MOVE = """
INSERT INTO review_frontier (queue_id, reviewer_id, ai_rater, rank)
SELECT %(queue)s, %(user)s, %(rater)s, coalesce((
    SELECT s.rank FROM review_slot s
    WHERE s.queue_id = %(queue)s AND s.state = 'open' AND s.ai_rater = '' {places}
      AND s.rank >= coalesce((
        SELECT f.rank FROM review_frontier f WHERE f.queue_id = %(queue)s AND f.{mine}), {first})
      AND NOT EXISTS (
        SELECT 1 FROM review_slot o
        WHERE o.case_id = s.case_id AND o.{mine} AND o.state = 'done')
      AND NOT EXISTS (
        SELECT 1 FROM review_skip k WHERE k.case_id = s.case_id AND k.{mine})
    ORDER BY s.rank LIMIT 1), {last})
ON CONFLICT {key} DO UPDATE SET rank = excluded.rank
"""


@dataclass(frozen=True, slots=True)
class Sql:
    """The parts of statements that are about frontiers, of reviewers or of raters."""

    frontier: str
    passed: str
    move: str


def _sql(**terms: str) -> Sql:
    values = {"first": FIRST, "last": LAST, "worth_moving": WORTH_MOVING, **terms}
    return Sql(*(part.format(**values) for part in (_FRONTIER, _PASSED, _MOVE)))


OF_REVIEWER = _sql(
    mine="reviewer_id = %(user)s",
    key="(queue_id, reviewer_id) WHERE reviewer_id IS NOT NULL",
    free="(p.lease_expires_at IS NULL OR p.lease_expires_at <= now())",
    places="",
)
# A rater is given a case while its first place is open, whoever holds that.
OF_RATER = _sql(
    mine="ai_rater = %(rater)s",
    key="(queue_id, ai_rater) WHERE ai_rater <> ''",
    free="true",
    places="AND s.number = 0",
)


def move_on(actor: Actor, *, queue_id: int) -> None:
    """Set the actor's frontier before the first place that may yet be theirs.

    While somebody opens places in the queue it stays where it is, for a later claim to move.
    """
    values = {
        "queue": queue_id,
        "user": None if actor.ai_rater or actor.user is None else actor.user.pk,
        "rater": actor.ai_rater,
    }
    with transaction.atomic():
        if not try_advisory_lock(_LOCK, queue_id):
            return
        with connection.cursor() as cursor:
            cursor.execute((OF_RATER if actor.ai_rater else OF_REVIEWER).move, values)


def _done_with(case: Case) -> Q:
    """The frontiers of people and raters who are given no place of a case any more."""
    done = Slot.objects.filter(case=case, state=Slot.State.DONE)
    skips = Skip.objects.filter(case=case)
    return (
        Q(reviewer__in=done.filter(reviewer__isnull=False).values("reviewer"))
        | Q(reviewer__in=skips.filter(reviewer__isnull=False).values("reviewer"))
        | Q(ai_rater__in=done.exclude(ai_rater="").values("ai_rater"))
        | Q(ai_rater__in=skips.exclude(ai_rater="").values("ai_rater"))
    )


def draw_back(queue_id: int, *, rank: int, case: Case | None = None) -> None:
    """No frontier of the queue lies behind this rank, at which the caller opens places.

    Called last in the transaction: whoever else opens places in the queue waits for its end.

    Args:
        queue_id: of the queue.
        rank: the lowest of the places.
        case: whose all of them are; for those who have answered or skipped it nothing is opened.
    """
    advisory_lock(_LOCK, queue_id, shared=True)
    # By their ids, in order: those who open places at once wait for each other in one direction.
    beyond = Frontier.objects.select_for_update(no_key=True).filter(queue=queue_id, rank__gt=rank)
    if case is not None:
        beyond = beyond.exclude(_done_with(case))
    ids = list(beyond.order_by("pk").values_list("pk", flat=True))
    if ids:
        Frontier.objects.filter(pk__in=ids).update(rank=rank)
