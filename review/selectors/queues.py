"""Reads of queues."""

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.lib.postgres.statements import Columns, fetch
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.models import ReviewQueue, Rubric

# Every claim asks for its queue first.
_QUEUE, _RUBRIC = Columns(ReviewQueue, "q"), Columns(Rubric, "r")
_FIND = f"""
SELECT {_QUEUE}, {_RUBRIC} FROM review_reviewqueue q JOIN review_rubric r ON r.id = q.rubric_id
WHERE q.project_id = %(project)s AND q.slug = %(slug)s
"""  # noqa: S608  our own names


def get_queue(actor: Actor, slug: str) -> ReviewQueue:
    """A queue of the actor's project.

    Raises:
        NotFound: none with this slug in the project.
    """
    rows = fetch(_FIND, {"project": actor.project.pk, "slug": slug})
    if not rows:
        raise errors.NotFound("there is no such queue")
    row = iter(rows[0])
    queue = _QUEUE.take(row)
    queue.rubric, queue.project = _RUBRIC.take(row), actor.project
    return queue


def queues(actor: Actor) -> QuerySet[ReviewQueue]:
    """The project's queues by slug."""
    require(actor, "queues:read")
    return (
        ReviewQueue.objects.select_related("project", "rubric")
        .filter(project=actor.project)
        .order_by("slug")
    )
