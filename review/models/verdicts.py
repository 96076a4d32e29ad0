"""Verdicts and what follows from them. Rows are added, never changed: a correction supersedes."""

import uuid

from django.db import models
from django.db.models import functions

from oversight.audit.models import append_only
from oversight.tenancy.models import Project, User
from review.models.cases import Case, Slot
from review.models.rubrics import RubricVersion


class Verdict(models.Model):
    """One reviewer's answers, pinned to the exact form and clauses they were given under."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="verdicts")
    slot = models.ForeignKey(Slot, on_delete=models.PROTECT, related_name="verdicts")
    reviewer = models.ForeignKey(User, null=True, on_delete=models.PROTECT, related_name="+")
    ai_rater = models.CharField(max_length=80, blank=True)
    rubric_version = models.ForeignKey(RubricVersion, on_delete=models.PROTECT, related_name="+")
    rubric_digest = models.CharField(max_length=64)
    # {question: {clause key: clause digest}}, as shown.
    clause_hashes = models.JSONField()
    answers = models.JSONField()  # {question: value}; texts and spans live in VerdictNote
    violation = models.BooleanField(null=True)
    is_blind = models.BooleanField()  # given before score, tier and reasons were shown
    evidence_seen_at = models.DateTimeField(null=True)
    content_hash = models.BinaryField()  # of the record that was shown
    seconds = models.FloatField(null=True)
    token = models.UUIDField()  # the claim's; a replay with it meets the unique constraint
    supersedes = models.OneToOneField(
        "self", null=True, on_delete=models.PROTECT, related_name="superseded_by"
    )
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(
                fields=["slot"],
                condition=models.Q(supersedes__isnull=True),
                name="verdict_first_once",
            ),
        ]
        indexes = [
            # Lists and raw exports, oldest first.
            models.Index(fields=["project", "created_at", "id"], name="verdict_recent"),
        ]


class EvidenceReveal(models.Model):
    """When the reviewer of a verdict was first shown score, tier and reasons."""

    verdict = models.OneToOneField(
        Verdict, primary_key=True, on_delete=models.PROTECT, related_name="reveal"
    )
    at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()


class VerdictNote(models.Model):
    """What may quote content: the note, free texts and spans. Erasable, unlike its verdict."""

    verdict = models.OneToOneField(
        Verdict, primary_key=True, on_delete=models.PROTECT, related_name="note"
    )
    note = models.TextField(blank=True)
    texts = models.JSONField(default=dict)  # {question: text or [{start, end, part}]}
    erased_at = models.DateTimeField(null=True)


class CaseResolution(models.Model):
    """The feedback event (x, y, h): what the verdicts on a case come to, numbered per case."""

    case = models.ForeignKey(Case, on_delete=models.PROTECT, related_name="resolutions")
    number = models.PositiveIntegerField()
    rule = models.CharField(max_length=16)  # single | majority | adjudicated | tie
    answers = models.JSONField()  # consensus per question, of blind answers
    violation = models.BooleanField(null=True)
    n_verdicts = models.PositiveSmallIntegerField()
    agreement = models.FloatField(null=True)  # share of pairs that agree on "violation or not"
    verdicts = models.JSONField()  # ids it rests on
    rubric_version = models.ForeignKey(RubricVersion, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(db_default=functions.Now())

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["case", "number"], name="resolution_number"),
        ]
