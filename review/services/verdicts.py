"""Verdicts: given once per slot, pinned to the form that was shown, corrected only by addition."""

import json
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.lib.postgres.statements import fetch
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.answers import check_answers
from review.models import (
    Case,
    EvidenceReveal,
    ReviewQueue,
    Slot,
    Verdict,
    VerdictNote,
)
from review.selectors.published import form_of
from review.services import claims, resolutions
from review.violations import violation_of

MAX_NOTE = 10_000
MAX_SECONDS = 86_400.0


def submit(
    actor: Actor,
    *,
    case_id: UUID,
    claim_token: UUID,
    answers: dict[str, Any],
    note: str = "",
    seconds: float | None = None,
) -> Verdict:
    """Store a reviewer's answers and close their slot.

    A replay with the same token and answers returns the verdict that is stored. A claim whose
    lease ran out still counts while nobody else took the slot.

    Raises:
        InvalidInput: an answer does not fit its question; the path names it.
        Conflict: the claim is not the caller's any more, or the replay answers otherwise.
    """
    access.require(actor, "review")
    with transaction.atomic():
        try:
            slot = claims.lock_claim(actor, case_id=case_id, token=claim_token, with_case=True)
        except (errors.Conflict, errors.NotFound):
            # A lost claim may be one that was answered, and whose answer went missing.
            if (stored := _find_replayed(actor, case_id, claim_token, answers)) is not None:
                return stored
            raise
        case = slot.case
        verdict = _write(
            actor,
            case,
            slot,
            answers=answers,
            note=note,
            seconds=seconds,
            is_blind=case.queue.evidence != ReviewQueue.Evidence.OPEN,
        )
        resolutions.resolve(actor, case=case)
    return verdict


def supersede(
    actor: Actor,
    *,
    verdict_id: UUID,
    answers: dict[str, Any],
    note: str = "",
    seconds: float | None = None,
) -> Verdict:
    """Correct one's own verdict by a new row; the first one stays.

    Once evidence was shown, the new row is not blind, and figures keep the blind answer.

    Raises:
        NotFound: no such verdict of the caller's.
        Conflict: it has been superseded already.
    """
    access.require(actor, "review")
    with transaction.atomic():
        old = get_own(actor, verdict_id=verdict_id)
        case = (
            Case.objects.select_for_update().select_related("evidence", "queue").get(pk=old.case_id)
        )
        reveal = EvidenceReveal.objects.filter(verdict__slot=old.slot_id).first()
        try:
            with transaction.atomic():
                verdict = _write(
                    actor,
                    case,
                    old.slot,
                    answers=answers,
                    note=note,
                    seconds=seconds,
                    is_blind=old.is_blind and reveal is None,
                    supersedes=old,
                    evidence_seen_at=reveal.at if reveal else None,
                )
        except IntegrityError:
            raise errors.Conflict(
                "this verdict has been superseded already", code="superseded"
            ) from None
        resolutions.resolve(actor, case=case)
    return verdict


def get_own(actor: Actor, *, verdict_id: UUID) -> Verdict:
    """The caller's own verdict.

    Raises:
        NotFound: there is none such in the project, or it is somebody else's.
    """
    mine = {"ai_rater": actor.ai_rater} if actor.ai_rater else {"reviewer": actor.user}
    verdict = (
        Verdict.objects.select_related("case__queue", "case__evidence", "slot", "rubric_version")
        .filter(project=actor.project, pk=verdict_id, **mine)
        .first()
    )
    if verdict is None or not actor.can_review:
        raise errors.NotFound("there is no such verdict of yours")
    return verdict


def _find_replayed(
    actor: Actor, case_id: UUID, token: UUID, answers: dict[str, Any]
) -> Verdict | None:
    stored = (
        Verdict.objects.select_related("note", "rubric_version")
        .filter(project=actor.project, case=case_id, token=token, supersedes=None)
        .filter(reviewer=actor.user, ai_rater=actor.ai_rater)
        .first()
    )
    if stored is None:
        return None
    checked = check_answers(form_of(stored.rubric_version).questions, answers)
    same_texts = checked.texts == stored.note.texts or stored.note.erased_at is not None
    if checked.plain != stored.answers or not same_texts:
        raise errors.Conflict(
            "this claim was answered already, and otherwise; correct the verdict instead",
            code="answered",
            extra={"state": {"verdict": str(stored.pk)}},
        )
    return stored


def _write(
    actor: Actor,
    case: Case,
    slot: Slot,
    *,
    answers: dict[str, Any],
    note: str,
    seconds: float | None,
    is_blind: bool,
    supersedes: Verdict | None = None,
    evidence_seen_at: Any = None,
) -> Verdict:
    version = slot.rubric_version
    assert version is not None
    assert slot.token is not None
    if len(note) > MAX_NOTE:
        raise errors.InvalidInput.at("note", f"at most {MAX_NOTE:,} characters", "length")
    if seconds is not None and not 0 <= seconds <= MAX_SECONDS:
        raise errors.InvalidInput.at("seconds", "between 0 and a day", "out_of_range")
    form = form_of(version)
    checked = check_answers(form.questions, answers)
    verdict = Verdict(
        project=actor.project,
        case=case,
        slot=slot,
        reviewer=actor.user if not actor.ai_rater else None,
        ai_rater=actor.ai_rater,
        rubric_version=version,
        rubric_digest=version.digest,
        clause_hashes=dict(form.clause_hashes),
        answers=checked.plain,
        violation=violation_of(form.questions, checked.plain),
        is_blind=is_blind,
        evidence_seen_at=evidence_seen_at,
        content_hash=case.evidence.content_hash,
        seconds=seconds,
        token=slot.token,
        supersedes=supersedes,
    )
    _store(actor, verdict, VerdictNote(verdict=verdict, note=note, texts=checked.texts))
    return verdict


# The verdict with all that belongs to it, at once. Only a first verdict closes its slot.
_STORE = f"""
WITH verdict AS (
    INSERT INTO review_verdict (id, project_id, case_id, slot_id, reviewer_id, ai_rater,
        rubric_version_id, rubric_digest, clause_hashes, answers, violation, is_blind,
        evidence_seen_at, content_hash, seconds, token, supersedes_id)
    VALUES (%(id)s, %(project)s, %(case)s, %(slot)s, %(reviewer)s, %(ai_rater)s,
        %(rubric_version)s, %(rubric_digest)s, %(clause_hashes)s, %(answers)s, %(violation)s,
        %(is_blind)s, %(evidence_seen_at)s, %(content_hash)s, %(seconds)s, %(token)s,
        %(supersedes)s)
    RETURNING id, slot_id, supersedes_id, created_at
), note AS (
    INSERT INTO review_verdictnote (verdict_id, note, texts)
    SELECT id, %(note)s, %(texts)s FROM verdict
), slot AS (
    UPDATE review_slot SET state = 'done', lease_expires_at = NULL FROM verdict
    WHERE review_slot.id = verdict.slot_id AND verdict.supersedes_id IS NULL
), {audit.events_of("verdict", object_id="id::text", detail="%(detail)s::jsonb")}
SELECT created_at FROM verdict
"""  # noqa: S608  our own names


def _store(actor: Actor, verdict: Verdict, note: VerdictNote) -> None:
    """Write a verdict, its note and its event, and close the slot that it was first to answer."""
    told: dict[str, Any] = {"case": str(verdict.case_id)}
    if verdict.supersedes_id is None:
        action = "verdict.given"
        told |= {
            "rubric_version": verdict.rubric_version_id,
            "rubric_digest": verdict.rubric_digest,
        }
    else:
        action = "verdict.superseded"
        told |= {"before": str(verdict.supersedes_id), "blind": verdict.is_blind}
    values = {
        "id": verdict.pk,
        "project": verdict.project_id,
        "case": verdict.case_id,
        "slot": verdict.slot_id,
        "reviewer": verdict.reviewer_id,
        "ai_rater": verdict.ai_rater,
        "rubric_version": verdict.rubric_version_id,
        "rubric_digest": verdict.rubric_digest,
        "clause_hashes": json.dumps(verdict.clause_hashes),
        "answers": json.dumps(verdict.answers),
        "violation": verdict.violation,
        "is_blind": verdict.is_blind,
        "evidence_seen_at": verdict.evidence_seen_at,
        "content_hash": bytes(verdict.content_hash),
        "seconds": verdict.seconds,
        "token": verdict.token,
        "supersedes": verdict.supersedes_id,
        "note": note.note,
        "texts": json.dumps(note.texts),
        "detail": json.dumps(told),
        **audit.event_of(actor, action, "verdict"),
    }
    ((verdict.created_at,),) = fetch(_STORE, values)
    verdict._state.adding = note._state.adding = False
