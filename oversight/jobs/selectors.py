"""Reads of jobs."""

from typing import Any
from uuid import UUID

from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.tenancy.actors import Actor


def get_job(actor: Actor, job_id: UUID) -> Job:
    """A job of the actor's project.

    Raises:
        NotFound: there is none with this id in the project.
    """
    job = Job.objects.filter(project=actor.project, pk=job_id).first()
    if job is None:
        raise errors.NotFound("there is no such job")
    return job


def as_answer(job: Job) -> dict[str, Any]:
    """The job as the API and the pages tell it."""
    return {
        "id": str(job.pk),
        "status": job.status,
        "done": job.done,
        "total": job.total,
        "result": job.result,
        "error": job.error or None,
    }
