"""Ingest batches and the windows that claim them.

A window is the set of batches that one UPDATE claimed: a batch that commits late falls into the
next window, so no record is missed or counted twice (docs/decisions/0003).
"""

from django.db import models
from django.db.models import functions

from oversight.tenancy.models import Project


class Window(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="windows")
    number = models.PositiveIntegerField()
    closed_at = models.DateTimeField(db_default=functions.Now())
    n_records = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "number"], name="window_number"),
        ]

    def __str__(self) -> str:
        return f"window {self.number}"


class IngestBatch(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    window = models.ForeignKey(
        Window, null=True, db_index=False, on_delete=models.PROTECT, related_name="batches"
    )
    n_records = models.PositiveIntegerField()
    merkle_root = models.BinaryField()  # over the accepted records' ids and content hashes
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        indexes = [
            # Closing a window: what no window has claimed.
            models.Index(
                fields=["project"], name="batch_unclaimed", condition=models.Q(window__isnull=True)
            ),
            # A round's candidates: the batches of its window.
            models.Index(
                fields=["window"], name="batch_window", condition=models.Q(window__isnull=False)
            ),
        ]
