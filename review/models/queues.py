"""Review queues and the sampling rounds that fill them."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from oversight.tenancy.models import Project
from review.models.rubrics import Rubric
from scoring.core.queue_profiles import BALANCED
from scoring.models import ScorerVersion, Window


class BudgetRule(models.TextChoices):
    CAPACITY = "capacity", "What the reviewers can answer, at most the budgets"
    FIXED = "fixed", "The budgets as they stand"


class ReviewQueue(models.Model):
    class Evidence(models.TextChoices):
        ALWAYS = "always", "Blind always"
        FIRST = "first", "Blind first"
        OPEN = "open", "Open"

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="queues")
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=120)
    rubric = models.ForeignKey(Rubric, on_delete=models.PROTECT, related_name="queues")
    # Which records may enter; the keys and their meaning stand in review/filters.py.
    filter = models.JSONField(default=dict, blank=True)
    strategy = models.CharField(max_length=40, default=BALANCED.strategy)
    tau = models.FloatField(null=True, blank=True)  # None: set by effective sample size
    # That size in budgets: over how many records the softmax spreads for each one drawn.
    effective_size = models.FloatField(
        default=BALANCED.size_in_budgets,
        validators=[MinValueValidator(1.2), MaxValueValidator(100)],
    )
    # `region` and context fields whose frequent values are features of the posterior.
    segment_terms = models.JSONField(default=list, blank=True)
    floor = models.FloatField(
        default=BALANCED.floor, validators=[MinValueValidator(0.01), MaxValueValidator(1)]
    )
    budget = models.PositiveIntegerField(default=50)  # records per window, from the stream
    evaluation_budget = models.PositiveIntegerField(default=5)  # held-out records per window
    intervened_budget = models.PositiveIntegerField(default=10)  # intervened records per window
    # Whether the budgets are drawn as they stand, or are what review/services/capacity.py stays in.
    budget_rule = models.CharField(
        max_length=8, choices=BudgetRule.choices, default=BudgetRule.CAPACITY
    )
    max_age_hours = models.PositiveIntegerField(
        default=168, validators=[MinValueValidator(1), MaxValueValidator(8_760)]
    )  # how long a drawn case may wait
    # Below 1: share of cases that get a second reviewer; from 1 on: reviewers for each case.
    overlap = models.FloatField(default=1, validators=[MinValueValidator(0), MaxValueValidator(9)])
    gold_share = models.FloatField(
        default=0, validators=[MinValueValidator(0), MaxValueValidator(0.5)]
    )
    evidence = models.CharField(max_length=8, choices=Evidence.choices, default=Evidence.FIRST)
    lease_seconds = models.PositiveIntegerField(
        default=900, validators=[MinValueValidator(30), MaxValueValidator(86_400)]
    )
    is_paused = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="queue_slug")]

    def __str__(self) -> str:
        return self.name


class Stratum(models.TextChoices):
    """A window's records are drawn apart where they must not compete for one budget."""

    STREAM = "stream", "Stream"
    EVALUATION = "evaluation", "Held out for evaluation"
    INTERVENED = "intervened", "Intervened"


class SamplingRound(models.Model):
    """One draw over one stratum of one window, complete enough to be derived again."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rounds")
    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="rounds")
    window = models.ForeignKey(Window, on_delete=models.PROTECT, related_name="rounds")
    stratum = models.CharField(max_length=12, choices=Stratum.choices)
    number = models.PositiveSmallIntegerField(default=1)  # of the draws over this stratum
    filter = models.JSONField(default=dict)
    strategy = models.CharField(max_length=40)
    tau = models.FloatField()
    effective_size = models.FloatField(null=True)  # in budgets; None where τ was pinned
    floor = models.FloatField()
    seed = models.BinaryField()
    budget = models.PositiveIntegerField()
    budget_reason = models.JSONField(default=dict)  # rule and what it was applied to
    scorer_version = models.ForeignKey(
        ScorerVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    posterior_version = models.PositiveIntegerField(null=True)  # its number; None: cold start
    base_rate = models.FloatField()  # what the gains were computed with
    # No discount of near-duplicates went below it; None in rounds drawn before there was a limit.
    least_gain = models.FloatField(null=True)
    # Segments that had drifted: [{name, value, model_version, severity, factor}].
    shifts = models.JSONField(default=list)
    n_candidates = models.PositiveBigIntegerField()
    candidates_hash = models.CharField(max_length=64)
    n_selected = models.PositiveIntegerField()
    # κ, the (k+1)-th key. None where it is not finite: `threshold_kind` says which way.
    threshold = models.FloatField(null=True)
    threshold_kind = models.CharField(max_length=8)  # finite | taken (all were) | floor (+∞)
    threshold_exponential = models.FloatField(null=True)
    log_normalizer = models.FloatField(null=True)
    floor_hazard = models.FloatField()
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(
                fields=["queue", "window", "stratum", "number"], name="round_once"
            ),
        ]
        indexes = [models.Index(fields=["project", "-id"], name="round_recent")]

    def __str__(self) -> str:
        return f"{self.queue.slug} · window {self.window.number} · {self.stratum}"


class RoundCut(models.Model):
    """A round that ends before its last selection: what lies beyond `length` is withdrawn.

    Made once at most before each further draw over the stratum, or when cases grow too old; the
    shortest holds.
    """

    class Reason(models.TextChoices):
        AGAIN = "again", "The stratum was drawn again"
        AGE = "age", "The cases were older than the queue's age limit"

    round = models.ForeignKey(SamplingRound, on_delete=models.PROTECT, related_name="cuts")
    length = models.PositiveIntegerField()
    reason = models.CharField(max_length=8, choices=Reason.choices)
    at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["round", "length"], name="round_cut_once"),
        ]

    def __str__(self) -> str:
        return f"{self.length} of round {self.round_id}"
