"""Scorers and their versions. A released version is frozen by a trigger: it is never edited."""

import pgtrigger
from django.db import models

from oversight.tenancy.models import Project, User


class Scorer(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="scorers")
    slug = models.CharField(max_length=63)
    current = models.ForeignKey(
        "ScorerVersion", null=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "slug"], name="scorer_slug"),
        ]

    def __str__(self) -> str:
        return self.slug


class ScorerVersion(models.Model):
    """A frozen scorer: `kind` and `kind_number` name the code, `state` holds what was fitted."""

    class Status(models.TextChoices):
        PROPOSED = "proposed"
        RELEASED = "released"
        RETIRED = "retired"

    scorer = models.ForeignKey(Scorer, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    kind = models.CharField(max_length=40)
    kind_number = models.PositiveSmallIntegerField()
    config = models.JSONField(default=dict)
    state = models.BinaryField()
    digest = models.CharField(max_length=64)
    baseline = models.JSONField(
        default=dict
    )  # from when to when, how many records, of which models
    status = models.CharField(max_length=12, choices=Status.choices, default=Status.PROPOSED)
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    released_at = models.DateTimeField(null=True)
    released_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scorer", "number"], name="scorer_version_number"),
        ]
        triggers = [
            pgtrigger.Protect(
                name="released_is_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__released_at__isnull=False)
                & (
                    pgtrigger.Q(old__state__df=pgtrigger.F("new__state"))
                    | pgtrigger.Q(old__config__df=pgtrigger.F("new__config"))
                    | pgtrigger.Q(old__kind__df=pgtrigger.F("new__kind"))
                    | pgtrigger.Q(old__kind_number__df=pgtrigger.F("new__kind_number"))
                    | pgtrigger.Q(old__digest__df=pgtrigger.F("new__digest"))
                    | pgtrigger.Q(old__number__df=pgtrigger.F("new__number"))
                    | pgtrigger.Q(old__released_at__df=pgtrigger.F("new__released_at"))
                ),
            ),
            pgtrigger.Protect(
                name="released_stays",
                operation=pgtrigger.Delete,
                condition=pgtrigger.Q(old__released_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.scorer.slug} v{self.number}"
