"""The few functions that own permission. Denied by default; a foreign project does not exist.

A person without membership gets "not found", so that slugs cannot be probed; a member without the
permission gets "not allowed", which names it.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any

from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from oversight.lib import errors
from oversight.tenancy.actors import Actor, key_actor, member_actor
from oversight.tenancy.models import ApiKey, Membership, User

KEY_PREFIX = "ov_"
_LAST_USED_PRECISION = timedelta(minutes=5)


def require(actor: Actor, permission: str) -> None:
    """Raise NotAllowed unless the actor has the permission."""
    if permission not in actor.permissions:
        raise errors.NotAllowed(
            f"this needs the permission {permission!r}, which you do not have in this project"
        )


def require_any(actor: Actor, permissions: Sequence[str]) -> None:
    """Raise NotAllowed unless the actor has one of the permissions."""
    if not actor.permissions.intersection(permissions):
        require(actor, permissions[0])


def access_project(
    user: User | AnonymousUser | Any, slug: str, permission: str | None = None
) -> Actor:
    """The member as an actor in a project.

    Raises:
        NotFound: no such project, or the person is not a member.
        NotAllowed: the member's role lacks the permission.
    """
    membership = (
        Membership.objects.select_related("project", "user")
        .filter(project__slug=slug, user=user.pk, user__is_active=True)
        .first()
    )
    if membership is None:
        raise errors.NotFound("there is no such project, or you are not a member of it")
    actor = member_actor(membership)
    if permission is not None:
        require(actor, permission)
    return actor


def memberships_of(user: User | AnonymousUser | Any) -> list[Membership]:
    """A person's memberships, by the name of the project."""
    return list(
        Membership.objects.select_related("project", "user")
        .filter(user=user.pk, user__is_active=True)
        .order_by("project__name", "project__slug")
    )


def access_key(text: str) -> Actor:
    """The actor behind an API key.

    A process remembers whom it let in for `OVERSIGHT_KEY_MEMORY_SECONDS`, one second by default:
    so long a revoked key may still be taken.

    Raises:
        NotAuthenticated: unknown, wrong, revoked or expired, without saying which.
    """
    digest = sha256(text.encode("utf-8", "surrogatepass")).digest()
    remembered = _remembered.get(digest)
    if remembered is not None and time.monotonic() < remembered[1]:
        return remembered[0]
    actor = _check_key(text)
    seconds = float(settings.OVERSIGHT_KEY_MEMORY_SECONDS)
    if seconds > 0:
        if len(_remembered) >= _MAX_REMEMBERED:
            _remembered.clear()
        _remembered[digest] = actor, time.monotonic() + seconds
    return actor


# Keys let in lately, by the hash of their text: who it was, and until when (monotonic).
_remembered: dict[bytes, tuple[Actor, float]] = {}
_MAX_REMEMBERED = 1_000


def _check_key(text: str) -> Actor:
    refused = errors.NotAuthenticated("the key is not valid")
    prefix, _, secret = text.removeprefix(KEY_PREFIX).partition("_")
    if not text.startswith(KEY_PREFIX) or not secret or "\x00" in text:
        raise refused
    key = ApiKey.objects.select_related("project", "acts_as").filter(prefix=prefix).first()
    given = sha256(secret.encode()).digest()
    if key is None or not compare_digest(bytes(key.secret_hash), given):
        raise refused
    now = datetime.now(UTC)
    if key.revoked_at is not None or (key.expires_at is not None and key.expires_at <= now):
        raise refused
    if key.acts_as is not None and not _still_member(key):
        raise refused
    if key.last_used_at is None or now - key.last_used_at > _LAST_USED_PRECISION:
        ApiKey.objects.filter(pk=key.pk).update(last_used_at=now)
    return key_actor(key)


def _still_member(key: ApiKey) -> bool:
    return Membership.objects.filter(
        project=key.project, user=key.acts_as, user__is_active=True
    ).exists()
