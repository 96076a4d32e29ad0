"""Long work as rows: a job is its own outbox entry, its progress report and its ledger.

A job row commits with the change that asks for it; the relay hands due rows to the broker, so a
broker that is away delays work and loses none.
"""

import uuid

from django.db import models
from django.db.models import functions

from oversight.tenancy.models import Project


class Job(models.Model):
    class Status(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="jobs")
    task = models.CharField(max_length=120)  # the Celery task that carries it out
    arguments = models.JSONField(default=dict)
    actor_kind = models.CharField(max_length=12)
    actor_id = models.CharField(max_length=64)
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.QUEUED)
    done = models.PositiveBigIntegerField(default=0)
    total = models.PositiveBigIntegerField(null=True)
    result = models.JSONField(null=True)
    error = models.TextField(blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempts_allowed = models.PositiveSmallIntegerField(db_default=5)  # a replay allows more
    created_at = models.DateTimeField(db_default=functions.Now())
    # When the relay may hand it over (again): pushed ahead while a worker holds it.
    due_at = models.DateTimeField(db_default=functions.Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # The relay: what is due, oldest first.
            models.Index(
                fields=["due_at"],
                name="job_due",
                condition=models.Q(status__in=["queued", "running"]),
            ),
            # Dead letters, for pages and metrics.
            models.Index(
                fields=["finished_at"], name="job_dead", condition=models.Q(status="failed")
            ),
            # A project's jobs, newest first.
            models.Index(fields=["project", "-created_at"], name="job_recent"),
        ]


class JobAttempt(models.Model):
    """One worker's try at a job: what a dead letter is read from."""

    class Outcome(models.TextChoices):
        DONE = "done"
        REFUSED = "refused"  # an error of the application: final, since a retry would meet it too
        ERROR = "error"  # anything else: tried again
        LOST = "lost"  # the lease ran out unrenewed, its worker died or hangs; or it was cancelled
        PAUSED = "paused"  # stopped well at a mark, from which the next one goes on

    job = models.ForeignKey(Job, on_delete=models.CASCADE, related_name="ledger")
    number = models.PositiveSmallIntegerField()
    started_at = models.DateTimeField(db_default=functions.Now())
    ended_at = models.DateTimeField(null=True)
    outcome = models.CharField(max_length=8, choices=Outcome.choices, blank=True)
    error = models.TextField(blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["job", "number"], name="job_attempt_number"),
        ]


class Tick(models.Model):
    """How a scheduled task fares: one row a task, since its runs have no rows of their own."""

    task = models.CharField(max_length=120, primary_key=True)
    n_runs = models.PositiveBigIntegerField(default=0)
    n_failures = models.PositiveBigIntegerField(default=0)
    succeeded_at = models.DateTimeField(null=True)
    failed_at = models.DateTimeField(null=True)
    error = models.TextField(blank=True)  # the last failure's
    result = models.JSONField(null=True)  # of the last run that went well

    @property
    def error_kind(self) -> str:
        """The error's class. Its text may name other projects, and is for whoever reads the log."""
        return self.error.partition(":")[0]
