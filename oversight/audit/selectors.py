"""Reads of the audit log."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db.models import QuerySet

from oversight.audit.models import AuditEvent, AuditLink, AuditPending
from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project

# What the log may be narrowed by: the parameter's name and the column it means.
FILTERS = {
    "object_type": "object_type",
    "object_id": "object_id",
    "action": "action",
    "actor_kind": "actor_kind",
    "actor_id": "actor_id",
}
_MAX_TEXT = 64


@dataclass(frozen=True, slots=True)
class LogState:
    """How far a project's log is linked."""

    n_linked: int
    n_pending: int
    chain: str


def events(actor: Actor, params: Mapping[str, str]) -> "QuerySet[AuditEvent]":
    """The project's events, newest first, narrowed by the parameters of `FILTERS`.

    Raises:
        InvalidInput: a value is no text that a column can hold.
    """
    require(actor, "audit:read")
    found = AuditEvent.objects.select_related("link").filter(project=actor.project)
    for name, column in FILTERS.items():
        value = params.get(name, "")
        if len(value) > _MAX_TEXT or "\x00" in value:
            raise errors.InvalidInput.at(name, f"a text of at most {_MAX_TEXT} characters")
        if value:
            found = found.filter(**{column: value})
    return found.order_by("-pk")


def log_state(actor: Actor) -> LogState:
    require(actor, "audit:read")
    last = AuditLink.objects.filter(project=actor.project).order_by("-sequence").first()
    return LogState(
        n_linked=last.sequence if last else 0,
        n_pending=AuditPending.objects.filter(project=actor.project).count(),
        chain=bytes(last.chain).hex() if last else "",
    )


def count_links(project: Project) -> int:
    return AuditLink.objects.filter(project=project).count()
