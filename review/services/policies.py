"""Writing policies: drafts are saved as a whole, publishing freezes them."""

from typing import Any

from django.db import IntegrityError, transaction

from oversight.audit import services as audit
from oversight.lib import codec, errors
from oversight.tenancy.access import require
from oversight.tenancy.actors import Actor
from review.clauses import ClauseForm, parse_clauses, policy_digest
from review.models import Clause, Policy, PolicyVersion
from review.naming import check_name, check_slug
from review.services import publishing

_MAX_INTRODUCTION = 20_000


def create_policy(actor: Actor, *, slug: str, name: str = "") -> Policy:
    """A new policy without versions.

    Raises:
        InvalidInput: slug or name is not acceptable.
        Conflict: the slug is taken.
    """
    require(actor, "policies:write")
    slug, name = check_slug(slug), check_name(name, slug)
    try:
        with transaction.atomic():
            policy = Policy.objects.create(project=actor.project, slug=slug, name=name)
            audit.record(actor, "policy.created", "policy", policy.pk, slug=slug)
    except IntegrityError:
        raise errors.Conflict(f"there is a policy {slug!r} already", code="taken") from None
    return policy


def draft_policy(
    actor: Actor,
    *,
    slug: str,
    clauses: Any,
    introduction: str = "",
    changelog: str = "",
) -> PolicyVersion:
    """A new draft version.

    Args:
        actor: who writes.
        slug: of the policy.
        clauses: plain data, see `review.clauses.parse_clauses`.
        introduction: Markdown, shown before the clauses.
        changelog: what is new, for reviewers.

    Raises:
        NotFound: no such policy.
        InvalidInput: at paths such as `clauses[2].title`.
    """
    require(actor, "policies:write")
    parsed = parse_clauses(clauses)
    introduction = _introduction(introduction)
    with transaction.atomic():
        policy = _locked(actor, slug)
        version = PolicyVersion.objects.create(
            policy=policy,
            number=publishing.next_number(policy.versions),
            introduction=introduction,
            changelog=publishing.check_changelog(changelog),
            digest=policy_digest(introduction, parsed),
            created_by=actor.user,
        )
        _write_clauses(version, parsed)
        _audit(actor, "policy.drafted", version)
    return version


def save_policy_draft(
    actor: Actor,
    *,
    slug: str,
    number: int,
    clauses: Any,
    introduction: str = "",
    changelog: str = "",
    seen_digest: str | None = None,
) -> PolicyVersion:
    """Replace a draft's content as a whole.

    Args:
        seen_digest: of the draft that the caller edited; None writes over whatever is there.

    Raises:
        NotFound: no such version.
        Conflict: it is published, or has changed since.
        InvalidInput: see `draft_policy`.
    """
    require(actor, "policies:write")
    parsed = parse_clauses(clauses)
    with transaction.atomic():
        version = publishing.editable(_version(_locked(actor, slug), number), seen_digest)
        version.introduction = _introduction(introduction)
        version.changelog = publishing.check_changelog(changelog)
        version.digest = policy_digest(version.introduction, parsed)
        version.save(update_fields=["introduction", "changelog", "digest"])
        version.clauses.all().delete()
        _write_clauses(version, parsed)
        _audit(actor, "policy.saved", version)
    return version


def publish_policy(
    actor: Actor, *, slug: str, number: int, seen_digest: str | None = None
) -> PolicyVersion:
    """Publish a draft; nobody edits it afterwards, and its predecessor is superseded.

    Raises:
        NotFound: no such version.
        Conflict: it is published already, has changed since, or a later one is published.
        InvalidInput: it has no clause.
    """
    require(actor, "policies:write")
    with transaction.atomic():
        policy = _locked(actor, slug)
        version = publishing.editable(_version(policy, number), seen_digest)
        if not version.clauses.exists():
            raise errors.InvalidInput.at("clauses", "a policy has at least one clause", "empty")
        publishing.freeze(actor, version, siblings=policy.versions)
        _audit(
            actor,
            "policy.published",
            version,
            self_approved=publishing.is_self_approved(actor, version),
        )
    return version


def _locked(actor: Actor, slug: str) -> Policy:
    # One writer of a policy at a time: numbers stay gapless and one version is published.
    policy = Policy.objects.select_for_update().filter(project=actor.project, slug=slug).first()
    if policy is None:
        raise errors.NotFound(f"there is no policy {slug!r}")
    return policy


def _version(policy: Policy, number: int) -> PolicyVersion:
    version = policy.versions.filter(number=number).first()
    if version is None:
        raise errors.NotFound(f"the policy {policy.slug!r} has no version {number}")
    return version


def _write_clauses(version: PolicyVersion, clauses: list[ClauseForm]) -> None:
    Clause.objects.bulk_create(
        Clause(
            version=version,
            key=clause.key,
            position=position,
            title=clause.title,
            text=clause.text,
            severity=clause.severity,
            digest=clause.digest,
        )
        for position, clause in enumerate(clauses)
    )


def _introduction(text: Any) -> str:
    if not isinstance(text, str) or len(text) > _MAX_INTRODUCTION:
        raise errors.InvalidInput.at("introduction", f"at most {_MAX_INTRODUCTION:,} characters")
    codec.check_storable(text, "introduction")
    return text.replace("\r\n", "\n").strip()


def _audit(actor: Actor, action: str, version: PolicyVersion, **detail: Any) -> None:
    audit.record(
        actor,
        action,
        "policy",
        version.policy_id,
        version=version.number,
        digest=version.digest,
        **detail,
    )
