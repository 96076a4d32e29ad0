"""Cases as they are shown to whoever answers them: nothing that could sway a first verdict."""

from typing import Any
from uuid import UUID

from oversight.lib import codec, errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Case, RubricVersion, Slot, Verdict
from review.selectors.published import form_of
from review.services.claims import Claim


def get_case(actor: Actor, case_id: UUID) -> Case:
    """A case of the actor's project that the actor may look at.

    Reviewers see the cases that they hold or have answered; `figures:read` sees all.

    Raises:
        NotFound: none such for this actor.
    """
    found = Case.objects.select_related(
        "evidence__model_version", "evidence__scorer_version", "queue__rubric", "selection__round"
    ).filter(project=actor.project, pk=case_id)
    if "figures:read" not in actor.permissions:
        access.require(actor, "review")
        found = found.filter(pk__in=_own_slots(actor, case_id))
    case = found.first()
    if case is None:
        raise errors.NotFound("there is no such case")
    return case


def _own_slots(actor: Actor, case_id: UUID) -> Any:
    held = {"ai_rater": actor.ai_rater} if actor.ai_rater else {"reviewer": actor.user}
    return Slot.objects.filter(case=case_id, **held).values("case")


def find_own_slot(actor: Actor, case: Case) -> Slot | None:
    held = {"ai_rater": actor.ai_rater} if actor.ai_rater else {"reviewer": actor.user}
    if not actor.can_review:
        return None
    return Slot.objects.select_related("rubric_version").filter(case=case, **held).first()


def question_answer(question: Any) -> dict[str, Any]:
    return {
        "key": question.key,
        "text": question.text,
        "kind": question.kind,
        "options": question.options,
        "required": question.required,
        "clauses": question.clauses,
    }


def form(version: RubricVersion) -> dict[str, Any]:
    """Rubric and policy of a version, exactly as pinned."""
    pinned = form_of(version)
    rubric, policy = pinned.version, pinned.policy
    return {
        "rubric": {
            "slug": rubric.rubric.slug,
            "version": rubric.number,
            "digest": rubric.digest,
            "questions": [question_answer(question) for question in pinned.questions],
        },
        "policy": {
            "slug": policy.policy.slug,
            "version": policy.number,
            "digest": policy.digest,
            "clauses": [
                {
                    "key": clause.key,
                    "title": clause.title,
                    "text": clause.text,
                    "severity": clause.get_severity_display(),
                    "digest": clause.digest,
                }
                for clause in pinned.clauses
            ],
        },
    }


def shown(case: Case, version: RubricVersion) -> dict[str, Any]:
    """A case before any verdict: the record and the form, and nothing else.

    No score, tier, kind, origin or probability, so that gold, overlap and re-review look alike.
    """
    evidence = case.evidence
    return {
        "id": str(case.pk),
        "record": {
            "id": str(evidence.record_id),
            "external_id": evidence.external_id,
            "occurred_at": rfc3339(evidence.occurred_at),
            "input": codec.decode(evidence.input.encode()),
            "output": codec.decode(evidence.output.encode()),
            "context": evidence.context,
        },
        **form(version),
    }


def claimed(claim: Claim) -> dict[str, Any]:
    """The answer to a claim."""
    assert claim.slot.rubric_version is not None
    return {
        "case": shown(claim.case, claim.slot.rubric_version),
        "claim": {"token": str(claim.token), "expires_at": rfc3339(claim.expires_at)},
    }


def disclosed(case: Case) -> dict[str, Any]:
    """What is shown of a case once the caller's blind answer is in and the showing is noted."""
    evidence, selection = case.evidence, case.selection
    told: dict[str, Any] = {
        "kind": case.kind,
        "state": case.state,
        "queue": case.queue.slug,
        "score": evidence.score,
        "raw": evidence.raw,
        "p_violation": evidence.p_violation,
        "tier": evidence.tier,
        "reasons": evidence.reasons,
        "signals": evidence.signals,
        "model": {
            "name": evidence.model_version.name,
            "version": evidence.model_version.version,
        },
        "scorer_version": evidence.scorer_version.number,
    }
    if selection is not None:
        told |= {
            "round": selection.round_id,
            "probability": selection.softmax_probability,
            "inclusion_probability": selection.inclusion_probability,
        }
    return told


def verdict_answer(verdict: Verdict) -> dict[str, Any]:
    """A verdict as the API tells it."""
    return {
        "id": str(verdict.pk),
        "case": str(verdict.case_id),
        "reviewer": verdict.ai_rater or (verdict.reviewer_id and str(verdict.reviewer_id)),
        "is_human": not verdict.ai_rater,
        "answers": verdict.answers | verdict.note.texts,
        "note": verdict.note.note,
        "violation": verdict.violation,
        "is_blind": verdict.is_blind,
        "rubric_version": verdict.rubric_version.number,
        "policy_version": form_of(verdict.rubric_version).policy.number,
        "rubric_digest": verdict.rubric_digest,
        "clause_hashes": verdict.clause_hashes,
        "seconds": verdict.seconds,
        "supersedes": verdict.supersedes_id and str(verdict.supersedes_id),
        "created_at": rfc3339(verdict.created_at),
    }
