"""How long a project keeps records, and holds that keep them longer.

A project's retention is the retention class of all its records: what must be kept for another time
belongs into a project of its own.
"""

from django.db import transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import codec, errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import LegalHold, Project

LONGEST_DAYS = 3_650
_MAX_REASON = 500


def change_retention(actor: Actor, *, days: int, seen_days: int) -> Project:
    """Keep records for `days` after they occurred. Fewer days take effect at the next clean-up.

    Args:
        seen_days: what the actor saw; a stale form must not undo somebody else's change.

    Raises:
        InvalidInput: out of range.
        Conflict: somebody else has changed it since.
    """
    require(actor, "project:write")
    if not 1 <= days <= LONGEST_DAYS:
        raise errors.InvalidInput.at("days", f"from 1 to {LONGEST_DAYS:,}", "range")
    with transaction.atomic():
        changed = Project.objects.filter(pk=actor.project.pk, retention_days=seen_days).update(
            retention_days=days
        )
        if not changed:
            raise errors.Conflict("somebody else has changed the retention meanwhile")
        audit.record(
            actor,
            "retention.changed",
            "project",
            actor.project.pk,
            before=seen_days,
            after=days,
        )
    return Project.objects.get(pk=actor.project.pk)


def place_hold(actor: Actor, *, reason: str) -> LegalHold:
    """From now on nothing of the project is removed for its age.

    Raises:
        InvalidInput: no reason, or one that is too long.
    """
    require(actor, "project:write")
    reason = reason.strip()
    codec.check_storable(reason, "reason")
    if not 1 <= len(reason) <= _MAX_REASON:
        raise errors.InvalidInput.at("reason", f"from 1 to {_MAX_REASON} characters", "length")
    with transaction.atomic():
        # Before any clean-up that has not looked yet: both take the project's row.
        Project.objects.select_for_update().get(pk=actor.project.pk)
        hold = LegalHold.objects.create(project=actor.project, reason=reason, placed_by=actor.user)
        audit.record(actor, "hold.placed", "legal_hold", hold.pk, reason=reason)
    return hold


def lift_hold(actor: Actor, *, hold_id: int) -> None:
    """End a hold; what has outlived its retention is removed at the next clean-up.

    Raises:
        Conflict: it was lifted already, or there is none.
    """
    require(actor, "project:write")
    with transaction.atomic():
        changed = LegalHold.objects.filter(
            pk=hold_id, project=actor.project, lifted_at=None
        ).update(lifted_at=Now(), lifted_by=actor.user)
        if not changed:
            raise errors.Conflict("this hold is lifted already")
        audit.record(actor, "hold.lifted", "legal_hold", hold_id)
