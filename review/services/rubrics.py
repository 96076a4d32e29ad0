"""Writing rubrics: a version rests on one policy version, and publishing freezes it."""

from typing import Any

from django.db import IntegrityError, transaction

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.models import Policy, PolicyVersion, Question, Rubric, RubricVersion
from review.models.publishing import VersionStatus
from review.naming import check_name, check_slug
from review.questions import QuestionForm, completeness_errors, parse_questions, rubric_digest
from review.services import publishing


def create_rubric(actor: Actor, *, slug: str, name: str = "") -> Rubric:
    """A new rubric without versions.

    Raises:
        InvalidInput: slug or name is not acceptable.
        Conflict: the slug is taken.
    """
    require(actor, "policies:write")
    slug, name = check_slug(slug), check_name(name, slug)
    try:
        with transaction.atomic():
            rubric = Rubric.objects.create(project=actor.project, slug=slug, name=name)
            audit.record(actor, "rubric.created", "rubric", rubric.pk, slug=slug)
    except IntegrityError:
        raise errors.Conflict(f"there is a rubric {slug!r} already", code="taken") from None
    return rubric


def draft_rubric(
    actor: Actor,
    *,
    slug: str,
    questions: Any,
    policy: str | None = None,
    policy_version: int | None = None,
    changelog: str = "",
) -> RubricVersion:
    """A new draft version.

    Args:
        actor: who writes.
        slug: of the rubric.
        questions: plain data, see `review.questions.parse_questions`.
        policy: slug of the policy it rests on; may be left out where the project has just one.
        policy_version: its number; the published one where absent.
        changelog: what is new, for reviewers.

    Raises:
        NotFound: no such rubric.
        InvalidInput: at paths such as `questions[2].options`.
    """
    require(actor, "policies:write")
    ground = _policy_version(actor, policy, policy_version)
    parsed = parse_questions(questions, _clause_keys(ground))
    with transaction.atomic():
        rubric = _locked(actor, slug)
        version = RubricVersion.objects.create(
            rubric=rubric,
            number=publishing.next_number(rubric.versions),
            policy_version=ground,
            changelog=publishing.check_changelog(changelog),
            digest=rubric_digest(ground.digest, parsed),
            created_by=actor.user,
        )
        _write_questions(version, parsed)
        _audit(actor, "rubric.drafted", version)
    return version


def save_rubric_draft(
    actor: Actor,
    *,
    slug: str,
    number: int,
    questions: Any,
    policy: str | None = None,
    policy_version: int | None = None,
    changelog: str = "",
    seen_digest: str | None = None,
) -> RubricVersion:
    """Replace a draft's content as a whole.

    Args:
        seen_digest: of the draft that the caller edited; None writes over whatever is there.

    Raises:
        NotFound: no such version.
        Conflict: it is published, or has changed since.
        InvalidInput: see `draft_rubric`.
    """
    require(actor, "policies:write")
    ground = _policy_version(actor, policy, policy_version)
    parsed = parse_questions(questions, _clause_keys(ground))
    with transaction.atomic():
        version = publishing.editable(_version(_locked(actor, slug), number), seen_digest)
        version.policy_version = ground
        version.changelog = publishing.check_changelog(changelog)
        version.digest = rubric_digest(ground.digest, parsed)
        version.save(update_fields=["policy_version", "changelog", "digest"])
        version.questions.all().delete()
        _write_questions(version, parsed)
        _audit(actor, "rubric.saved", version)
    return version


def publish_rubric(
    actor: Actor, *, slug: str, number: int, seen_digest: str | None = None
) -> RubricVersion:
    """Publish a draft: claims made from now on are given under it, earlier ones finish as shown.

    Raises:
        NotFound: no such version.
        Conflict: it is published already, has changed since, a later one is published, or its
            policy version is not the published one.
        InvalidInput: not exactly one question says what counts as a violation, or a question
            rests on a clause that its policy version does not have.
    """
    require(actor, "policies:write")
    with transaction.atomic():
        rubric = _locked(actor, slug)
        version = publishing.editable(_version(rubric, number), seen_digest)
        ground = _published_ground(version)
        # Parsed again, because the policy may have been edited while both were drafts.
        parsed = parse_questions(as_plain(version), _clause_keys(ground))
        problems = list(completeness_errors(parsed))
        if problems:
            raise errors.InvalidInput(problems[0].message, errors=problems)
        version.digest = rubric_digest(ground.digest, parsed)
        version.save(update_fields=["digest"])
        publishing.freeze(actor, version, siblings=rubric.versions)
        _audit(
            actor,
            "rubric.published",
            version,
            policy_digest=ground.digest,
            self_approved=publishing.is_self_approved(actor, version),
        )
    return version


def as_plain(version: RubricVersion) -> list[dict[str, Any]]:
    """A version's questions as plain data, as `parse_questions` takes them."""
    return [
        {
            "key": question.key,
            "text": question.text,
            "kind": question.kind,
            "options": question.options,
            "required": question.required,
            "clauses": question.clauses,
            "violation": question.violation,
        }
        for question in version.questions.all()
    ]


def _published_ground(version: RubricVersion) -> PolicyVersion:
    # The policy's row is locked too: a policy that is being replaced at this moment is
    # either still the published one when this commits, or seen as superseded.
    policy_id = version.policy_version.policy_id
    Policy.objects.select_for_update().get(pk=policy_id)
    ground = PolicyVersion.objects.get(pk=version.policy_version_id)
    if ground.status != VersionStatus.PUBLISHED:
        raise errors.Conflict(
            f"it rests on version {ground.number} of the policy, which is {ground.status}: "
            "a rubric rests on the published version",
            code="policy_not_published",
            extra={"state": ground.status},
        )
    return ground


def _policy_version(actor: Actor, slug: str | None, number: int | None) -> PolicyVersion:
    """The policy version that was named, or the published one of the project's only policy."""
    policies = Policy.objects.filter(project=actor.project)
    found = list(policies.filter(slug=slug) if slug is not None else policies[:2])
    if len(found) != 1:
        raise errors.InvalidInput.at("policy", "say which policy, by its slug", "policy")
    versions = found[0].versions
    if number is not None:
        version = versions.filter(number=number).first()
    else:
        version = versions.filter(status=VersionStatus.PUBLISHED).first()
    if version is None:
        raise errors.InvalidInput.at(
            "policy_version", "the policy has no such version, or none is published", "policy"
        )
    return version


def _clause_keys(version: PolicyVersion) -> set[str]:
    return set(version.clauses.values_list("key", flat=True))


def _locked(actor: Actor, slug: str) -> Rubric:
    rubric = Rubric.objects.select_for_update().filter(project=actor.project, slug=slug).first()
    if rubric is None:
        raise errors.NotFound(f"there is no rubric {slug!r}")
    return rubric


def _version(rubric: Rubric, number: int) -> RubricVersion:
    version = rubric.versions.select_related("policy_version").filter(number=number).first()
    if version is None:
        raise errors.NotFound(f"the rubric {rubric.slug!r} has no version {number}")
    return version


def _write_questions(version: RubricVersion, questions: list[QuestionForm]) -> None:
    Question.objects.bulk_create(
        Question(version=version, position=position, **question.as_plain())
        for position, question in enumerate(questions)
    )


def _audit(actor: Actor, action: str, version: RubricVersion, **detail: Any) -> None:
    audit.record(
        actor,
        action,
        "rubric",
        version.rubric_id,
        version=version.number,
        digest=version.digest,
        **detail,
    )
