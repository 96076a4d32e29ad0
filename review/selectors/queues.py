"""Reads of queues."""

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.models import ReviewQueue


def get_queue(actor: Actor, slug: str) -> ReviewQueue:
    """A queue of the actor's project.

    Raises:
        NotFound: none with this slug in the project.
    """
    queue = (
        ReviewQueue.objects.select_related("project", "rubric")
        .filter(project=actor.project, slug=slug)
        .first()
    )
    if queue is None:
        raise errors.NotFound("there is no such queue")
    return queue


def queues(actor: Actor) -> QuerySet[ReviewQueue]:
    """The project's queues by slug."""
    require(actor, "queues:read")
    return (
        ReviewQueue.objects.select_related("project", "rubric")
        .filter(project=actor.project)
        .order_by("slug")
    )
