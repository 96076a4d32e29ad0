"""The monitored systems, as their records describe them."""

import pgtrigger
from django.db import models

from oversight.tenancy.models import Project


class ModelVersion(models.Model):
    """One system that makes inferences; another prompt template or decoder is another row."""

    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="model_versions")
    name = models.CharField(max_length=200)
    version = models.CharField(max_length=200)
    prompt_template = models.TextField(blank=True)
    role_format = models.TextField(blank=True)
    decoder = models.JSONField(default=dict)
    digest = models.BinaryField()  # of the five fields above: what makes two of them the same
    # Set by the first fingerprint that is seen, and fixed from then on.
    fingerprint_dimension = models.PositiveSmallIntegerField(null=True)
    first_seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = [
            pgtrigger.Protect(name="stays", operation=pgtrigger.Delete),
            pgtrigger.Protect(
                name="seen_is_frozen",
                operation=pgtrigger.Update,
                condition=pgtrigger.Q(old__fingerprint_dimension__isnull=False)
                | pgtrigger.Q(old__digest__df=pgtrigger.F("new__digest"))
                | pgtrigger.Q(old__project__df=pgtrigger.F("new__project"))
                | pgtrigger.Q(old__name__df=pgtrigger.F("new__name"))
                | pgtrigger.Q(old__version__df=pgtrigger.F("new__version")),
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["project", "digest"], name="model_version_once"),
        ]
        indexes = [
            # Filters of lists and estimates by model and version.
            models.Index(fields=["project", "name", "version"], name="model_version_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
