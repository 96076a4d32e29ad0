"""What policies and rubrics share when their versions are written: numbers, freezing, staleness."""

from typing import Any, TypeVar

from django.db.models import Max
from django.db.models.functions import Now

from oversight.lib import codec, errors
from oversight.tenancy.actors import Actor
from review.models.publishing import Version, VersionStatus

V = TypeVar("V", bound=Version)
_MAX_CHANGELOG = 10_000


def check_changelog(changelog: Any) -> str:
    if not isinstance(changelog, str) or len(changelog) > _MAX_CHANGELOG:
        raise errors.InvalidInput.at("changelog", f"at most {_MAX_CHANGELOG:,} characters")
    codec.check_storable(changelog, "changelog")
    return changelog.replace("\r\n", "\n").strip()


def next_number(versions: Any) -> int:
    """The number of a new version; the caller holds the lock of what is versioned."""
    return (versions.aggregate(last=Max("number"))["last"] or 0) + 1


def editable(version: V, seen_digest: str | None) -> V:
    """The version, where it may be edited by somebody who saw `seen_digest`.

    Raises:
        Conflict: it is published, or somebody else has saved it since.
    """
    if version.is_published:
        raise errors.Conflict(
            f"version {version.number} is published and cannot be changed: make a new version",
            code="frozen",
            extra={"state": version.status},
        )
    if seen_digest is not None and seen_digest != version.digest:
        raise errors.Conflict(
            f"somebody else has changed version {version.number} since you opened it",
            code="stale",
            extra={"state": version.status, "digest": version.digest},
        )
    return version


def freeze(actor: Actor, version: V, *, siblings: Any) -> None:
    """Publish a version; the one published before becomes superseded.

    Args:
        actor: who publishes.
        version: checked and complete; the caller holds the lock of what is versioned.
        siblings: all versions of the same policy or rubric.

    Raises:
        Conflict: a later version is published already.
    """
    later = siblings.filter(number__gt=version.number, published_at__isnull=False)
    if later.exists():
        raise errors.Conflict("a later version is published already", code="later_published")
    siblings.filter(status=VersionStatus.PUBLISHED).update(status=VersionStatus.SUPERSEDED)
    siblings.filter(pk=version.pk).update(
        status=VersionStatus.PUBLISHED,
        published_at=Now(),
        published_by=actor.user,
    )
    version.refresh_from_db()


def is_self_approved(actor: Actor, version: Version) -> bool:
    """Whether the one who publishes is the one who wrote: the log says so."""
    return actor.user is not None and version.created_by_id == actor.user.pk
