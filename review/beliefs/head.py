"""The question that a queue's posterior is about, and the clauses that its answers rest on."""

from collections.abc import Mapping
from dataclasses import dataclass

from review.models import Clause, Question, ReviewQueue, RubricVersion
from review.models.publishing import VersionStatus


@dataclass(frozen=True, slots=True)
class Head:
    """One violation question under one set of clauses; labels of another are not pooled."""

    key: str
    clauses: Mapping[str, str]  # {clause key: digest}


def head_of(queue: ReviewQueue) -> Head | None:
    """The head of the queue's published rubric; None where no question has a violation rule."""
    version = (
        RubricVersion.objects.filter(rubric=queue.rubric_id, status=VersionStatus.PUBLISHED)
        .order_by("-number")
        .first()
    )
    return None if version is None else head_of_version(version)


def head_of_version(version: RubricVersion) -> Head | None:
    """The head of a rubric version."""
    question = Question.objects.filter(version=version, violation__isnull=False).first()
    if question is None:
        return None
    digests = dict(
        Clause.objects.filter(
            version=version.policy_version_id, key__in=question.clauses
        ).values_list("key", "digest")
    )
    return Head(question.key, digests)
