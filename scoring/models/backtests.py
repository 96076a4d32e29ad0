"""Backtests: how a scorer version would have done on records that people judged."""

from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from oversight.jobs.models import Job
from oversight.tenancy.models import User
from scoring.models.scorers import ScorerVersion


class Backtest(models.Model):
    """One comparison of a version with another on the same labels; a later one is a new row."""

    scorer_version = models.ForeignKey(
        ScorerVersion, on_delete=models.PROTECT, related_name="backtests"
    )
    reference = models.ForeignKey(
        ScorerVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    source = models.CharField(max_length=140)  # whose labels: "queue" or "queue/question"
    report = models.JSONField()
    label_counts = models.JSONField()
    created_at = models.DateTimeField(db_default=functions.Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    # A job that is run twice finds its row here.
    job = models.OneToOneField(Job, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        triggers = append_only()
        indexes = [
            # A version's latest backtest, and their list.
            models.Index(fields=["scorer_version", "-id"], name="backtest_recent"),
        ]
