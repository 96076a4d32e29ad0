"""Reads of projects, members, links and keys."""

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import (
    ApiKey,
    Invitation,
    LegalHold,
    Membership,
    PasswordReset,
    Project,
    Role,
    User,
)
from oversight.tenancy.tokens import token_hash


def get_project(slug: str) -> Project:
    """A project by slug, for the operator's commands; requests go through `access_project`.

    Raises:
        NotFound: there is none.
    """
    project = Project.objects.filter(slug=slug).first()
    if project is None:
        raise errors.NotFound(f"there is no project {slug!r}")
    return project


def find_person(email: str) -> User | None:
    return User.objects.filter(email=email.strip().lower()).first()


def find_first_person() -> User | None:
    """Whose account is the oldest: the installation's first owner."""
    return User.objects.filter(is_active=True).order_by("pk").first()


def get_member(project: Project, email: str) -> User:
    """A member by address.

    Raises:
        NotFound: nobody in the project has it.
    """
    found = members(project).filter(user__email=email.strip().lower()).first()
    if found is None:
        raise errors.NotFound(f"{email} is not a member of {project.slug}")
    return found.user


def find_first_owner(project: Project) -> User | None:
    found = members(project).filter(role=Role.OWNER, user__is_active=True).first()
    return found.user if found else None


def members(project: Project) -> "QuerySet[Membership]":
    """Members, longest-standing first."""
    return (
        Membership.objects.select_related("user", "project").filter(project=project).order_by("pk")
    )


def get_membership(actor: Actor, membership_id: int) -> Membership:
    """A membership of the actor's project.

    Raises:
        NotFound: there is none with this id in the project.
    """
    found = members(actor.project).filter(pk=membership_id).first()
    if found is None:
        raise errors.NotFound("there is no such member in this project")
    return found


def open_invitations(actor: Actor) -> "QuerySet[Invitation]":
    return (
        Invitation.objects.select_related("created_by")
        .filter(project=actor.project, accepted_at__isnull=True, expires_at__gt=Now())
        .order_by("-pk")
    )


def get_open_invitation(token: str) -> Invitation:
    """The invitation of a link.

    Raises:
        Gone: it was used, was withdrawn, has expired or never was.
    """
    found = (
        Invitation.objects.select_related("project")
        .filter(token_hash=token_hash(token), accepted_at__isnull=True, expires_at__gt=Now())
        .first()
    )
    if found is None:
        raise errors.Gone("this invitation was used, was withdrawn or has expired")
    return found


def get_open_reset(token: str) -> PasswordReset:
    """The password reset of a link.

    Raises:
        Gone: it was used, has expired or never was.
    """
    found = (
        PasswordReset.objects.select_related("user")
        .filter(token_hash=token_hash(token), used_at__isnull=True, expires_at__gt=Now())
        .first()
    )
    if found is None:
        raise errors.Gone("this link was used or has expired: ask for a new one")
    return found


def keys(actor: Actor) -> "QuerySet[ApiKey]":
    """The project's keys, live ones first, then newest first."""
    return (
        ApiKey.objects.select_related("acts_as", "created_by")
        .filter(project=actor.project)
        .order_by("-revoked_at", "-pk")  # NULLs sort first in a descending order
    )


def get_key(actor: Actor, key_id: int) -> ApiKey:
    """A key of the actor's project.

    Raises:
        NotFound: there is none with this id in the project.
    """
    found = keys(actor).filter(pk=key_id).first()
    if found is None:
        raise errors.NotFound("there is no such key in this project")
    return found


def all_projects() -> "QuerySet[Project]":
    """Every project, for the operator's commands."""
    return Project.objects.order_by("pk")


def legal_holds(actor: Actor) -> list[LegalHold]:
    """The project's holds, those that stand first, then the newest."""
    require(actor, "project:write")
    return list(
        LegalHold.objects.filter(project=actor.project)
        .select_related("placed_by", "lifted_by")
        .order_by(F("lifted_at").desc(nulls_first=True), "-placed_at")
    )
