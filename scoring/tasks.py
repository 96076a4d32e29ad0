"""Schedules and jobs of the scoring floor: ids in, one service, out."""

from dataclasses import asdict
from datetime import datetime
from typing import Any

from celery import shared_task

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.jobs.selectors import find_asker
from oversight.jobs.services import Progress
from oversight.tenancy.actors import system_actor
from scoring.services import fitting, guarding, rescoring, retention


@shared_task(name="scoring.tasks.enforce_retention")
def enforce_retention() -> dict[str, int]:
    return asdict(retention.enforce())


@shared_task(name="scoring.tasks.fit_scorer")
def fit_scorer(job_id: str) -> str:
    def work(job: Job, progress: Progress) -> dict[str, Any]:
        given = job.arguments
        version = fitting.fit(
            system_actor(job.project, f"job:{job.pk}"),
            slug=given["scorer"],
            since=_moment(given["since"]),
            until=_moment(given["until"]),
            kind=given.get("kind"),
            config=given["config"],
            invariants=guarding.chosen(given.get("invariants", guarding.KEEP)),
            created_by=find_asker(job),
            job=str(job.pk),
        )
        return {
            "scorer": version.scorer.slug,
            "version": version.number,
            "records": version.baseline["n_records"],
        }

    return jobs.run(job_id, work)


@shared_task(name="scoring.tasks.rescore")
def rescore(job_id: str) -> str:
    def work(job: Job, progress: Progress) -> dict[str, Any] | None:
        done = rescoring.run(
            system_actor(job.project, f"job:{job.pk}"),
            rescoring_id=job.arguments["rescoring"],
            progress=progress,
        )
        return rescoring.as_result(done) if done.completed_at else None

    return jobs.run(job_id, work)


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
