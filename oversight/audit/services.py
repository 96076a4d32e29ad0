"""Writing and linking audit events; the only writers of the log.

`record` runs inside the transaction of the change that it records and waits for nobody: events
commit unsequenced. `sequence` orders what has committed into the project's Merkle tree.
"""

import hashlib
import hmac
import json
from functools import partial
from typing import Any

from django.db import connection, transaction

from oversight.audit import checkpoints, tree
from oversight.audit.leaves import leaf_hash
from oversight.audit.models import AuditLink, AuditPending
from oversight.lib.transactions import on_commit, try_advisory_lock
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project

_BATCH = 1_000

# Every change of the product waits for this: one statement, where the two models would take two.
_RECORD = """
WITH event AS (
    INSERT INTO audit_auditevent
        (project_id, actor_kind, actor_id, action, object_type, object_id, detail)
    VALUES (%s, %s, %s, %s, %s, %s, %s::jsonb) RETURNING id, project_id
)
INSERT INTO audit_auditpending (event_id, project_id) SELECT id, project_id FROM event
"""


def record(
    actor: Actor,
    action: str,
    object_type: str,
    object_id: Any,
    **detail: Any,
) -> None:
    """Append one event to the log, in the caller's transaction.

    Args:
        actor: who acted.
        action: a verb of the domain, such as `round.drawn`.
        object_type: what kind of thing it happened to.
        object_id: which one.
        detail: versions, states before and after. Never content: pass `content_hmac` of it.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            [
                actor.project.pk,
                actor.kind,
                actor.id,
                action,
                object_type,
                str(object_id),
                json.dumps(detail),
            ],
        )


def events_of(source: str, *, object_id: str, detail: str) -> str:
    """Parts of a WITH that append an event for every row of `source`, another part of it.

    For statements that change and record at once. They take the parameters of `event_of`.

    Args:
        source: the name of that part.
        object_id: an expression of its columns, as text: what it happened to.
        detail: another one, as jsonb; never content.
    """
    return f"""
event AS (
    INSERT INTO audit_auditevent
        (project_id, actor_kind, actor_id, action, object_type, object_id, detail)
    SELECT %(event_project)s, %(event_actor_kind)s, %(event_actor_id)s, %(event_action)s,
        %(event_object_type)s, {object_id}, {detail}
    FROM {source} RETURNING id, project_id
), pending AS (
    INSERT INTO audit_auditpending (event_id, project_id) SELECT id, project_id FROM event
)"""  # noqa: S608  our own names


def event_of(actor: Actor, action: str, object_type: str) -> dict[str, Any]:
    """The parameters of `events_of`: who does what to which kind of thing."""
    return {
        "event_project": actor.project.pk,
        "event_actor_kind": actor.kind,
        "event_actor_id": actor.id,
        "event_action": action,
        "event_object_type": object_type,
    }


def content_hmac(project: Project, content: bytes) -> str:
    """A keyed hash of content, fit for the log: without the project's key it proves nothing."""
    return hmac.new(bytes(project.hash_key), content, hashlib.sha256).hexdigest()


def sequence(project: Project) -> int:
    """Append the project's pending events to its tree, oldest first; returns how many.

    What comes meanwhile is left to the next run: each batch costs a checkpoint, which is forced to
    disk, and whoever waits for the end of a steady stream would write one for every few events.
    Two sequencers do no harm: the second finds the lock taken and leaves.

    Raises:
        DamagedTree: links are missing; nothing is built on what is left of the tree.
    """
    linked = 0
    while True:
        with transaction.atomic():
            if not try_advisory_lock("audit.sequence", project.pk):
                return linked
            batch = list(
                AuditPending.objects.select_related("event")
                .filter(project=project)
                .order_by("event_id")[:_BATCH]
            )
            if not batch:
                return linked
            edge = tree.edge_of(project, tree.size_of(project))
            links = []
            for pending in batch:
                completed = edge.append(leaf_hash(pending.event))
                links.append(
                    AuditLink(
                        project=project,
                        sequence=edge.size,
                        event=pending.event,
                        hashes=b"".join(completed),
                    )
                )
            AuditLink.objects.bulk_create(links)
            AuditPending.objects.filter(event__in=[p.event_id for p in batch]).delete()
            linked += len(links)
            on_commit(partial(checkpoints.publish, project))
        if len(batch) < _BATCH:
            return linked
