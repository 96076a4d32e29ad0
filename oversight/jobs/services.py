"""Asking for long work, carrying it out under a lease, reporting its progress.

A worker that dies keeps nothing: its lease runs out and the relay hands the job over again, at
most `attempts_allowed` times, after which it is a visible failure that can be replayed. Every try
stands in the ledger.
"""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import F, Q, QuerySet
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.jobs import lease, selectors
from oversight.jobs.models import Job, JobAttempt
from oversight.lib import errors
from oversight.lib.logs import describe
from oversight.tenancy.actors import Actor, system_actor
from oversight.tenancy.models import ApiKey

logger = logging.getLogger(__name__)

MORE_ATTEMPTS = 5  # that a replay allows
LEASE = timedelta(minutes=2)  # renewed while the work goes on
# How long a handed-over job may wait for a worker before it is handed over again.
_HANDOVER = timedelta(seconds=30)
_LIVE = (Job.Status.QUEUED, Job.Status.RUNNING)
_BATCH = 50
_LONGEST_ERROR = 2_000


class LeaseLost(Exception):
    """The job was cancelled or is not this worker's any more: what becomes of it is not its say."""


def enqueue(actor: Actor, task: str, **arguments: Any) -> Job:
    """A new job, which commits with the caller's transaction.

    Args:
        actor: who asks.
        task: the Celery task's name; it is called with the job's id alone.
        arguments: JSON-able, ids rather than objects.
    """
    job = Job.objects.create(
        project=actor.project,
        task=task,
        arguments=arguments,
        actor_kind=actor.kind,
        actor_id=actor.id,
    )
    audit.record(actor, "job.asked", "job", job.pk, task=task, arguments=arguments)
    return job


def hand_over(send: Callable[[str, str], None]) -> int:
    """Hand due jobs to the broker; returns how many. A failing broker leaves them due."""
    with transaction.atomic():
        due = list(
            Job.objects.select_for_update(skip_locked=True)
            .filter(status__in=_LIVE, due_at__lte=Now())
            .order_by("due_at")[:_BATCH]
        )
        for job in due:
            if job.status == Job.Status.RUNNING:  # unrenewed: its worker died, or hangs
                _close_attempt(job, JobAttempt.Outcome.LOST)
            if job.attempts >= job.attempts_allowed:
                error = job.error or "given up: its worker died"
                _finish(job, Job.Status.FAILED, of=_LIVE, error=error)
                continue
            Job.objects.filter(pk=job.pk).update(status=Job.Status.QUEUED, due_at=Now() + _HANDOVER)
            send(job.task, str(job.pk))
    return len(due)


class Progress:
    """What a running job reports through; every report renews the lease."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def report(self, done: int, total: int | None = None) -> None:
        """Say how far the work is.

        Raises:
            LeaseLost: the job was cancelled, or is due to another worker.
        """
        fresh: dict[str, Any] = {"done": done}
        if total is not None:
            fresh["total"] = total
        if not _renew(self.job, **fresh):
            raise LeaseLost


def run(job_id: str | UUID, work: Callable[[Job, Progress], dict[str, Any] | None]) -> str:
    """Carry out a job once: take its lease, do the work, store the result or the error.

    Errors of the application are final; anything else is retried by the relay.

    Args:
        work: returns the result; None where it stops at a mark, to go on from there later.
    """
    with _lease(job_id) as job:
        if job is None:
            return "not due"
        try:
            with lease.kept(lambda: _renew(job)):
                result = work(job, Progress(job))
        except LeaseLost:
            _close_attempt(job, JobAttempt.Outcome.LOST)
            return "lost"
        except errors.ApplicationError as error:
            _close_attempt(job, JobAttempt.Outcome.REFUSED, error.message)
            _finish(job, Job.Status.FAILED, of=[Job.Status.RUNNING], error=error.message)
            return "failed"
        except Exception as error:
            text = describe(error)
            _close_attempt(job, JobAttempt.Outcome.ERROR, text)
            _held(job).update(error=text[:_LONGEST_ERROR])
            raise
        if result is None:
            _hand_back(job)
            return "handed back"
        _close_attempt(job, JobAttempt.Outcome.DONE)
        # Also where the lease ran out unnoticed: nobody need do again what is done.
        _finish(job, Job.Status.DONE, of=_LIVE, result=result)
        return "done"


def _held(job: Job) -> QuerySet[Job]:
    """The job's row, while this attempt holds its lease."""
    return Job.objects.filter(pk=job.pk, status=Job.Status.RUNNING, attempts=job.attempts)


def _renew(job: Job, **fresh: Any) -> bool:
    """Push the lease's end ahead, while it is still this attempt's."""
    return bool(_held(job).update(due_at=Now() + LEASE, **fresh))


def _hand_back(job: Job) -> None:
    """Queue a job again that stands at its mark: a try that went well uses up none."""
    with transaction.atomic():
        _held(job).update(
            status=Job.Status.QUEUED,
            due_at=Now(),
            attempts_allowed=F("attempts_allowed") + 1,
            error="",
        )
        _close_attempt(job, JobAttempt.Outcome.PAUSED)


@contextmanager
def _lease(job_id: str | UUID) -> Iterator[Job | None]:
    job = None
    with transaction.atomic():
        # A broker may deliver twice: only the first taker runs.
        taken = Job.objects.filter(pk=job_id, status=Job.Status.QUEUED).update(
            status=Job.Status.RUNNING, attempts=F("attempts") + 1, due_at=Now() + LEASE
        )
        if taken:
            job = Job.objects.select_related("project").get(pk=job_id)
            JobAttempt.objects.create(job=job, number=job.attempts)
    yield job


def _close_attempt(job: Job, outcome: JobAttempt.Outcome, error: str = "") -> None:
    JobAttempt.objects.filter(job=job, number=job.attempts, ended_at=None).update(
        outcome=outcome, error=error[:_LONGEST_ERROR], ended_at=Now()
    )


def _finish(
    job: Job, status: Job.Status, *, of: Sequence[Job.Status], result: Any = None, error: str = ""
) -> None:
    """End a job that still stands at this attempt, in one of the states `of`."""
    with transaction.atomic():
        changed = Job.objects.filter(pk=job.pk, attempts=job.attempts, status__in=of).update(
            status=status, result=result, error=error[:_LONGEST_ERROR], finished_at=Now()
        )
        if changed:
            audit.record(
                system_actor(job.project, "worker"),
                f"job.{status}",
                "job",
                job.pk,
                attempts=job.attempts,
            )


def cancel(actor: Actor, job: Job) -> None:
    """Stop a job; its worker notices at the next progress report.

    Raises:
        NotAllowed: the actor neither asked for it nor owns the project.
        Conflict: it is over already.
    """
    if not selectors.is_of(actor, job):
        raise errors.NotAllowed("only whoever asked for a job, or an owner, may cancel it")
    with transaction.atomic():
        changed = Job.objects.filter(pk=job.pk, status__in=_LIVE).update(
            status=Job.Status.CANCELLED, finished_at=Now()
        )
        if not changed:
            raise errors.Conflict("the job is over already")
        audit.record(actor, "job.cancelled", "job", job.pk)


def cancel_all_of(actor: Actor, *, user_id: int, but: Collection[str] = ()) -> int:
    """Cancel what a person asked for and may ask for no more; returns how many jobs that were.

    Jobs of keys that acted as them and are revoked count as theirs. An owner may replay a job.

    Args:
        actor: an owner of the project, which the person leaves or has another role in.
        user_id: the person.
        but: the tasks that they may still ask for.
    """
    keys = ApiKey.objects.filter(project=actor.project, acts_as=user_id, revoked_at__isnull=False)
    own = Q(actor_kind="user", actor_id=str(user_id)) & ~Q(task__in=but)
    by_key = Q(actor_kind="key", actor_id__in=[str(pk) for pk in keys.values_list("pk", flat=True)])
    with transaction.atomic():
        live = Job.objects.filter(own | by_key, project=actor.project, status__in=_LIVE)
        jobs = list(live.select_for_update().order_by("pk"))
        for job in jobs:
            cancel(actor, job)
    return len(jobs)


def replay(actor: Actor, job: Job) -> None:
    """Have a failed or cancelled job done after all, from where its work had got to.

    Raises:
        NotAllowed: the actor neither asked for it nor owns the project.
        Conflict: it is not over, or went well.
    """
    if not selectors.is_of(actor, job):
        raise errors.NotAllowed("only whoever asked for a job, or an owner, may replay it")
    over = [Job.Status.FAILED, Job.Status.CANCELLED]
    with transaction.atomic():
        changed = Job.objects.filter(pk=job.pk, status__in=over).update(
            status=Job.Status.QUEUED,
            attempts_allowed=F("attempts") + MORE_ATTEMPTS,
            due_at=Now(),
            finished_at=None,
            error="",
        )
        if not changed:
            raise errors.Conflict("only a job that failed or was cancelled can be replayed")
        audit.record(actor, "job.replayed", "job", job.pk, attempts=job.attempts)
