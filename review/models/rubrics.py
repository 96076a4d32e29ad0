"""Rubrics: what a reviewer answers, versioned, each question naming the clauses it rests on."""

from django.contrib.postgres.fields import ArrayField
from django.db import models

from oversight.tenancy.models import Project
from review.models.policies import PolicyVersion
from review.models.publishing import Version, frozen_part_trigger, frozen_version_triggers


class Rubric(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="rubrics")
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="rubric_slug")]

    def __str__(self) -> str:
        return self.name


class RubricVersion(Version):
    rubric = models.ForeignKey(Rubric, on_delete=models.CASCADE, related_name="versions")
    policy_version = models.ForeignKey(
        PolicyVersion, on_delete=models.PROTECT, related_name="rubric_versions"
    )

    class Meta:
        triggers = frozen_version_triggers("policy_version")
        constraints = [
            models.UniqueConstraint(fields=["rubric", "number"], name="rubric_version_number"),
        ]

    def __str__(self) -> str:
        return f"{self.rubric.name} v{self.number}"


class Question(models.Model):
    class Kind(models.TextChoices):
        BOOLEAN = "boolean", "Yes or no"
        CHOICE = "choice", "One of several"
        MULTICHOICE = "multichoice", "Any of several"
        SCALE = "scale", "Scale"
        NUMBER = "number", "Number"
        TEXT = "text", "Text"
        SPAN = "span", "Passages"

    version = models.ForeignKey(RubricVersion, on_delete=models.CASCADE, related_name="questions")
    key = models.CharField(max_length=63)
    position = models.PositiveSmallIntegerField()
    text = models.CharField(max_length=400)
    kind = models.CharField(max_length=12, choices=Kind.choices)
    # choice, multichoice: [{"value", "label"}]; scale: {"min", "max", "labels"?};
    # number: {"min"?, "max"?}
    options = models.JSONField(null=True)
    required = models.BooleanField(default=True)
    clauses = ArrayField(models.CharField(max_length=63), default=list)
    # The answers that say "violation": {"in": [values]} or {"at_least": number}. At most one
    # question of a version has a rule; see review/violations.py.
    violation = models.JSONField(null=True)

    class Meta:
        ordering = ["position"]
        triggers = [frozen_part_trigger("review_rubricversion", "version_id")]
        constraints = [models.UniqueConstraint(fields=["version", "key"], name="question_key")]

    def __str__(self) -> str:
        return self.text
