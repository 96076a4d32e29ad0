"""Who belongs to a project, in which role. A project that has an owner keeps one."""

from django.db import IntegrityError, transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.tenancy import sessions
from oversight.tenancy.access import require
from oversight.tenancy.actors import ROLE_PERMISSIONS, Actor
from oversight.tenancy.models import ApiKey, Membership, Project, Role, User


def check_role(role: str) -> str:
    if role not in Role.values:
        raise errors.InvalidInput.at("role", f"not a role; there are {', '.join(Role.values)}")
    return role


def add_member(actor: Actor, *, user: User, role: str) -> Membership:
    """Make a person a member.

    Raises:
        Conflict: they are one already.
    """
    require(actor, "members:write")
    check_role(role)
    try:
        with transaction.atomic():
            membership = Membership.objects.create(project=actor.project, user=user, role=role)
            audit.record(actor, "member.added", "user", user.pk, role=role)
    except IntegrityError:
        raise errors.Conflict("this person is a member already", code="member") from None
    return membership


def change_role(actor: Actor, *, membership_id: int, role: str, seen_role: str) -> Membership:
    """Give a member another role; keys that give their verdicts end with the right to review.

    Args:
        actor: who changes it.
        membership_id: whose role.
        role: the new role.
        seen_role: the role that the caller saw, so that a stale page changes nothing.

    Raises:
        Conflict: the role has changed since, or this is the last owner.
    """
    require(actor, "members:write")
    check_role(role)
    with transaction.atomic():
        membership = _locked(actor, membership_id)
        if membership.role != seen_role:
            raise errors.Conflict(
                f"the role is {membership.get_role_display()} by now",
                extra={"state": membership.role},
            )
        if role == membership.role:
            return membership
        _keep_an_owner(membership)
        membership.role = role
        membership.save(update_fields=["role"])
        if "review" not in ROLE_PERMISSIONS[role]:
            _revoke_keys_of(actor, membership.user)
        audit.record(
            actor,
            "member.role_changed",
            "user",
            membership.user_id,
            before=seen_role,
            after=role,
        )
    return membership


def remove_member(actor: Actor, *, membership_id: int) -> None:
    """End a membership: the person's sessions and the keys that act as them end with it.

    Raises:
        Conflict: this is the last owner.
    """
    require(actor, "members:write")
    with transaction.atomic():
        membership = _locked(actor, membership_id)
        _keep_an_owner(membership)
        user, role = membership.user, membership.role
        _revoke_keys_of(actor, user)
        membership.delete()
        sessions.end_sessions(user)
        audit.record(actor, "member.removed", "user", user.pk, role=role)


def _locked(actor: Actor, membership_id: int) -> Membership:
    # The project's row serialises changes of members: two owners who remove each other at the
    # same moment would otherwise both see the other one remain.
    Project.objects.select_for_update().get(pk=actor.project.pk)
    membership = (
        Membership.objects.select_related("user")
        .filter(project=actor.project, pk=membership_id)
        .first()
    )
    if membership is None:
        raise errors.NotFound("there is no such member in this project")
    return membership


def _keep_an_owner(membership: Membership) -> None:
    if membership.role != Role.OWNER:
        return
    others = Membership.objects.filter(
        project=membership.project_id, role=Role.OWNER, user__is_active=True
    ).exclude(pk=membership.pk)
    if not others.exists():
        raise errors.Conflict(
            "this is the project's last owner: make somebody else an owner first",
            code="last_owner",
        )


def _revoke_keys_of(actor: Actor, user: User) -> None:
    live = ApiKey.objects.filter(project=actor.project, acts_as=user, revoked_at__isnull=True)
    for key in live:
        ApiKey.objects.filter(pk=key.pk).update(revoked_at=Now())
        audit.record(actor, "key.revoked", "key", key.pk, name=key.name)
