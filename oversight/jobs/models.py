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
            # A project's jobs, newest first.
            models.Index(fields=["project", "-created_at"], name="job_recent"),
        ]
