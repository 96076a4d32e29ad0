"""What of an event enters the tree: its canonical form, which names every column."""

from datetime import UTC

from oversight.audit.models import AuditEvent
from oversight.lib import codec, merkle


def leaf_of(event: AuditEvent) -> bytes:
    """Leaf data: JSON with sorted keys and no spaces, in UTF-8; the time to the microsecond."""
    at = event.at.astimezone(UTC).isoformat(timespec="microseconds")
    return codec.canonical(
        {
            "id": event.pk,
            "project": event.project_id,
            "at": at.replace("+00:00", "Z"),
            "actor": [event.actor_kind, event.actor_id],
            "action": event.action,
            "object": [event.object_type, event.object_id],
            "detail": event.detail,
        }
    )


def leaf_hash(event: AuditEvent) -> bytes:
    return merkle.leaf_hash(leaf_of(event))
