"""Later scores of records under other scorer versions; a record's own score stays as it is."""

from django.db import models
from django.db.models import functions

from oversight.tenancy.models import Project, User
from scoring.models.records import Action
from scoring.models.scorers import ScorerVersion


class RecordScore(models.Model):
    """What a scorer version would have decided about a stored record.

    Partitioned like the records, so that both are dropped together; nothing updates a row.
    """

    pk = models.CompositePrimaryKey("scorer_version_id", "record_id")
    scorer_version = models.ForeignKey(
        ScorerVersion, on_delete=models.DO_NOTHING, db_constraint=False, db_index=False
    )
    record_id = models.UUIDField(db_column="id")  # named as in the records' tables
    raw = models.FloatField()
    score = models.FloatField()
    p_violation = models.FloatField(null=True)
    tier = models.PositiveSmallIntegerField()
    action = models.PositiveSmallIntegerField(choices=Action.choices)
    held_out = models.BooleanField()

    class Meta:
        # The DDL stands in the migration, with the query that the primary key serves.
        db_table = "scoring_record_score"


class Rescoring(models.Model):
    """A window of records to be scored under a version, and how far that is.

    `after` is the last record of the last chunk that committed: whoever goes on starts there.
    """

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    scorer_version = models.ForeignKey(
        ScorerVersion, on_delete=models.CASCADE, related_name="rescorings"
    )
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    model = models.CharField(max_length=200, blank=True)  # the name; "" stands for all
    after = models.UUIDField(null=True)
    n_scored = models.PositiveBigIntegerField(default=0)
    n_held_out = models.PositiveBigIntegerField(default=0)
    created_at = models.DateTimeField(db_default=functions.Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    completed_at = models.DateTimeField(null=True)
