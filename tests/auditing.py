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


def wait_to_be_linked(project: Project, n_events: int) -> None:
    """So many events by one statement."""
    with connection.cursor() as cursor:
        cursor.execute(
            "WITH event AS (INSERT INTO audit_auditevent (project_id, actor_kind, actor_id,"
            " action, object_type, object_id, detail) SELECT %s, 'user', '1', 'x', 'y', n, '{}'"
            " FROM generate_series(1, %s) n RETURNING id, project_id)"
            " INSERT INTO audit_auditpending (event_id, project_id)"
            " SELECT id, project_id FROM event",
            [project.pk, n_events],
        )


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
