"""Schedules and jobs of the review floor: ids in, one service, out."""

from datetime import timedelta
from typing import Any

from celery import shared_task

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.jobs.services import Progress
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.models import ReviewQueue
from review.selectors import rounds as selectors
from review.services import datasets, drift, reconciliation, rounds, schedule
from scoring.services import windows


@shared_task(name="review.tasks.run_round")
def run_round(job_id: str) -> str:
    def work(job: Job, progress: Progress) -> dict[str, Any]:
        queue = ReviewQueue.objects.select_related("project").get(
            project=job.project, pk=job.arguments["queue"]
        )
        drawn = rounds.run(
            system_actor(job.project, f"job:{job.pk}"),
            queue=queue,
            budget=job.arguments["budget"],
        )
        return selectors.job_result(drawn)

    return jobs.run(job_id, work)


@shared_task(name="review.tasks.draw_due_rounds")
def draw_due_rounds() -> int:
    drawn = 0
    for project in Project.objects.all():
        actor = system_actor(project, "schedule")
        if windows.is_due(project, timedelta(minutes=project.window_minutes)):
            windows.close_window(actor)
        drawn += schedule.draw_missing(actor)
    return drawn


@shared_task(name="review.tasks.report_drift")
def report_drift() -> int:
    return sum(
        len(drift.run(system_actor(project, "schedule"))) for project in Project.objects.all()
    )


@shared_task(name="review.tasks.reconcile")
def reconcile() -> dict[str, int]:
    return reconciliation.reconcile()


@shared_task(name="review.tasks.export_dataset")
def export_dataset(job_id: str) -> str:
    return jobs.run(job_id, datasets.build)
