"""When the schedule learns: the calibration at most once an hour, the detectors once a day.

Only from enough that is new.

All it goes by stands in PostgreSQL; two ticks at once ask for one job.
"""

from datetime import timedelta

import numpy as np
from django.db import transaction
from django.db.models.functions import Now

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.models import LearningRun, LearningSettings, ReviewQueue
from review.selectors.learning_labels import n_resolved_since
from review.services import refit_requests, verified
from review.services.learning import TASK
from scoring.core.detectors.fitting import MIN_VIOLATIONS
from scoring.models import ScorerVersion
from scoring.services import scorers

AT_MOST_EVERY = timedelta(minutes=55)  # a tick an hour, which may come a little early
REFIT_AT_MOST_EVERY = timedelta(hours=23)  # a refit reads the whole baseline window
_SHARE = 10  # new verdicts, as 1/10 of those that the last run had


def ask_where_due(project: Project) -> int:
    """Ask for all that is due in the project; returns the number of jobs."""
    asked = [ask_if_due(project), ask_to_refit_if_due(project)]
    return sum(job is not None for job in asked)


def ask_if_due(project: Project) -> Job | None:
    """Ask for a round of learning where one is due; None where it is not."""
    queue = ReviewQueue.objects.filter(project=project).order_by("pk").first()
    if queue is None:
        return None
    with transaction.atomic():
        chosen = _locked_settings(project)
        queue = chosen.queue or queue
        if not chosen.is_on or _is_under_way(project, TASK, AT_MOST_EVERY):
            return None
        if not _has_enough(chosen, queue):
            return None
        return jobs.enqueue(
            system_actor(project, "schedule"), TASK, queue=queue.pk, question=chosen.question
        )


def ask_to_refit_if_due(project: Project) -> Job | None:
    """Ask for the next ensemble where people verified enough new violations; None where not.

    Only where an ensemble is in use: a project that chose another kind is not moved off it.
    """
    version = scorers.current_version(project)
    first = ReviewQueue.objects.filter(project=project).order_by("pk").first()
    if first is None or version.kind != refit_requests.KIND:
        return None
    with transaction.atomic():
        chosen = _locked_settings(project)
        queue = chosen.queue or first
        if not chosen.is_on or _is_under_way(project, refit_requests.TASK, REFIT_AT_MOST_EVERY):
            return None
        if not _has_new_violations(version, queue, chosen.question):
            return None
        return refit_requests.ask_for_refit(
            system_actor(project, "schedule"),
            slug=version.scorer.slug,
            queue=queue,
            question=chosen.question,
            config=refit_requests.settings_to_refit(version),
        )


def _locked_settings(project: Project) -> LearningSettings:
    """The project's settings, held so that two schedulers do not both ask."""
    LearningSettings.objects.get_or_create(project=project)
    return (
        LearningSettings.objects.select_for_update(of=["self"])
        .select_related("queue")
        .get(project=project)
    )


def _has_new_violations(version: ScorerVersion, queue: ReviewQueue, question: str) -> bool:
    """As many as a contrast needs, and a tenth of those that the last fit had, since that fit.

    The last fit, in use or still proposed: what waits for a person is not proposed over and over.
    """
    source = verified.source_of(queue, question)
    learnt = (
        ScorerVersion.objects.filter(scorer=version.scorer, baseline__contrast__source=source)
        .order_by("-number")
        .values_list("baseline__contrast", flat=True)
        .first()
    )
    labels = verified.verified_labels(queue, question)
    fresh = labels.sequence > (learnt["until"] if learnt else 0)
    new = int(np.sum(fresh & (labels.label == 1.0) & ~labels.held_out))
    known = sum(learnt["violations"].values()) if learnt else 0
    return new >= max(MIN_VIOLATIONS, known // _SHARE)


def _is_under_way(project: Project, task: str, at_most_every: timedelta) -> bool:
    """A job that waits or runs, or a run or try of late."""
    asked = Job.objects.filter(project=project, task=task)
    open_jobs = asked.filter(status__in=[Job.Status.QUEUED, Job.Status.RUNNING])
    lately = asked.filter(created_at__gt=Now() - at_most_every)
    return open_jobs.exists() or lately.exists()


def _has_enough(chosen: LearningSettings, queue: ReviewQueue) -> bool:
    last = (
        LearningRun.objects.filter(project=chosen.project, queue=queue, question=chosen.question)
        .order_by("-pk")
        .first()
    )
    needed = max(chosen.min_new_labels, last.n_labels // _SHARE if last else 0)
    return n_resolved_since(queue, last.until if last else 0) >= needed
