"""Links that one person hands to another: invitations and password resets.

A link works once and for a limited time: the conditional UPDATE that marks it used decides which
of two simultaneous visitors it worked for.
"""

from datetime import timedelta

from django.db import transaction
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.lib import clock, errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor, member_actor
from oversight.tenancy.models import Invitation, Membership, PasswordReset, Project, Role, User
from oversight.tenancy.services.members import check_role
from oversight.tenancy.services.people import check_password, create_person
from oversight.tenancy.tokens import new_token, token_hash

INVITATION_LIFETIME = timedelta(days=7)
RESET_LIFETIME = timedelta(hours=24)


def invite(actor: Actor, *, role: str) -> tuple[Invitation, str]:
    """An invitation and its token, which is stored as a hash and shown this once."""
    require(actor, "members:write")
    person = _person(actor, "invite people")
    check_role(role)
    token = new_token()
    with transaction.atomic():
        invitation = Invitation.objects.create(
            project=actor.project,
            role=role,
            token_hash=token_hash(token),
            created_by=person,
            expires_at=clock.now() + INVITATION_LIFETIME,
        )
        audit.record(actor, "invitation.made", "invitation", invitation.pk, role=role)
    return invitation, token


def withdraw_invitation(actor: Actor, *, invitation_id: int) -> None:
    """Let an open invitation expire now.

    Raises:
        Conflict: it was accepted, or is not open any more.
    """
    require(actor, "members:write")
    with transaction.atomic():
        changed = Invitation.objects.filter(
            project=actor.project,
            pk=invitation_id,
            accepted_at__isnull=True,
            expires_at__gt=Now(),
        ).update(expires_at=Now())
        if not changed:
            raise errors.Conflict("this invitation is not open any more")
        audit.record(actor, "invitation.withdrawn", "invitation", invitation_id)


def accept_invitation(*, token: str, email: str, password: str, name: str = "") -> Membership:
    """Make an account and its membership from an invitation.

    An address that has an account is refused: its owner logs in and joins as themselves, for
    whoever holds the link must not set that account's password.

    Raises:
        Gone: the invitation was used, withdrawn or has expired.
        InvalidInput: the address is taken, or a field is not acceptable.
    """
    with transaction.atomic():
        invitation = _use_invitation(token)
        return _join(invitation, create_person(email=email, password=password, name=name))


def join_by_invitation(user: User, *, token: str) -> Membership:
    """Add a membership to the account that is logged in.

    Raises:
        Gone: the invitation was used, withdrawn or has expired.
        Conflict: the person is a member already; the invitation stays open.
    """
    with transaction.atomic():
        return _join(_use_invitation(token), user)


def _use_invitation(token: str) -> Invitation:
    used = Invitation.objects.filter(
        token_hash=token_hash(token), accepted_at__isnull=True, expires_at__gt=Now()
    ).update(accepted_at=Now())
    if not used:
        raise errors.Gone("this invitation was used, was withdrawn or has expired")
    return Invitation.objects.select_related("project").get(token_hash=token_hash(token))


def _join(invitation: Invitation, user: User) -> Membership:
    project: Project = invitation.project
    if Membership.objects.filter(project=project, user=user).exists():
        raise errors.Conflict("you are a member of this project already", code="member")
    membership = Membership.objects.create(project=project, user=user, role=invitation.role)
    Invitation.objects.filter(pk=invitation.pk).update(accepted_by=user)
    audit.record(
        member_actor(membership),
        "invitation.accepted",
        "invitation",
        invitation.pk,
        role=invitation.role,
    )
    return membership


def reset_password_link(actor: Actor, *, user: User) -> tuple[PasswordReset, str]:
    """A link by which a member sets a new password; its token is shown this once.

    An account may belong to several projects, and whoever holds the link holds all of them: so
    the one who makes it must own every project that the member belongs to.

    Raises:
        NotFound: the person is not a member of the actor's project.
        NotAllowed: they also belong to a project that the actor does not own.
    """
    require(actor, "members:write")
    person = _person(actor, "make a password link")
    projects = set(Membership.objects.filter(user=user).values_list("project_id", flat=True))
    if actor.project.pk not in projects:
        raise errors.NotFound("there is no such member in this project")
    owned = Membership.objects.filter(user=person, role=Role.OWNER, project__in=projects)
    if owned.count() != len(projects):
        raise errors.NotAllowed(
            "this person also belongs to a project that you do not own, and the link would open "
            "that one too: let its owner do it, or the operator"
        )
    token = new_token()
    with transaction.atomic():
        reset = PasswordReset.objects.create(
            user=user,
            token_hash=token_hash(token),
            created_by=person,
            expires_at=clock.now() + RESET_LIFETIME,
        )
        audit.record(actor, "password.link_made", "user", user.pk)
    return reset, token


def use_password_reset(*, token: str, password: str) -> User:
    """Set a new password by a link. It ends all sessions and all other links of the person.

    Raises:
        Gone: the link was used or has expired.
        InvalidInput: the password is not acceptable; the link stays open.
    """
    with transaction.atomic():
        used = PasswordReset.objects.filter(
            token_hash=token_hash(token), used_at__isnull=True, expires_at__gt=Now()
        ).update(used_at=Now())
        if not used:
            raise errors.Gone("this link was used or has expired: ask for a new one")
        user: User = (
            PasswordReset.objects.select_related("user").get(token_hash=token_hash(token)).user
        )
        check_password(password, user)
        PasswordReset.objects.filter(user=user, used_at__isnull=True).update(used_at=Now())
        user.set_password(password)  # sessions carry a hash of it, so they end too
        user.save(update_fields=["password"])
        memberships = Membership.objects.select_related("project", "user").filter(user=user)
        for membership in memberships:
            audit.record(member_actor(membership), "password.reset", "user", user.pk)
    return user


def _person(actor: Actor, what: str) -> User:
    if actor.kind != "user" or actor.user is None:
        raise errors.NotAllowed(f"only a person may {what}, not a key")
    return actor.user
