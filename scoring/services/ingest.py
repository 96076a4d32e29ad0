"""Ingest: from decoded records to committed rows and one answer each.

A batch is one transaction: its batch row, its audit row, its records and payloads commit together
before anybody is told "accepted". A bad record is answered with its errors and never sinks its
siblings. The identity of a record is its id (scoring/ids.py), so a retry meets its own row.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import transaction
from msgspec import UNSET
from psycopg.types.json import Jsonb

from oversight.audit import services as audit
from oversight.lib import merkle
from oversight.lib.errors import FieldError, InvalidInput
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring import ids
from scoring.decisions import Decision
from scoring.intake import content, fingerprints, wire
from scoring.models import IngestBatch
from scoring.services import model_versions, scorers, scoring
from scoring.storage import copying, partitions, stored

AHEAD = timedelta(hours=1)


@dataclass(slots=True)
class Incoming:
    """One record on its way: what came in, what was found out about it, what became of it."""

    index: int
    external_id: str | None
    status: str = "rejected"  # until shown otherwise
    errors: tuple[FieldError, ...] = ()
    record: wire.Record | None = None
    id: UUID | None = None
    occurred_at: datetime | None = None
    content_hash: bytes = b""
    group: bytes = b""
    input_json: bytes = b""
    output_json: bytes = b""
    fingerprint: bytes | None = None
    dimension: int | None = None
    model_version: int = 0
    decision: Decision | None = None

    def refuse(self, *errors: FieldError) -> None:
        self.status, self.errors, self.record = "rejected", errors, None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a batch, one entry per record in the order sent."""

    accepted: int
    duplicates: int
    rejected: int
    results: Sequence[Incoming] = field(repr=False)


def ingest(actor: Actor, *, slices: Sequence[bytes]) -> Outcome:
    """Take in a batch of records.

    Args:
        actor: needs `records:write`; checked by the caller, which knows how to say no.
        slices: the bytes of one JSON object each.

    Returns:
        One result per slice. What is `accepted` is committed.
    """
    project = actor.project
    batch = [_decode(index, raw) for index, raw in enumerate(slices)]
    for incoming in batch:
        if incoming.record is not None:
            _check(project, incoming)
    fresh = _known_apart(project, batch)
    if fresh:
        _score(project, fresh)
        partitions.ensure(i.occurred_at for i in fresh if i.occurred_at)
        _store(actor, fresh)
    _repeat_first_of_twins(batch)
    counts = Counter(incoming.status for incoming in batch)
    return Outcome(counts["accepted"], counts["duplicate"], counts["rejected"], batch)


def _decode(index: int, raw: bytes) -> Incoming:
    try:
        record = wire.decode(raw)
    except InvalidInput as error:
        return Incoming(index, wire.find_external_id(raw), errors=error.errors)
    return Incoming(index, record.external_id, record=record)


def _check(project: Project, incoming: Incoming) -> None:
    """All that types cannot say; sets identity, hashes and stored forms."""
    record = incoming.record
    assert record is not None
    try:
        _check_time(project, incoming, record)
        _check_numbers(record)
        content.check_images(record)
        incoming.input_json = content.encode(record.input)
        incoming.output_json = content.encode(record.output)
        if record.fingerprint is not None:
            incoming.fingerprint, incoming.dimension = fingerprints.pack(record.fingerprint)
        _resolve_model(project, incoming, record)
    except InvalidInput as error:
        incoming.refuse(*error.errors)
        return
    incoming.content_hash = content.content_hash(
        record, incoming.fingerprint, incoming.input_json, incoming.output_json
    )
    incoming.group = content.group_hash(bytes(project.hash_key), content.group_text(record))


def _check_time(project: Project, incoming: Incoming, record: wire.Record) -> None:
    now = datetime.now(UTC)
    try:
        moment = ids.to_millisecond(record.occurred_at)
    except OverflowError:
        raise InvalidInput.at("occurred_at", "out of range", "out_of_range") from None
    if moment > now + AHEAD:
        raise InvalidInput.at("occurred_at", "more than an hour ahead of now", "in_the_future")
    if moment < now - timedelta(days=project.retention_days):
        raise InvalidInput.at(
            "occurred_at",
            f"before the project's retention of {project.retention_days} days",
            "too_old",
        )
    incoming.occurred_at = moment
    incoming.id = ids.record_id(project.pk, record.external_id, moment)


def _check_numbers(record: wire.Record) -> None:
    for name, value in record.context.items():
        if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
            raise InvalidInput.at(f"context.{name}", "larger than 2⁵³", "out_of_range")
    region = record.context.get("region", "")
    if len(str(region)) > 200:
        raise InvalidInput.at("context.region", "longer than 200 characters", "length")


def _resolve_model(project: Project, incoming: Incoming, record: wire.Record) -> None:
    digest = model_versions.digest_of(record.model)
    incoming.model_version = model_versions.resolve(project, record.model, digest)
    if incoming.dimension is None:
        return
    fixed = model_versions.dimension(incoming.model_version, incoming.dimension)
    if fixed != incoming.dimension:
        raise InvalidInput.at(
            "fingerprint",
            f"has {incoming.dimension} numbers; this model's fingerprints have {fixed}",
            "wrong_length",
        )


def _known_apart(project: Project, batch: Sequence[Incoming]) -> list[Incoming]:
    """Answer what is stored already; returns the rest sorted by id, each identity once."""
    candidates = [i for i in batch if i.record is not None]
    known = stored.find(i.id for i in candidates if i.id is not None)
    fresh: dict[UUID, Incoming] = {}
    for incoming in candidates:
        assert incoming.id is not None
        if incoming.id in known:
            _answer_known(incoming, known[incoming.id])
        elif incoming.id in fresh:
            if fresh[incoming.id].content_hash != incoming.content_hash:
                incoming.refuse(_CONFLICT)
        else:
            fresh[incoming.id] = incoming
    return [fresh[key] for key in sorted(fresh)]


_CONFLICT = FieldError(
    "external_id",
    "conflict",
    "a record with this external_id and occurred_at, but other content, is stored already",
)
_ERASED = FieldError("external_id", "erased", "this record was erased and is not taken in again")


def _answer_known(incoming: Incoming, known: stored.Known) -> None:
    if known.is_erased:
        incoming.refuse(_ERASED)
    elif known.content_hash != incoming.content_hash:
        incoming.refuse(_CONFLICT)
    else:
        incoming.status, incoming.decision = "duplicate", known.decision


def _repeat_first_of_twins(batch: Sequence[Incoming]) -> None:
    """The second of two equal records in one batch is a duplicate of the first."""
    first: dict[UUID, Incoming] = {}
    for incoming in batch:
        if incoming.record is None or incoming.id is None:
            continue
        if incoming.decision is None:
            twin = first[incoming.id]
            incoming.decision = twin.decision
            incoming.status = "duplicate"
        else:
            first.setdefault(incoming.id, incoming)


def _score(project: Project, fresh: Sequence[Incoming]) -> None:
    version = scorers.current_version(project)
    subjects = [
        scoring.Subject(
            model=i.record.model.name,
            signals=i.record.signals,
            context=i.record.context,
            fingerprint=fingerprints.unpack(i.fingerprint, i.dimension)
            if i.fingerprint is not None and i.dimension is not None
            else None,
            record=i.record,
        )
        for i in fresh
        if i.record is not None
    ]
    for incoming, decision in zip(fresh, scoring.decide(version, subjects), strict=True):
        incoming.decision = decision


def _store(actor: Actor, fresh: Sequence[Incoming]) -> None:
    project = actor.project
    key = bytes(project.hash_key)
    with transaction.atomic():
        root = merkle.root([_leaf(key, i) for i in fresh])
        batch = IngestBatch.objects.create(project=project, n_records=len(fresh), merkle_root=root)
        new = copying.store([_row(project, batch.pk, i) for i in fresh])
        if len(new) != len(fresh):
            IngestBatch.objects.filter(pk=batch.pk).update(n_records=len(new))
        audit.record(
            actor,
            "records.ingested",
            "ingest_batch",
            batch.pk,
            n_records=len(new),
            merkle_root=root.hex(),
        )
    raced = [i for i in fresh if i.id not in new]
    known = stored.find(i.id for i in raced if i.id is not None)
    for incoming in fresh:
        assert incoming.id is not None
        if incoming.id in new:
            incoming.status = "accepted"
        else:
            _answer_known(incoming, known[incoming.id])


def _leaf(key: bytes, incoming: Incoming) -> bytes:
    assert incoming.id is not None
    return merkle.keyed(key, incoming.id.bytes + incoming.content_hash)


def _row(project: Project, batch_id: int, i: Incoming) -> copying.Row:
    assert i.record is not None
    assert i.decision is not None
    assert i.id is not None
    assert i.occurred_at is not None
    record, decision = i.record, i.decision
    consent = record.consent
    return copying.Row(
        id=i.id,
        occurred_at=i.occurred_at,
        record=(
            i.id,
            project.pk,
            batch_id,
            i.model_version,
            decision.scorer_version,
            record.external_id,
            i.occurred_at,
            str(record.context.get("region", "")),
            Jsonb(record.context, dumps=content.encode),
            Jsonb(record.signals, dumps=content.encode),
            decision.raw,
            decision.score,
            decision.p_violation,
            decision.weight,
            decision.tier,
            decision.action,
            content.is_held_out(i.group, project.held_out_share),
            project.review_consent if consent.review is UNSET else consent.review,
            project.training_consent if consent.training is UNSET else consent.training,
            consent.basis,
            record.conversation_id,
            record.subject_id,
            i.group,
            i.content_hash,
        ),
        payload=(
            i.id,
            i.input_json.decode(),
            i.output_json.decode(),
            i.fingerprint,
            Jsonb(list(decision.reasons), dumps=content.encode),
            decision.intervention and Jsonb(decision.intervention, dumps=content.encode),
        ),
    )
