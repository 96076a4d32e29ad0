"""Writing review queues. Settings hold from the next round on; drawn rounds keep what they had."""

from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.models import ReviewQueue, Rubric
from review.naming import check_slug
from review.queue_settings import check_settings


def create_queue(
    actor: Actor, *, slug: str, rubric: str, settings: Mapping[str, Any] | None = None
) -> ReviewQueue:
    """A new queue.

    Args:
        actor: who makes it.
        slug: its name in addresses; fixed from then on.
        rubric: slug of the rubric whose published version reviewers answer.
        settings: see `review.queue_settings`; what is left out has the model's default.

    Raises:
        InvalidInput: at the setting that is wrong.
        Conflict: the slug is taken.
    """
    require(actor, "queues:write")
    slug = check_slug(slug)
    checked = check_settings(settings or {})
    checked["name"] = checked.get("name") or slug
    try:
        with transaction.atomic():
            queue = ReviewQueue.objects.create(
                project=actor.project, slug=slug, rubric=_rubric(actor, rubric), **checked
            )
            audit.record(actor, "queue.created", "queue", queue.pk, slug=slug, rubric=rubric)
    except IntegrityError:
        raise errors.Conflict(f"there is a queue {slug!r} already", code="taken") from None
    return queue


def update_queue(
    actor: Actor, *, slug: str, settings: Mapping[str, Any], rubric: str | None = None
) -> ReviewQueue:
    """Change some of a queue's settings.

    Raises:
        NotFound: no such queue.
        InvalidInput: at the setting that is wrong.
    """
    require(actor, "queues:write")
    checked = check_settings(settings)
    with transaction.atomic():
        queue = (
            ReviewQueue.objects.select_for_update(of=["self"])
            .select_related("rubric")
            .filter(project=actor.project, slug=slug)
            .first()
        )
        if queue is None:
            raise errors.NotFound(f"there is no queue {slug!r}")
        if "name" in checked:
            checked["name"] = checked["name"] or queue.slug
        if rubric is not None:
            checked["rubric"] = _rubric(actor, rubric)
        changed = {name: value for name, value in checked.items() if getattr(queue, name) != value}
        if changed:
            before = {name: _told(getattr(queue, name)) for name in changed}
            for name, value in changed.items():
                setattr(queue, name, value)
            queue.save(update_fields=list(changed))
            after = {name: _told(value) for name, value in changed.items()}
            audit.record(actor, "queue.changed", "queue", queue.pk, before=before, after=after)
    return queue


def _rubric(actor: Actor, slug: Any) -> Rubric:
    rubric = None
    if isinstance(slug, str):
        rubric = Rubric.objects.filter(project=actor.project, slug=slug).first()
    if rubric is None:
        raise errors.InvalidInput.at("rubric", "the project has no such rubric", "unknown_rubric")
    return rubric


def _told(value: Any) -> Any:
    return value.slug if isinstance(value, Rubric) else value
