"""What a queue's verdicts have taught: numbered versions, kept for ever, one in use a question."""

import pgtrigger
from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from review.models.queues import ReviewQueue
from scoring.models import ScorerVersion


class FeatureSpace(models.Model):
    """A frozen map from records to features, shared by the versions that were fitted in it."""

    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="+")
    scorer_version = models.ForeignKey(ScorerVersion, on_delete=models.PROTECT, related_name="+")
    state = models.BinaryField()  # review/beliefs/space.py
    digest = models.CharField(max_length=64)
    n_reference = models.PositiveIntegerField()  # records of the sample it was fitted to
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()

    def __str__(self) -> str:
        return f"space {self.digest[:12]}"


class PosteriorVersion(models.Model):
    """A posterior over one question, frozen; only which version is in use changes."""

    class Kind(models.TextChoices):
        REFIT = "refit", "Fitted anew"
        UPDATE = "update", "Updated verdict by verdict"

    class Status(models.TextChoices):
        IN_USE = "in_use", "In use"
        RETIRED = "retired", "Retired"

    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="posteriors")
    number = models.PositiveIntegerField()
    head = models.CharField(max_length=63)  # key of the question that says "violation or not"
    kind = models.CharField(max_length=8, choices=Kind.choices)
    based_on = models.ForeignKey("self", null=True, on_delete=models.PROTECT, related_name="+")
    space = models.ForeignKey(FeatureSpace, on_delete=models.PROTECT, related_name="versions")
    state = models.BinaryField()  # review/beliefs/learning.py
    digest = models.CharField(max_length=64)
    n_verdicts = models.PositiveIntegerField()  # labels it rests on, one per record
    n_violations = models.FloatField()  # their sum; disputed ones count in part
    base_rate = models.FloatField()  # expected share of violations, what surprisal is told from
    clause_hashes = models.JSONField()  # {clause key: digest} that every label rests on
    through_resolution = models.PositiveBigIntegerField()  # the newest it was fitted from
    # Newer resolutions call for a new version; after a rollback only those that came since do.
    settled_through = models.PositiveBigIntegerField()
    status = models.CharField(max_length=8, choices=Status.choices, default=Status.IN_USE)
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "number"], name="posterior_number"),
            models.UniqueConstraint(
                fields=["queue", "head"],
                condition=models.Q(status="in_use"),
                name="posterior_in_use",
            ),
        ]
        triggers = [
            pgtrigger.Protect(name="posterior_stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="posterior_is_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.AnyChange(
                    exclude=["status", "settled_through"],
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"posterior {self.number}"
