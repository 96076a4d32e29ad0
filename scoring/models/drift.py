"""Drift: what is compared with what, the moving baselines, and the reports that came of it.

A report commits together with the baselines that absorbed its records, so a killed task leaves
neither behind and no record is absorbed twice.
"""

from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from oversight.tenancy.models import Project
from scoring.models.batches import Window
from scoring.models.model_versions import ModelVersion
from scoring.models.scorers import ScorerVersion


class WindowShare(models.Model):
    """How many records of a model version a closed window holds; None where it holds none at all.

    Counted once: deciding what is due must not scan the records of waiting windows every time.
    """

    window = models.ForeignKey(Window, on_delete=models.CASCADE, related_name="shares")
    model_version = models.ForeignKey(
        ModelVersion, null=True, on_delete=models.CASCADE, related_name="+"
    )
    n_records = models.PositiveBigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["window", "model_version"], nulls_distinct=False, name="window_share_once"
            ),
        ]
        indexes = [
            # What of a model version waits to be compared.
            models.Index(fields=["model_version", "window"], name="window_share_of_model"),
        ]


class DriftReference(models.Model):
    """The records that later ones of a model version are compared with: ids, never content."""

    class Source(models.TextChoices):
        BASELINE = "baseline", "the baseline of the scorer version"
        OLDEST = "oldest", "its oldest records"
        SCORED = "scored", "the first records under the scorer version"

    model_version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="+")
    scorer_version = models.ForeignKey(ScorerVersion, on_delete=models.CASCADE, related_name="+")
    source = models.CharField(max_length=8, choices=Source.choices)
    # Windows up to this one belong to the reference alone; 0 where the baseline is it.
    through = models.PositiveIntegerField(default=0)
    record_ids = models.BinaryField()  # 16 bytes each, ascending
    n_records = models.PositiveIntegerField()
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        indexes = [
            models.Index(fields=["model_version", "scorer_version", "-id"], name="drift_reference"),
        ]


class BaselineCheckpoint(models.Model):
    """The moving baselines of a model version, whole (no name) or within a segment.

    A new reference declares a new normal: the baselines start anew with it, and so have absorbed
    none of its records when the distance from them is compared.
    """

    model_version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=64, blank=True)
    value = models.CharField(max_length=200, blank=True)
    reference = models.ForeignKey(DriftReference, on_delete=models.PROTECT, related_name="+")
    state = models.BinaryField()  # the layout of scoring/core/state.py
    n_absorbed = models.PositiveBigIntegerField()
    n_refused = models.PositiveBigIntegerField()
    window = models.ForeignKey(Window, on_delete=models.PROTECT, related_name="+")  # the last taken
    updated_at = models.DateTimeField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "name", "value"], name="baseline_checkpoint_once"
            ),
        ]


class DriftReport(models.Model):
    """One comparison of a model version's latest records, or verdicts, with earlier ones."""

    class Kind(models.TextChoices):
        RECORDS = "records", "Records"
        VERDICTS = "verdicts", "Verdicts"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    model_version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind.choices)
    queue = models.CharField(max_length=63, blank=True)  # slug: whose verdicts
    window = models.ForeignKey(Window, on_delete=models.PROTECT, related_name="+")  # the last
    first_window = models.PositiveIntegerField()
    reference = models.ForeignKey(
        DriftReference, null=True, on_delete=models.PROTECT, related_name="+"
    )
    scorer_version = models.ForeignKey(ScorerVersion, on_delete=models.CASCADE, related_name="+")
    reference_first_at = models.DateTimeField()
    reference_last_at = models.DateTimeField()
    compared_first_at = models.DateTimeField()
    compared_last_at = models.DateTimeField()
    n_reference = models.PositiveIntegerField()
    n_compared = models.PositiveIntegerField()
    # Of the model version in the compared windows; n_compared were drawn from these.
    n_records = models.PositiveBigIntegerField()
    season = models.CharField(max_length=40)
    matched = models.FloatField()  # share of the compared that has a counterpart in its season
    level = models.FloatField()  # chance that a report without drift holds even one alarm
    n_tests = models.PositiveIntegerField()
    n_alarms = models.PositiveIntegerField()
    tests = models.JSONField()
    alarms = models.JSONField()
    scores = models.JSONField(null=True)  # histogram of the compared under the scorer version
    baselines = models.JSONField(default=list)  # moving means beside the reference's
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(
                fields=["model_version", "kind", "queue", "window"], name="drift_report_once"
            ),
        ]
        indexes = [
            # The list, newest first, and which segments are moving now.
            models.Index(fields=["project", "-id"], name="drift_report_recent"),
            # A model version's last reports: what was compared, and since when it moves.
            models.Index(fields=["model_version", "kind", "-id"], name="drift_report_of_model"),
        ]

    def __str__(self) -> str:
        return f"drift report {self.pk}"
