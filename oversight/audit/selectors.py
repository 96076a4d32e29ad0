"""Reads of the audit log, and proofs over it that need no trust in who serves them."""

import base64
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from oversight.audit import checkpoints, keys, tree
from oversight.audit.checkpoints import Checkpoint
from oversight.audit.leaves import leaf_of
from oversight.audit.models import AuditEvent, AuditPending
from oversight.lib import errors, merkle
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project

logger = logging.getLogger(__name__)

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
    """How far a project's log has come.

    Attributes:
        n_linked: events in the tree.
        n_pending: events that wait for the sequencer.
        checkpoint: the newest one, None where there is none or it cannot be read.
        verifier: the key to check it with, in the form that is handed on; or empty.
    """

    n_linked: int
    n_pending: int
    checkpoint: Checkpoint | None
    verifier: str


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
    try:
        checkpoint = checkpoints.find_last(actor.project)
        verifier = keys.find_verifier(actor.project)
    except (OSError, keys.UnusableKey) as error:
        logger.error("checkpoints cannot be read: %s", error, extra={"project": actor.project.pk})
        checkpoint = verifier = None
    return LogState(
        n_linked=tree.size_of(actor.project),
        n_pending=AuditPending.objects.filter(project=actor.project).count(),
        checkpoint=checkpoint,
        verifier=str(verifier) if verifier else "",
    )


def get_checkpoint(actor: Actor) -> Checkpoint:
    """The newest checkpoint of the project's log.

    Raises:
        NotFound: there is none yet.
        Unavailable: the folder of checkpoints or the key cannot be read.
    """
    require(actor, "audit:read")
    try:
        checkpoint = checkpoints.find_last(actor.project)
    except (OSError, keys.UnusableKey) as error:
        raise errors.Unavailable("the checkpoints cannot be read at the moment") from error
    if checkpoint is None:
        raise errors.NotFound("this log has no checkpoint yet")
    return checkpoint


def inclusion_proof(actor: Actor, event_id: int) -> dict[str, Any]:
    """That an event is in the tree of the newest checkpoint (RFC 9162, section 2.1.3).

    Returns:
        The leaf's data as text, its index, the checkpoint, its size, and the hashes of the path in
        base64, lowest first.

    Raises:
        NotFound: no such event, or no checkpoint yet.
        Conflict: the newest checkpoint does not speak of it yet, or the log is damaged.
    """
    checkpoint = get_checkpoint(actor)
    event = AuditEvent.objects.select_related("link").filter(project=actor.project, pk=event_id)
    found = event.first()
    if found is None:
        raise errors.NotFound("there is no such event")
    link = getattr(found, "link", None)
    if link is None or link.sequence > checkpoint.size:
        raise errors.Conflict("no checkpoint speaks of this event yet; try again shortly")
    index = link.sequence - 1
    return {
        "leaf": leaf_of(found).decode(),
        "index": index,
        **_proof(actor, checkpoint, merkle.inclusion(index, checkpoint.size)),
    }


def consistency_proof(actor: Actor, first: int) -> dict[str, Any]:
    """That the log at a size is a prefix of the newest checkpoint's (RFC 9162, section 2.1.4).

    Raises:
        InvalidInput: the log was never of this size.
        NotFound: no checkpoint yet.
        Conflict: the log is damaged.
    """
    checkpoint = get_checkpoint(actor)
    if not 1 <= first <= checkpoint.size:
        raise errors.InvalidInput.at("first", f"a size from 1 to {checkpoint.size}")
    spans = merkle.consistency(first, checkpoint.size)
    return {"first": first, **_proof(actor, checkpoint, spans)}


def count_links(project: Project) -> int:
    return tree.size_of(project)


def _proof(actor: Actor, checkpoint: Checkpoint, spans: list[merkle.Span]) -> dict[str, Any]:
    try:
        hashes = tree.hashes(actor.project, spans)
    except tree.DamagedTree as error:
        raise errors.Conflict(f"the log is damaged: {error}", code="damaged") from error
    return {
        "size": checkpoint.size,
        "hashes": [base64.b64encode(each).decode() for each in hashes],
        "checkpoint": checkpoint.note,
    }
