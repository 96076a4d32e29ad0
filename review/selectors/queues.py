"""Reads of queues."""

from oversight.lib import errors
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
