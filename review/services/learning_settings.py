"""Who teaches a project's scorer and how: read and changed, one row a project."""

from django.db import transaction

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from review.models import LearningSettings, ReviewQueue
from review.services import backtesting

MAX_NEW_LABELS = 100_000


def settings_of(project: Project) -> LearningSettings:
    """A project's settings; those of a project that never changed any are not stored."""
    found = LearningSettings.objects.select_related("queue").filter(project=project).first()
    return found or LearningSettings(project=project)


def change(
    actor: Actor,
    *,
    queue: ReviewQueue | None,
    question: str,
    is_on: bool,
    releases_by_rule: bool,
    min_new_labels: int,
) -> LearningSettings:
    """Change all settings at once.

    Raises:
        InvalidInput: no such question in the queue, or a number out of range.
    """
    access.require(actor, "scorers:write")
    if not 1 <= min_new_labels <= MAX_NEW_LABELS:
        raise errors.InvalidInput.at("min_new_labels", f"from 1 to {MAX_NEW_LABELS:,}", "range")
    backtesting.check_question(queue or backtesting.default_queue(actor.project), question)
    with transaction.atomic():
        LearningSettings.objects.get_or_create(project=actor.project)
        chosen = LearningSettings.objects.select_for_update().get(project=actor.project)
        before = _facts(chosen)
        chosen.queue, chosen.question = queue, question
        chosen.is_on, chosen.releases_by_rule = is_on, releases_by_rule
        chosen.min_new_labels = min_new_labels
        chosen.save()
        audit.record(
            actor,
            "learning.changed",
            "project",
            actor.project.pk,
            before=before,
            after=_facts(chosen),
        )
    return chosen


def _facts(chosen: LearningSettings) -> dict[str, object]:
    return {
        "queue": chosen.queue_id,
        "question": chosen.question,
        "is_on": chosen.is_on,
        "releases_by_rule": chosen.releases_by_rule,
        "min_new_labels": chosen.min_new_labels,
    }
