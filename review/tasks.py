"""Schedules and jobs of the review floor: ids in, one service, out."""

from datetime import timedelta
from typing import Any

from celery import shared_task

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.jobs.services import Progress
from oversight.tenancy.actors import system_actor
from oversight.tenancy.each_project import in_each_project
from oversight.tenancy.models import Project
from review.models import ReviewQueue
from review.selectors import rounds as selectors
from review.services import (
    backtesting,
    cuts,
    datasets,
    drift,
    extra_rounds,
    learning,
    learning_schedule,
    refitting,
    rounds,
    schedule,
)
from scoring.services import windows

# Ten million candidates take minutes; below the broker's visibility timeout of 1,800 s.
_DRAWING = {"soft_time_limit": 1_500, "time_limit": 1_560}


@shared_task(name="review.tasks.run_round", **_DRAWING)
def run_round(job_id: str) -> str:
    def work(job: Job, progress: Progress) -> dict[str, Any]:
        queue = ReviewQueue.objects.select_related("project").get(
            project=job.project, pk=job.arguments["queue"]
        )
        actor, budget = system_actor(job.project, f"job:{job.pk}"), job.arguments["budget"]
        span = extra_rounds.read_span(job.arguments.get("windows"))
        if span is None:
            drawn = rounds.run(actor, queue=queue, budget=budget)
        else:
            drawn = extra_rounds.run(actor, queue=queue, span=span, budget=budget)
        return selectors.job_result(drawn)

    return jobs.run(job_id, work)


@shared_task(name="review.tasks.draw_due_rounds", **_DRAWING)
def draw_due_rounds() -> int:
    def draw(project: Project) -> int:
        actor = system_actor(project, "schedule")
        if windows.is_due(project, timedelta(minutes=project.window_minutes)):
            windows.close_windows(actor)
        return schedule.draw_missing(actor)

    return sum(in_each_project(draw))


@shared_task(name="review.tasks.refit_posteriors")
def refit_posteriors() -> int:
    return sum(in_each_project(lambda project: schedule.refit(system_actor(project, "schedule"))))


@shared_task(name="review.tasks.expire_cases")
def expire_cases() -> int:
    return sum(in_each_project(lambda project: cuts.expire(system_actor(project, "schedule"))))


@shared_task(name="review.tasks.report_drift")
def report_drift() -> int:
    return sum(in_each_project(lambda project: len(drift.run(system_actor(project, "schedule")))))


@shared_task(name="review.tasks.export_dataset")
def export_dataset(job_id: str) -> str:
    return jobs.run(job_id, datasets.build)


@shared_task(name="review.tasks.backtest_scorer")
def backtest_scorer(job_id: str) -> str:
    return jobs.run(job_id, lambda job, progress: backtesting.run(job))


@shared_task(name="review.tasks.refit_scorer")
def refit_scorer(job_id: str) -> str:
    return jobs.run(job_id, refitting.run)


@shared_task(name="review.tasks.learn")
def learn(job_id: str) -> str:
    return jobs.run(job_id, learning.run)


@shared_task(name="review.tasks.learn_where_due")
def learn_where_due() -> int:
    return sum(in_each_project(learning_schedule.ask_where_due))
