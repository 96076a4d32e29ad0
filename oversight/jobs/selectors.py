"""Reads of jobs."""

from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from oversight.jobs.models import Job, JobAttempt, Tick
from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import ApiKey, User


def get_job(actor: Actor, job_id: UUID) -> Job:
    """A job of the actor's project.

    Raises:
        NotFound: there is none with this id in the project.
    """
    job = Job.objects.filter(project=actor.project, pk=job_id).first()
    if job is None:
        raise errors.NotFound("there is no such job")
    return job


def find_asker(job: Job) -> User | None:
    """The person who asked for a job, or whom the asking key acts as; None for the system."""
    if job.actor_kind == "user":
        return User.objects.filter(pk=job.actor_id).first()
    if job.actor_kind == "key":
        key = ApiKey.objects.select_related("acts_as").filter(pk=job.actor_id).first()
        return key.acts_as if key else None
    return None


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


def jobs(actor: Actor) -> "QuerySet[Job]":
    """The project's jobs, newest first."""
    require(actor, "jobs:read")
    return Job.objects.filter(project=actor.project).order_by("-created_at", "-pk")


def jobs_after(rows: "QuerySet[Job]", key: list[Any]) -> "QuerySet[Job]":
    """The jobs that follow a (created_at, id) key.

    Raises:
        ValueError: the key is none.
    """
    moment, job_id = datetime.fromisoformat(key[0]), UUID(key[1])
    return rows.filter(created_at__lte=moment).exclude(created_at=moment, pk__gte=job_id)


def may_cancel(actor: Actor, job: Job) -> bool:
    """Whoever asked for a job may stop it, and owners may stop any."""
    is_live = job.status in (Job.Status.QUEUED, Job.Status.RUNNING)
    return is_live and is_of(actor, job)


def may_replay(actor: Actor, job: Job) -> bool:
    """A dead letter is replayed by whoever asked for the job, or by an owner."""
    is_dead = job.status in (Job.Status.FAILED, Job.Status.CANCELLED)
    return is_dead and is_of(actor, job)


def is_of(actor: Actor, job: Job) -> bool:
    """Whether a job is the actor's to stop or to replay: they asked for it, or are an owner."""
    asked = (job.actor_kind, job.actor_id) == (actor.kind, actor.id)
    return asked or "project:write" in actor.permissions


def dead_letters(actor: Actor, limit: int = 50) -> list[Job]:
    """The project's latest jobs that failed for good."""
    require(actor, "jobs:read")
    failed = Job.objects.filter(project=actor.project, status=Job.Status.FAILED)
    return list(failed.order_by("-finished_at")[:limit])


def attempts(job: Job) -> list[JobAttempt]:
    """Every try at a job, in order."""
    return list(job.ledger.order_by("number"))


def ticks() -> list[Tick]:
    """How the installation's scheduled tasks fare, by name."""
    return list(Tick.objects.order_by("task"))
