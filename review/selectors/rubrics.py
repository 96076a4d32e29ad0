"""Reads of rubrics and their versions."""

from django.db.models import Max, QuerySet

from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.diffs import Change, part_changes
from review.models import PolicyVersion, Rubric, RubricVersion
from review.models.publishing import VersionStatus
from review.selectors.policies import DRAFT, PUBLISHED
from review.services.rubrics import as_plain


def rubrics(actor: Actor) -> "QuerySet[Rubric]":
    """The project's rubrics by slug, with the numbers of the published and the newest draft."""
    require(actor, "policies:read")
    return (
        Rubric.objects.filter(project=actor.project)
        .annotate(published=PUBLISHED, draft=DRAFT, latest=Max("versions__number"))
        .order_by("slug")
    )


def get_rubric(actor: Actor, slug: str) -> Rubric:
    """A rubric with the numbers that `rubrics` has.

    Raises:
        NotFound: none with this slug in the project.
    """
    found = rubrics(actor).filter(slug=slug).first()
    if found is None:
        raise errors.NotFound(f"there is no rubric {slug!r}")
    return found


def versions(rubric: Rubric) -> "QuerySet[RubricVersion]":
    """Versions, newest first, with their questions and the policy version they rest on."""
    return (
        rubric.versions.select_related(
            "rubric", "policy_version__policy", "created_by", "published_by"
        )
        .prefetch_related("questions", "policy_version__clauses")
        .order_by("-number")
    )


def get_version(actor: Actor, slug: str, number: int) -> RubricVersion:
    """A version with its questions.

    Raises:
        NotFound: none in the project.
    """
    found = versions(get_rubric(actor, slug)).filter(number=number).first()
    if found is None:
        raise errors.NotFound(f"the rubric {slug!r} has no version {number}")
    return found


def policy_versions(actor: Actor) -> "QuerySet[PolicyVersion]":
    """The versions that a new rubric version may rest on: each policy's published one."""
    return (
        PolicyVersion.objects.select_related("policy")
        .prefetch_related("clauses")
        .filter(policy__project=actor.project, status=VersionStatus.PUBLISHED)
        .order_by("policy__slug")
    )


def changes(before: RubricVersion, after: RubricVersion) -> list[Change]:
    """What changed, question by question."""
    return part_changes(as_plain(before), as_plain(after), ("text",))


def find_published(rubric: Rubric) -> RubricVersion | None:
    return versions(rubric).filter(status=VersionStatus.PUBLISHED).first()
