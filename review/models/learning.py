"""Learning from verdicts: what a project allows, and what each round of learning came to."""

from django.core.validators import MinValueValidator
from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from oversight.jobs.models import Job
from oversight.tenancy.models import Project, User
from review.models.queues import ReviewQueue
from scoring.models import Backtest, ScorerVersion


class LearningSettings(models.Model):
    """Whose verdicts teach a project's scorer, and who puts what was learnt in use."""

    project = models.OneToOneField(Project, on_delete=models.CASCADE, related_name="learning")
    # None: the project's first queue.
    queue = models.ForeignKey(ReviewQueue, null=True, on_delete=models.PROTECT, related_name="+")
    question = models.CharField(max_length=63, blank=True)  # "": the rubric's violation rule
    is_on = models.BooleanField(default=True)  # whether the schedule learns by itself
    releases_by_rule = models.BooleanField(default=False)
    min_new_labels = models.PositiveIntegerField(default=20, validators=[MinValueValidator(1)])


class LearningRun(models.Model):
    """One look at the verdicts: proposed a version, kept the one in use, or could not say."""

    class Outcome(models.TextChoices):
        PROPOSED = "proposed"
        KEPT = "kept", "kept what is in use"
        WAITING = "waiting", "waits for more verdicts"

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="learning_runs")
    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="+")
    question = models.CharField(max_length=63, blank=True)
    until = models.PositiveBigIntegerField()  # the latest resolution it has seen
    n_labels = models.PositiveIntegerField()
    outcome = models.CharField(max_length=10, choices=Outcome.choices)
    reason = models.TextField(blank=True)
    reference = models.ForeignKey(ScorerVersion, on_delete=models.PROTECT, related_name="+")
    version = models.ForeignKey(
        ScorerVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    backtest = models.ForeignKey(Backtest, null=True, on_delete=models.PROTECT, related_name="+")
    released_by_rule = models.CharField(max_length=40, blank=True)  # the rule's name
    report = models.JSONField()  # calibration, comparison, gaps
    created_at = models.DateTimeField(db_default=functions.Now())
    created_by = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    # A job that is run twice finds its row here.
    job = models.OneToOneField(Job, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        triggers = append_only()
        indexes = [
            # The latest run of a queue and question, and a project's list of them.
            models.Index(fields=["project", "-id"], name="learning_run_recent"),
        ]
