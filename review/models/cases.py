"""Cases: questions put to humans, with the evidence copied, the draw kept and slots to claim.

A slot is a place for one reviewer's answer. Slots are made with the case, so that claiming is one
conditional UPDATE and "at most N live claims" holds by the number of rows.
"""

import uuid

from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from oversight.tenancy.models import Project, User
from review.models.queues import ReviewQueue, SamplingRound
from review.models.rubrics import RubricVersion
from scoring.models import ModelVersion, ScorerVersion


class CaseEvidence(models.Model):
    """A record and its payload as they were when selected; outlives the record's partition."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="+")
    record_id = models.UUIDField()
    external_id = models.CharField(max_length=200)
    occurred_at = models.DateTimeField()
    model_version = models.ForeignKey(ModelVersion, on_delete=models.PROTECT, related_name="+")
    scorer_version = models.ForeignKey(ScorerVersion, on_delete=models.PROTECT, related_name="+")
    input = models.TextField()
    output = models.TextField()
    context = models.JSONField()
    signals = models.JSONField()
    region = models.CharField(max_length=200, blank=True)
    fingerprint = models.BinaryField(null=True)
    raw = models.FloatField()
    score = models.FloatField()
    p_violation = models.FloatField(null=True)
    weight = models.FloatField()
    tier = models.PositiveSmallIntegerField()
    action = models.PositiveSmallIntegerField()
    reasons = models.JSONField()
    held_out = models.BooleanField()
    may_train = models.BooleanField()
    consent_basis = models.CharField(max_length=200, blank=True)
    conversation_id = models.CharField(max_length=200, blank=True)
    subject_id = models.CharField(max_length=200, blank=True)
    content_hash = models.BinaryField()
    copied_at = models.DateTimeField(db_default=functions.Now())
    erased_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "record_id"], name="evidence_once"),
        ]


class Selection(models.Model):
    """One selected record of a round: its place, key and both probabilities."""

    round = models.ForeignKey(SamplingRound, on_delete=models.PROTECT, related_name="selections")
    position = models.PositiveIntegerField()  # in serving order, from 0
    record_id = models.UUIDField()
    gain = models.FloatField()  # as the key was made from it: weighted, discounted, boosted
    bald = models.FloatField(default=0)  # what the verdict tells of the model, nats
    surprisal = models.FloatField(default=0)  # what it tells of the world, bits
    multiplicity = models.FloatField(default=1)  # candidates that this one practically equals
    boost = models.FloatField(default=1)  # factor of the segments that drift
    key = models.FloatField(null=True)  # None: a floor hit, whose key is +∞
    exponential = models.FloatField()
    softmax_probability = models.FloatField()
    inclusion_probability = models.FloatField()

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["round", "position"], name="selection_position"),
            models.UniqueConstraint(fields=["round", "record_id"], name="selection_record"),
        ]


class Case(models.Model):
    class Kind(models.TextChoices):
        SAMPLED = "sampled"
        ESCALATED = "escalated"
        GOLD = "gold"
        OVERLAP = "overlap"
        RE_REVIEW = "re_review"
        PREFERENCE = "preference"
        ADJUDICATION = "adjudication"

    class State(models.TextChoices):
        OPEN = "open"
        RESOLVED = "resolved"
        WITHDRAWN = "withdrawn"  # beyond its round's cut: served no more, and labelled by no one

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="cases")
    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="cases")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    evidence = models.ForeignKey(CaseEvidence, on_delete=models.PROTECT, related_name="cases")
    selection = models.OneToOneField(
        Selection, null=True, on_delete=models.PROTECT, related_name="case"
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    n_slots = models.PositiveSmallIntegerField()
    escalation_reason = models.TextField(blank=True)
    created_at = models.DateTimeField(db_default=functions.Now())
    resolved_at = models.DateTimeField(null=True)

    class Meta:
        indexes = [
            # Counts and lists of a queue's cases.
            models.Index(fields=["queue", "state", "-created_at"], name="case_queue_state"),
        ]

    def __str__(self) -> str:
        return str(self.id)


class Slot(models.Model):
    """One reviewer's place in a case; `token` fences the claim that holds it."""

    class State(models.TextChoices):
        OPEN = "open"  # free, or claimed until the lease runs out
        DONE = "done"
        WITHDRAWN = "withdrawn"

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="slots")
    queue = models.ForeignKey(ReviewQueue, on_delete=models.PROTECT, related_name="+")
    number = models.PositiveSmallIntegerField()
    # Serving order of the whole queue: rounds in their order, within a round by descending key.
    rank = models.BigIntegerField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.OPEN)
    reviewer = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ai_rater = models.CharField(max_length=80, blank=True)
    rubric_version = models.ForeignKey(
        RubricVersion, null=True, on_delete=models.PROTECT, related_name="+"
    )
    token = models.UUIDField(null=True)
    claimed_at = models.DateTimeField(null=True)
    lease_expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="slot_number"),
            models.UniqueConstraint(
                fields=["case", "reviewer"],
                condition=models.Q(reviewer__isnull=False),
                name="slot_reviewer_once",
            ),
            models.UniqueConstraint(
                fields=["case", "ai_rater"],
                condition=~models.Q(ai_rater=""),
                name="slot_ai_rater_once",
            ),
        ]
        indexes = [
            # Claiming: the next open slot of a queue in serving order.
            models.Index(
                fields=["queue", "rank"], name="slot_next", condition=models.Q(state="open")
            ),
            # A reviewer's live claims.
            models.Index(
                fields=["reviewer", "queue"],
                name="slot_of_reviewer",
                condition=models.Q(state="open", reviewer__isnull=False),
            ),
            # And an AI rater's.
            models.Index(
                fields=["ai_rater", "queue"],
                name="slot_of_rater",
                condition=models.Q(state="open") & ~models.Q(ai_rater=""),
            ),
        ]


class Skip(models.Model):
    """Why a case is not served to a reviewer again: the reason that they gave it back with, or that
    they were told the answers of others.
    """

    case = models.ForeignKey(Case, on_delete=models.CASCADE, related_name="skips")
    reviewer = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ai_rater = models.CharField(max_length=80, blank=True)
    reason = models.TextField()
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["case", "reviewer", "ai_rater"], name="skip_once"),
        ]
