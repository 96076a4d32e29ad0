"""How many records a draw could choose from, counted once: figures never scan the records again."""

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import functions

from review.models.queues import ReviewQueue
from scoring.models import ModelVersion, ScorerVersion, Window

WITHHELD = "withheld"  # beside the strata: records that may not be reviewed


class CountedWindow(models.Model):
    """A window whose population was counted for a queue, in the transaction that counted it."""

    queue = models.ForeignKey(ReviewQueue, on_delete=models.CASCADE, related_name="+")
    window = models.ForeignKey(Window, on_delete=models.CASCADE, related_name="+")
    at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["queue", "window"], name="window_counted_once"),
        ]

    def __str__(self) -> str:
        return f"window {self.window_id} for {self.queue_id}"


class PopulationCount(models.Model):
    """The records of one stratum of a window that share model, scorer, day and segment value.

    Rows with segment "" share out all records; the rows of each counted segment do so again among
    the records that have it. A segment with too many values has one empty row with value None.
    """

    queue = models.ForeignKey(ReviewQueue, on_delete=models.CASCADE, related_name="+")
    window = models.ForeignKey(Window, on_delete=models.CASCADE, related_name="+")
    stratum = models.CharField(max_length=12)
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    scorer_version = models.ForeignKey(ScorerVersion, on_delete=models.PROTECT, related_name="+")
    day = models.DateField()  # of occurred_at, UTC
    segment = models.TextField(blank=True)
    value = models.TextField(null=True)
    n = models.PositiveBigIntegerField()
    # At index i: records of tier i or higher; records whose score is at least i / 1000.
    at_tier = ArrayField(models.PositiveBigIntegerField())
    at_score = ArrayField(models.PositiveBigIntegerField())

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=[
                    *("queue", "window", "stratum", "segment", "value"),
                    *("model_version", "scorer_version", "day"),
                ],
                nulls_distinct=False,
                name="population_count_once",
            ),
        ]
        indexes = [
            # The sizes of a domain: all windows of a queue under one segment value.
            models.Index(fields=["queue", "segment", "value", "day"], name="population_domain"),
        ]

    def __str__(self) -> str:
        return f"{self.n} of window {self.window_id}"
