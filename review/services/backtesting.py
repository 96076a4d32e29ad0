"""Asking for a backtest, and running it with the labels of a queue."""

from typing import Any

from django.db import transaction

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.jobs.selectors import find_asker
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor, system_actor
from oversight.tenancy.models import Project
from review.models import Question, ReviewQueue
from review.services import verified
from scoring.models import ScorerVersion
from scoring.services import backtests


def default_queue(project: Project) -> ReviewQueue:
    """The queue whose labels teach the scorer where nobody says which: the project's first.

    Raises:
        Conflict: the project has no queue.
    """
    queue = ReviewQueue.objects.filter(project=project).order_by("pk").first()
    if queue is None:
        raise errors.Conflict("the project has no review queue, so nobody judges its records")
    return queue


def ask_for_backtest(
    actor: Actor,
    *,
    version: ScorerVersion,
    queue: ReviewQueue | None = None,
    question: str = "",
    reference: ScorerVersion | None = None,
) -> Job:
    """A job that compares a version with another one on the labels of a queue.

    Args:
        queue: default: the project's first.
        question: key of a question answered by yes or no; "" for the rubric's violation rule.
        reference: default: the version in use, or for that one the version before it.

    Raises:
        InvalidInput: no such question, or a version is compared with itself.
    """
    access.require(actor, "scorers:write")
    queue = queue or default_queue(actor.project)
    check_question(queue, question)
    if reference is not None and reference.pk == version.pk:
        raise errors.InvalidInput.at("reference", "another version than the one tested", "same")
    with transaction.atomic():
        return jobs.enqueue(
            actor,
            "review.tasks.backtest_scorer",
            version=version.pk,
            queue=queue.pk,
            question=question,
            reference=reference.pk if reference else None,
        )


def run(job: Job) -> dict[str, Any]:
    """Carry out a backtest job; a second run finds what the first one stored."""
    given = job.arguments
    versions = ScorerVersion.objects.filter(scorer__project=job.project).select_related(
        "scorer__current"
    )
    version = versions.get(pk=given["version"])
    reference = (
        versions.get(pk=given["reference"])
        if given["reference"]
        else backtests.reference_of(version)
    )
    queue = ReviewQueue.objects.select_related("project").get(
        project=job.project, pk=given["queue"]
    )
    made = backtests.run(
        system_actor(job.project, f"job:{job.pk}"),
        version=version,
        reference=reference,
        labels=verified.verified_labels(queue, given["question"]),
        job=job,
        created_by=find_asker(job),
    )
    return {
        "backtest": made.pk,
        "scorer": version.scorer.slug,
        "version": version.number,
        "reference": reference.number if reference else None,
        "labels": made.label_counts["tested"],
        "verdict": made.report["verdict"]["says"],
    }


def check_question(queue: ReviewQueue, question: str) -> None:
    """Raise InvalidInput unless the queue's rubric asks this question, answered by yes or no."""
    if not question:
        return
    asked = Question.objects.filter(
        version__rubric=queue.rubric_id,
        version__published_at__isnull=False,
        key=question,
        kind=Question.Kind.BOOLEAN,
    )
    if not asked.exists():
        raise errors.InvalidInput.at(
            "question", "the queue's rubric asks no such yes-or-no question", "unknown_question"
        )
