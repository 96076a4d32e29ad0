"""Published forms: what a rubric version asks under which clauses, read once a process.

A published version never changes (a trigger sees to it), so what was read of it holds for ever;
its digest is part of the key. Drafts are read anew each time.
"""

from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from review.models import Clause, PolicyVersion, Question, RubricVersion


@dataclass(frozen=True, slots=True)
class PublishedForm:
    """A rubric version with everything that is shown of it and of its policy.

    Attributes:
        clause_hashes: {question: {clause key: clause digest}}, what each answer rests on.
    """

    version: RubricVersion
    policy: PolicyVersion
    questions: tuple[Question, ...]
    clauses: tuple[Clause, ...]
    clause_hashes: MappingProxyType[str, dict[str, str]]


def form_of(version: RubricVersion) -> PublishedForm:
    """The form of a rubric version; its models are shared by all requests and must stay as read."""
    if version.is_published:
        return _remembered(version.pk, version.digest)
    return _read(version.pk)


@lru_cache(maxsize=256)
def _remembered(version_id: int, digest: str) -> PublishedForm:
    return _read(version_id)


def _read(version_id: int) -> PublishedForm:
    version = RubricVersion.objects.select_related("rubric", "policy_version__policy").get(
        pk=version_id
    )
    policy = version.policy_version
    questions, clauses = tuple(version.questions.all()), tuple(policy.clauses.all())
    digests = {clause.key: clause.digest for clause in clauses}
    hashes = {
        question.key: {key: digests[key] for key in question.clauses if key in digests}
        for question in questions
    }
    return PublishedForm(version, policy, questions, clauses, MappingProxyType(hashes))
