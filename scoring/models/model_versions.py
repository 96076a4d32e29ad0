"""The monitored systems, as their records describe them."""

from django.db import models

from oversight.audit.models import append_only
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
    fingerprint_dimension = models.PositiveSmallIntegerField(null=True)
    first_seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["project", "digest"], name="model_version_once"),
        ]
        indexes = [
            # Filters of lists and estimates by model and version.
            models.Index(fields=["project", "name", "version"], name="model_version_name"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version}"
