"""Policies: text split in clauses with stable keys, versioned."""

from django.db import models

from oversight.tenancy.models import Project
from review.models.publishing import Version, frozen_part_trigger, frozen_version_triggers


class Policy(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="policies")
    slug = models.CharField(max_length=63)
    name = models.CharField(max_length=120)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "slug"], name="policy_slug")]

    def __str__(self) -> str:
        return self.name


class PolicyVersion(Version):
    policy = models.ForeignKey(Policy, on_delete=models.CASCADE, related_name="versions")
    introduction = models.TextField(blank=True)  # Markdown

    class Meta:
        triggers = frozen_version_triggers("introduction")
        constraints = [
            models.UniqueConstraint(fields=["policy", "number"], name="policy_version_number"),
        ]

    def __str__(self) -> str:
        return f"{self.policy.name} v{self.number}"


class Clause(models.Model):
    class Severity(models.IntegerChoices):
        NOTE = 0, "note"
        LOW = 1, "low"
        MEDIUM = 2, "medium"
        HIGH = 3, "high"
        CRITICAL = 4, "critical"

    version = models.ForeignKey(PolicyVersion, on_delete=models.CASCADE, related_name="clauses")
    key = models.CharField(max_length=63)  # the same clause keeps its key through all versions
    position = models.PositiveSmallIntegerField()
    title = models.CharField(max_length=200)
    text = models.TextField()  # Markdown
    severity = models.PositiveSmallIntegerField(choices=Severity.choices, default=Severity.MEDIUM)
    digest = models.CharField(max_length=64)  # of key, title, text and severity

    class Meta:
        ordering = ["position"]
        triggers = [frozen_part_trigger("review_policyversion", "version_id")]
        constraints = [models.UniqueConstraint(fields=["version", "key"], name="clause_key")]

    def __str__(self) -> str:
        return self.title
