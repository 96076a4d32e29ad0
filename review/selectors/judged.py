"""Reads of a verdict's own page: the case again, the answers given, and the evidence once shown."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from oversight.tenancy.actors import Actor
from review import rendering, verdict_form
from review.models import CaseEvidence, EvidenceReveal, ReviewQueue, Verdict
from review.selectors import desk
from review.selectors.blindness import in_hand
from scoring.models import Action, InferenceRecord

_HALF = 100  # of a contribution bar, in user units of its SVG


@dataclass(frozen=True, slots=True)
class Reason:
    """One contribution to the score, and its bar from a centre line."""

    name: str
    kind: str
    detail: str
    contribution: float | None
    bar_x: float
    bar_width: float


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the machine said: score, tier, reasons. Never built before it may be shown."""

    tier: int
    score: float
    p_violation: float | None
    action: str
    scorer: str
    model: str
    external_id: str
    occurred_at: datetime
    context: tuple[tuple[str, str], ...]
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    verdict: Verdict
    queue: ReviewQueue
    conversation: rendering.Conversation
    form: desk.ShownForm
    evidence: Evidence | None
    may_see_evidence: bool
    first: Verdict | None  # the blind one, where this one corrects it


def latest_verdict(verdict: Verdict) -> Verdict:
    """The last of a slot's verdicts: the one that a correction would supersede."""
    return (
        Verdict.objects.filter(slot=verdict.slot_id).order_by("created_at", "pk").last() or verdict
    )


def judged(
    actor: Actor,
    verdict: Verdict,
    entered: Mapping[str, list[str]] | None = None,
    wrong: Mapping[str, str] | None = None,
    note: str | None = None,
) -> Judged:
    """A verdict's page, of its giver; `entered`, `wrong`, `note` where a correction was refused."""
    case, queue = verdict.case, verdict.case.queue
    reveal = EvidenceReveal.objects.filter(verdict__slot=verdict.slot_id).exists()
    is_held = case.evidence.record_id in in_hand(actor)  # another case of the record
    is_shown = not is_held and (reveal or queue.evidence == ReviewQueue.Evidence.OPEN)
    stored = verdict.note
    if entered is None:
        questions = desk.questions_of(verdict.rubric_version)
        entered = verdict_form.entered_before(questions, verdict.answers, stored.texts)
    first = Verdict.objects.filter(slot=verdict.slot_id, supersedes=None).first()
    return Judged(
        verdict=verdict,
        queue=queue,
        conversation=rendering.conversation(case.evidence.input, case.evidence.output),
        form=desk.shown_form(
            verdict.rubric_version, entered, wrong, stored.note if note is None else note
        ),
        evidence=evidence_of(case.evidence) if is_shown else None,
        may_see_evidence=not (is_shown or is_held) and queue.evidence == ReviewQueue.Evidence.FIRST,
        first=first if first != verdict else None,
    )


def evidence_of(evidence: CaseEvidence) -> Evidence:
    """Score, tier and reasons of a case's record."""
    return explained(evidence, evidence.reasons)


def explained(evidence: CaseEvidence | InferenceRecord, reasons: list[dict[str, Any]]) -> Evidence:
    """A score with its reasons, of a record or of its copy in a case."""
    clean = rendering.clean_line
    return Evidence(
        tier=evidence.tier,
        score=evidence.score,
        p_violation=evidence.p_violation,
        action=Action(evidence.action).label,
        scorer=str(evidence.scorer_version),
        model=clean(str(evidence.model_version)),
        external_id=clean(evidence.external_id),
        occurred_at=evidence.occurred_at,
        context=tuple((clean(str(k)), clean(str(v))) for k, v in sorted(evidence.context.items())),
        reasons=tuple(_reasons(reasons)),
    )


def _reasons(stored: list[dict[str, Any]]) -> list[Reason]:
    amounts = [float(reason.get("contribution") or 0) for reason in stored]
    largest = max((abs(amount) for amount in amounts), default=0) or 1
    return [
        Reason(
            name=rendering.clean_line(str(reason.get("name", ""))),
            kind=str(reason.get("kind", "")),
            detail=rendering.clean_line(str(reason.get("detail") or "")),
            contribution=reason.get("contribution"),
            bar_x=round(_HALF + min(amount, 0) / largest * _HALF, 2),
            bar_width=round(abs(amount) / largest * _HALF, 2),
        )
        for reason, amount in zip(stored, amounts, strict=True)
    ]


def evidence_if_open(queue: ReviewQueue, evidence: CaseEvidence) -> Evidence | None:
    """The evidence before a verdict: only where the queue is run open."""
    return evidence_of(evidence) if queue.evidence == ReviewQueue.Evidence.OPEN else None
