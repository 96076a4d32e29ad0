"""Reads of a queue's posteriors."""

from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import PosteriorVersion, ReviewQueue


def versions(actor: Actor, queue: ReviewQueue) -> QuerySet[PosteriorVersion]:
    """The queue's versions, newest first, without what they hold."""
    access.require(actor, "figures:read")
    return (
        PosteriorVersion.objects.filter(queue=queue, queue__project=actor.project)
        .select_related("based_on", "space__scorer_version__scorer")
        .defer("state", "based_on__state", "space__state")
        .order_by("-number")
    )


def get_version(actor: Actor, queue: ReviewQueue, number: int) -> PosteriorVersion:
    """A version of the queue, with all that it holds.

    Raises:
        NotFound: none of this number.
    """
    access.require(actor, "figures:read")
    found = (
        PosteriorVersion.objects.select_related("queue__project", "queue__rubric", "space")
        .filter(queue=queue, queue__project=actor.project, number=number)
        .first()
    )
    if found is None:
        raise errors.NotFound("the queue has no posterior of this number")
    return found


def as_answer(version: PosteriorVersion) -> dict[str, Any]:
    """A version as the API tells it."""
    return {
        "number": version.number,
        "head": version.head,
        "status": version.status,
        "kind": version.kind,
        "based_on": version.based_on.number if version.based_on else None,
        "scorer_version": version.space.scorer_version.number,
        "n_verdicts": version.n_verdicts,
        "n_violations": version.n_violations,
        "base_rate": version.base_rate,
        "clause_hashes": version.clause_hashes,
        "through_resolution": version.through_resolution,
        "digest": version.digest,
        "created_at": rfc3339(version.created_at),
    }
