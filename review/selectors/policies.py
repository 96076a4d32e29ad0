"""Reads of policies and their versions."""

from typing import Any

from django.db.models import Max, Q, QuerySet

from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.clauses import SEVERITIES
from review.diffs import Change, Run, part_changes, word_diff
from review.models import Policy, PolicyVersion, Rubric
from review.models.publishing import VersionStatus

PUBLISHED = Max("versions__number", filter=Q(versions__status=VersionStatus.PUBLISHED))
DRAFT = Max("versions__number", filter=Q(versions__status__in=["draft", "review"]))


def policies(actor: Actor) -> "QuerySet[Policy]":
    """The project's policies by slug, with the numbers of the published and the newest draft."""
    require(actor, "policies:read")
    return (
        Policy.objects.filter(project=actor.project)
        .annotate(published=PUBLISHED, draft=DRAFT, latest=Max("versions__number"))
        .order_by("slug")
    )


def get_policy(actor: Actor, slug: str) -> Policy:
    """A policy with the numbers that `policies` has.

    Raises:
        NotFound: none with this slug in the project.
    """
    found = policies(actor).filter(slug=slug).first()
    if found is None:
        raise errors.NotFound(f"there is no policy {slug!r}")
    return found


def default_number(named: Policy | Rubric) -> int | None:
    """The version to show of an annotated policy or rubric: the published, else the newest."""
    annotated = vars(named)
    return annotated["published"] or annotated["latest"]


def versions(policy: Policy) -> "QuerySet[PolicyVersion]":
    """Versions, newest first, with their clauses."""
    return (
        policy.versions.select_related("policy", "created_by", "published_by")
        .prefetch_related("clauses")
        .order_by("-number")
    )


def get_version(actor: Actor, slug: str, number: int) -> PolicyVersion:
    """A version with its clauses.

    Raises:
        NotFound: none in the project.
    """
    found = versions(get_policy(actor, slug)).filter(number=number).first()
    if found is None:
        raise errors.NotFound(f"the policy {slug!r} has no version {number}")
    return found


def find_published(policy: Policy) -> PolicyVersion | None:
    return versions(policy).filter(status=VersionStatus.PUBLISHED).first()


def clauses_as_plain(version: PolicyVersion) -> list[dict[str, Any]]:
    """A version's clauses as plain data, as `parse_clauses` takes them."""
    return [
        {
            "key": clause.key,
            "title": clause.title,
            "text": clause.text,
            "severity": SEVERITIES[clause.severity],
        }
        for clause in version.clauses.all()
    ]


def changes(before: PolicyVersion, after: PolicyVersion) -> tuple[list[Run], list[Change]]:
    """What changed: in the introduction, and clause by clause."""
    return (
        word_diff(before.introduction, after.introduction),
        part_changes(clauses_as_plain(before), clauses_as_plain(after), ("title", "text")),
    )
