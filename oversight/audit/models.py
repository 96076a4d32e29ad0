"""The append-only log. An event commits with its change; a sequencer links events afterwards."""

import pgtrigger
from django.db import models
from django.db.models import functions

from oversight.tenancy.models import Project


def append_only() -> list[pgtrigger.Trigger]:
    """Triggers for a table whose rows are neither changed nor removed."""
    return [
        pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete),
        pgtrigger.Trigger(
            name="no_truncate",
            level=pgtrigger.Statement,
            when=pgtrigger.Before,
            operation=pgtrigger.Truncate,
            func="RAISE EXCEPTION 'pgtrigger: Cannot truncate rows from % table', TG_TABLE_NAME;",
        ),
    ]


class AuditEvent(models.Model):
    """Who did what to which, and what it was before and after; content only as keyed hashes."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField(db_default=functions.Now())
    actor_kind = models.CharField(max_length=12)
    actor_id = models.CharField(max_length=64)
    action = models.CharField(max_length=48)
    object_type = models.CharField(max_length=32)
    object_id = models.CharField(max_length=64)
    detail = models.JSONField(default=dict)

    class Meta:
        triggers = append_only()
        indexes = [
            # Timeline of one object: /audit?object=…
            models.Index(fields=["project", "object_type", "object_id", "id"], name="audit_object"),
            # The log's page, newest first.
            models.Index(fields=["project", "-id"], name="audit_recent"),
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.object_type} {self.object_id}"


class AuditPending(models.Model):
    """An event that is not linked yet. Rows leave when the sequencer links them."""

    event = models.OneToOneField(
        AuditEvent, primary_key=True, on_delete=models.DO_NOTHING, related_name="+"
    )
    project = models.ForeignKey(Project, on_delete=models.DO_NOTHING, related_name="+")


class AuditLink(models.Model):
    """One leaf of a project's Merkle tree (RFC 6962), and all hashes that it makes final.

    `hashes` are of the leaf and of the perfect subtrees that it is the last leaf of, lowest first,
    32 bytes each: one more than the zeros at the end of `sequence` in binary.
    """

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="+")
    sequence = models.PositiveBigIntegerField()  # from 1; the leaf's index is one less
    event = models.OneToOneField(AuditEvent, on_delete=models.PROTECT, related_name="link")
    hashes = models.BinaryField()

    class Meta:
        triggers = append_only()
        constraints = [
            models.UniqueConstraint(fields=["project", "sequence"], name="audit_link_gapless"),
        ]
