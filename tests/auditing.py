"""Audit logs for tests, and what somebody who owns the database may do to them."""

from typing import Any

from django.db import connection

from oversight.audit import services
from oversight.audit.leaves import leaf_hash
from oversight.audit.models import AuditEvent, AuditLink
from oversight.lib import merkle
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from tests.sessions import without_triggers

N = 6


def grown(project: Project) -> Project:
    """The project with a log that is linked in two runs, so that it has two checkpoints."""
    services.sequence(project)
    for number in range(N):
        services.record(system_actor(project), "thing.done", "thing", number, ratio=0.1 * number)
    services.sequence(project)
    return project


def happen(project: Project) -> None:
    """One more event, and what follows it."""
    services.record(system_actor(project), "thing.done", "thing", "later")
    services.sequence(project)


def last(project: Project) -> AuditLink:
    return AuditLink.objects.filter(project=project).latest("sequence")


def as_owner(sql: str, *params: Any) -> None:
    """What the database's owner may do, in one transaction without triggers and constraints."""
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute(sql, params)
        assert cursor.rowcount > 0


def recompute(project: Project) -> None:
    """What a careful forger does after an edit: every leaf and the whole tree anew."""
    edge = merkle.Edge()
    for link in AuditLink.objects.filter(project=project).order_by("sequence"):
        hashes = edge.append(leaf_hash(AuditEvent.objects.get(pk=link.event_id)))
        as_owner("UPDATE audit_auditlink SET hashes=%s WHERE id=%s", b"".join(hashes), link.pk)
