"""Reads of the pages of records: untrusted text made fit to be shown, the score explained."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.tenancy.actors import Actor
from review import rendering
from review.models import Case
from review.selectors import judged
from review.selectors.blindness import in_hand
from scoring.models import Action, InferenceRecord, ModelVersion
from scoring.selectors import records as selectors

_MAX_SUGGESTED = 50


@dataclass(frozen=True, slots=True)
class ListedRecord:
    """A row of the list; without score, tier and action where it `is_in_hand`."""

    record: InferenceRecord
    external_id: str
    model: str
    region: str
    action: str
    is_in_hand: bool


@dataclass(frozen=True, slots=True)
class ShownRecord:
    """A record's page.

    Attributes:
        conversation: None where the record may not be shown to people.
        evidence: None while its viewer has a case of it in hand, which is answered blind.
        cases: with how they were drawn, for whom there is evidence alone.
    """

    record: InferenceRecord
    external_id: str
    model: str
    conversation: rendering.Conversation | None
    evidence: judged.Evidence | None
    intervention: str
    signals: tuple[tuple[str, Any], ...]
    facts: tuple[tuple[str, str], ...]
    context: tuple[tuple[str, str], ...]
    cases: tuple[Case, ...]


def listed(found: Iterable[InferenceRecord], held: Collection[UUID]) -> list[ListedRecord]:
    """The rows of a page of the list; `held` are the records that its viewer has `in_hand`."""
    clean = rendering.clean_line
    return [
        ListedRecord(
            record=row,
            external_id=clean(row.external_id),
            model=clean(str(row.model_version)),
            region=clean(row.region),
            action=Action(row.action).label,
            is_in_hand=row.pk in held,
        )
        for row in found
    ]


def suggestions(actor: Actor) -> dict[str, list[str]]:
    """Names and versions of the project's newest models, for the filters."""
    newest = ModelVersion.objects.filter(project=actor.project).order_by("-pk")
    pairs = list(newest.values_list("name", "version")[:_MAX_SUGGESTED])
    return {
        "models": sorted({name for name, _ in pairs}),
        "versions": sorted({version for _, version in pairs}),
    }


def shown(actor: Actor, record_id: UUID) -> ShownRecord:
    """A record with its conversation, its score explained and the cases that it is in.

    Raises:
        NotFound: none with this id in the project.
    """
    row = selectors.get_record(actor, record_id)
    payload = selectors.find_payload(record_id)
    is_open = _may_be_shown(row)
    is_blind = record_id in in_hand(actor)
    clean = rendering.clean_line
    texts = (payload.input, payload.output) if payload is not None else ("", "")
    asked = payload.intervention if payload is not None else None
    return ShownRecord(
        record=row,
        external_id=clean(row.external_id),
        model=clean(str(row.model_version)),
        conversation=rendering.conversation(*texts) if is_open else None,
        evidence=None if is_blind else judged.explained(row, payload.reasons if payload else []),
        intervention=clean(": ".join(str(part) for part in (asked or {}).values())),
        signals=() if is_blind else tuple((clean(k), v) for k, v in sorted(row.signals.items())),
        facts=tuple(_facts(row)),
        context=tuple((clean(k), clean(str(v))) for k, v in sorted(row.context.items())),
        cases=tuple(cases_of(actor, record_id)),
    )


def get_piece(actor: Actor, record_id: UUID, index: int) -> dict[str, Any]:
    """A piece of a record's content, as stored.

    Raises:
        NotFound: no such record or piece, or the record may not be shown to people.
    """
    row = selectors.get_record(actor, record_id)
    payload = selectors.find_payload(record_id) if _may_be_shown(row) else None
    pieces = rendering.pieces_of(payload.input, payload.output) if payload else []
    if index >= len(pieces):
        raise errors.NotFound("there is nothing here, or it may not be shown")
    return pieces[index]


def cases_of(actor: Actor, record_id: UUID) -> QuerySet[Case]:
    """The cases in which the record was or is judged, newest first."""
    return (
        Case.objects.select_related("queue", "selection__round__window")
        .filter(project=actor.project, evidence__record_id=record_id)
        .order_by("-created_at", "pk")
    )


def _may_be_shown(row: InferenceRecord) -> bool:
    return row.may_review and row.erased_at is None


def _facts(row: InferenceRecord) -> Iterable[tuple[str, str]]:
    """What else is known of a record, as (label, value)."""
    clean = rendering.clean_line
    texts = (
        ("Region", row.region),
        ("Conversation", row.conversation_id),
        ("Subject", row.subject_id),
    )
    yield from ((label, clean(text)) for label, text in texts if text)
    yield "Held out", "for evaluation, never fitted to" if row.held_out else "no"
    yield "Business weight", f"{row.weight:g}"
    basis = f" ({clean(row.consent_basis)})" if row.consent_basis else ""
    uses = (("review", row.may_review), ("training", row.may_train))
    granted = [use for use, is_allowed in uses if is_allowed]
    yield "Consent", (" and ".join(granted) or "neither review nor training") + basis
