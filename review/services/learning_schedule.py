"""When the schedule learns: at most once an hour, and only from enough that is new.

All it goes by stands in PostgreSQL; two ticks at once ask for one job.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.models import LearningRun, LearningSettings, ReviewQueue
from review.selectors.learning_labels import n_resolved_since
from review.services.learning import TASK

AT_MOST_EVERY = timedelta(minutes=55)  # a tick an hour, which may come a little early
_SHARE = 10  # new verdicts, as 1/10 of those that the last run had


def ask_if_due(project: Project) -> Job | None:
    """Ask for a round of learning where one is due; None where it is not."""
    queue = ReviewQueue.objects.filter(project=project).order_by("pk").first()
    if queue is None:
        return None
    with transaction.atomic():
        LearningSettings.objects.get_or_create(project=project)
        chosen = (
            LearningSettings.objects.select_for_update(of=["self"])
            .select_related("queue")
            .get(project=project)
        )
        queue = chosen.queue or queue
        if not chosen.is_on or _is_under_way(project) or not _has_enough(chosen, queue):
            return None
        return jobs.enqueue(
            system_actor(project, "schedule"), TASK, queue=queue.pk, question=chosen.question
        )


def _is_under_way(project: Project) -> bool:
    """A job that waits or runs, or a run or try within the hour."""
    asked = Job.objects.filter(project=project, task=TASK)
    open_jobs = asked.filter(status__in=[Job.Status.QUEUED, Job.Status.RUNNING])
    lately = asked.filter(created_at__gt=Now() - AT_MOST_EVERY)
    return open_jobs.exists() or lately.exists()


def _has_enough(chosen: LearningSettings, queue: ReviewQueue) -> bool:
    last = (
        LearningRun.objects.filter(project=chosen.project, queue=queue, question=chosen.question)
        .order_by("-pk")
        .first()
    )
    needed = max(chosen.min_new_labels, last.n_labels // _SHARE if last else 0)
    return n_resolved_since(queue, last.until if last else 0) >= needed
