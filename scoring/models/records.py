"""Inference records: a narrow hot row, and its payload apart under the same key.

Both tables are range-partitioned by the time in the id (scoring/partitions.py), so nothing may
hold a database-level foreign key to them. A time filter must bound the id: `within()` does.
"""

import uuid
from datetime import datetime

from django.db import models
from django.db.models import functions

from oversight.tenancy.models import Project
from scoring import ids
from scoring.models.batches import IngestBatch
from scoring.models.fields import JSONTextField
from scoring.models.model_versions import ModelVersion
from scoring.models.scorers import ScorerVersion


class Action(models.IntegerChoices):
    PASS = 0, "pass"
    REVIEW = 1, "review"
    INTERVENE = 2, "intervene"


class RecordQuerySet(models.QuerySet["InferenceRecord"]):
    def of(self, project: Project) -> "RecordQuerySet":
        return self.filter(project=project)

    def within(
        self, since: datetime | None = None, until: datetime | None = None
    ) -> "RecordQuerySet":
        """Records that occurred in [since, until); bounds the id, so that partitions are pruned."""
        found = self
        if since is not None:
            found = found.filter(id__gte=ids.lower_bound(since), occurred_at__gte=since)
        if until is not None:
            found = found.filter(id__lt=ids.lower_bound(until), occurred_at__lt=until)
        return found


class InferenceRecord(models.Model):
    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(
        Project, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False, related_name="+"
    )
    batch = models.ForeignKey(
        IngestBatch, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    model_version = models.ForeignKey(
        ModelVersion, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    scorer_version = models.ForeignKey(
        ScorerVersion, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    external_id = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    ingested_at = models.DateTimeField(db_default=functions.Now())
    region = models.CharField(max_length=200, blank=True)
    context = models.JSONField(default=dict)
    signals = models.JSONField(default=dict)
    raw = models.FloatField()
    score = models.FloatField()
    p_violation = models.FloatField(null=True)
    weight = models.FloatField(default=1)  # business weight of the context, at least 1
    tier = models.PositiveSmallIntegerField()
    action = models.PositiveSmallIntegerField(choices=Action.choices)
    held_out = models.BooleanField()
    may_review = models.BooleanField()
    may_train = models.BooleanField()
    consent_basis = models.CharField(max_length=200, blank=True)
    conversation_id = models.CharField(max_length=200, blank=True)
    subject_id = models.CharField(max_length=200, blank=True)
    group_hash = models.BinaryField()
    content_hash = models.BinaryField()
    erased_at = models.DateTimeField(null=True)

    objects = RecordQuerySet.as_manager()

    class Meta:
        # The indexes stand in the migration's DDL with the queries they serve.
        db_table = "scoring_record"

    def __str__(self) -> str:
        return self.external_id


class RecordPayload(models.Model):
    """What was said: input and output as the JSON texts that came in, and the fingerprint.

    `fingerprint` holds little-endian float16 numbers, or float32 where a value exceeds float16's
    range: its length against the model version's dimension tells which.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    input = models.TextField()
    output = models.TextField()
    fingerprint = models.BinaryField(null=True)
    reasons = JSONTextField(default=list)
    intervention = JSONTextField(null=True)  # {"kind": block | replace, "replacement"?}

    class Meta:
        db_table = "scoring_payload"
