"""Dataset versions: immutable exports with manifest and files."""

import uuid

import pgtrigger
from django.db import models
from django.db.models import functions

from oversight.jobs.models import Job
from oversight.tenancy.models import Project
from review.models.queues import ReviewQueue


class DatasetVersion(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="datasets")
    name = models.CharField(max_length=63)
    number = models.PositiveIntegerField()
    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="datasets")
    question = models.CharField(max_length=63, blank=True)  # "": the rubric's violation rule
    kind = models.CharField(max_length=16)
    format = models.CharField(max_length=8)
    label_rule = models.CharField(max_length=16)
    filters = models.JSONField(default=dict)
    job = models.ForeignKey(Job, null=True, on_delete=models.SET_NULL, related_name="+")
    manifest = models.JSONField(null=True)  # set once, when the files are complete
    created_at = models.DateTimeField(db_default=functions.Now())
    completed_at = models.DateTimeField(null=True)
    withdrawn_at = models.DateTimeField(null=True)  # its files held what has been erased since

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "name", "number"], name="dataset_number"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="complete_is_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__completed_at__isnull=False)
                & (
                    pgtrigger.Q(old__manifest__df=pgtrigger.F("new__manifest"))
                    | pgtrigger.Q(old__completed_at__df=pgtrigger.F("new__completed_at"))
                ),
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"
