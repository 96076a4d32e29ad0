"""What policies and rubrics share: numbered versions that nobody edits after publishing."""

import pgtrigger
from django.db import models

from oversight.tenancy.models import User


class VersionStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    REVIEW = "review", "In review"
    PUBLISHED = "published", "Published"
    SUPERSEDED = "superseded", "Superseded"


class Version(models.Model):
    """A version: a draft is edited freely, a published one only steps on to superseded."""

    number = models.PositiveIntegerField()
    status = models.CharField(
        max_length=12, choices=VersionStatus.choices, default=VersionStatus.DRAFT
    )
    changelog = models.TextField(blank=True)
    digest = models.CharField(max_length=64, blank=True)  # of the content, set at publishing
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    published_at = models.DateTimeField(null=True)
    published_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        abstract = True

    @property
    def is_published(self) -> bool:
        return self.status in (VersionStatus.PUBLISHED, VersionStatus.SUPERSEDED)


def frozen_version_triggers(*extra: str) -> list[pgtrigger.Trigger]:
    """Triggers that freeze a published version's content and forbid its removal.

    Args:
        extra: names of further columns that are content.
    """
    changed = pgtrigger.Q(old__published_at__df=pgtrigger.F("new__published_at"))
    for name in ("number", "digest", "changelog", *extra):
        changed |= pgtrigger.Q(**{f"old__{name}__df": pgtrigger.F(f"new__{name}")})
    published = pgtrigger.Q(old__published_at__isnull=False)
    return [
        pgtrigger.Protect(
            name="published_is_frozen", operation=pgtrigger.Update, condition=published & changed
        ),
        pgtrigger.Protect(name="published_stays", operation=pgtrigger.Delete, condition=published),
    ]


def frozen_part_trigger(parent_table: str, parent_column: str) -> pgtrigger.Trigger:
    """A trigger for parts (clauses, questions): none changes once its version is published."""
    return pgtrigger.Trigger(
        name="part_is_frozen",
        level=pgtrigger.Row,
        when=pgtrigger.Before,
        operation=pgtrigger.Insert | pgtrigger.Update | pgtrigger.Delete,
        declare=[("parent", "bigint")],
        func=f"""
            IF TG_OP = 'INSERT' THEN parent := NEW.{parent_column};
            ELSE parent := OLD.{parent_column}; END IF;
            PERFORM 1 FROM {parent_table} WHERE id = parent AND published_at IS NOT NULL;
            IF FOUND THEN
                RAISE EXCEPTION 'pgtrigger: Cannot change parts of a published version';
            END IF;
            IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
            RETURN NEW;
        """,
    )
