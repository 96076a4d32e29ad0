"""Ingest: from the bytes of records to committed rows and one answer each.

A batch is one transaction: its batch row, its audit row, its records and payloads commit together
before anybody is told "accepted". A bad record is answered with its errors and never sinks its
siblings. The identity of a record is its id (scoring/ids.py), so a retry meets its own row.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import pairwise

import numpy as np
from django.db import IntegrityError, connection, transaction

from oversight.audit import services as audit
from oversight.lib import merkle
from oversight.lib.clock import EPOCH
from oversight.lib.errors import FieldError
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.decisions import Decision
from scoring.intake import content
from scoring.models import IngestBatch
from scoring.services import at_once, scorers, scoring
from scoring.services.incoming import Incoming, consented, receive
from scoring.storage import binary, copying, partitions, stored


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
    batch = receive(actor.project, slices)
    if not _take_in_at_once(actor, batch):
        _take_in(actor, batch)
    counts = Counter(incoming.status for incoming in batch)
    return Outcome(counts["accepted"], counts["duplicate"], counts["rejected"], batch)


def _take_in_at_once(actor: Actor, batch: Sequence[Incoming]) -> bool:
    """Take in a small batch as if all its records were new; False where that has to be seen."""
    fresh = [incoming for incoming in batch if incoming.record is not None]
    if not at_once.is_small(fresh):
        return False
    fresh.sort(key=lambda incoming: incoming.identity)
    if any(a.identity == b.identity for a, b in pairwise(fresh)):
        return False
    version_id = scorers.assumed_version_id(actor.project)
    _score(version_id, fresh)
    root = _merkle_root(actor.project, fresh)
    is_stored = at_once.store(actor, fresh=fresh, version_id=version_id, root=root)
    for incoming in fresh:
        if is_stored:
            incoming.status = "accepted"
        else:
            incoming.decision = None
    return is_stored


def _take_in(actor: Actor, batch: Sequence[Incoming]) -> None:
    """Take in a batch of any size, whatever is stored of it."""
    fresh, twins = _known_apart(batch)
    if not fresh:
        return
    _score(scorers.current_version_id(actor.project), fresh)
    before = _store(actor, fresh)
    for twin, first in twins:
        known = before.get(first.identity)
        _answer_known(
            twin,
            known or stored.Known(first.content_hash, is_erased=False, decision=_decided(first)),
        )


def _known_apart(
    batch: Sequence[Incoming],
) -> tuple[list[Incoming], list[tuple[Incoming, Incoming]]]:
    """Answer what is stored already.

    Returns:
        The rest sorted by id, each identity once; and whatever has the identity of one of these,
        beside that one: it is answered by what is stored in the end.
    """
    candidates = [i for i in batch if i.record is not None]
    known = stored.find({i.identity for i in candidates})
    fresh: dict[bytes, Incoming] = {}
    twins: list[tuple[Incoming, Incoming]] = []
    for incoming in candidates:
        key = incoming.identity
        if key in known:
            _answer_known(incoming, known[key])
        elif key in fresh:
            twins.append((incoming, fresh[key]))
        else:
            fresh[key] = incoming
    return [fresh[key] for key in sorted(fresh)], twins


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


def _score(version_id: int, fresh: Sequence[Incoming]) -> None:
    subjects = [
        scoring.Subject(
            model=i.sent.model.name,
            signals=i.sent.signals,
            context=i.sent.context,
            fingerprint=i.fingerprint,
            dimension=i.dimension,
            record=i.record,
        )
        for i in fresh
    ]
    decisions = scoring.decide(version_id, subjects)
    for incoming, decision in zip(fresh, decisions, strict=True):
        incoming.decision = decision


def _merkle_root(project: Project, fresh: Sequence[Incoming]) -> bytes:
    key = bytes(project.hash_key)
    return merkle.root([merkle.keyed(key, i.identity + i.content_hash) for i in fresh])


def _store(actor: Actor, fresh: Sequence[Incoming]) -> dict[bytes, stored.Known]:
    """Store what others have not stored meanwhile, and answer all; returns what they have."""
    days = {incoming.occurred_at_ms // 86_400_000 for incoming in fresh}
    moments = [EPOCH + timedelta(days=day) for day in days]
    partitions.ensure(moments)
    try:
        with transaction.atomic():
            new = _write(actor, fresh, copying.store)
    except IntegrityError:  # since we looked, one of them was stored, or their partition dropped
        partitions.ensure(moments)
        with transaction.atomic():
            new = _write(actor, fresh, copying.store_staged)
    known = stored.find(i.identity for i in fresh if i.identity not in new)
    for incoming in fresh:
        if incoming.identity in new:
            incoming.status = "accepted"
        else:
            _answer_known(incoming, known[incoming.identity])
    return known


# A batch row by the model would cost as much as the rest of a small batch.
_NEW_BATCH = """
INSERT INTO scoring_ingestbatch (project_id, n_records, merkle_root) VALUES (%s, %s, %s)
RETURNING id
"""


def _write(
    actor: Actor,
    fresh: Sequence[Incoming],
    store: Callable[[copying.Rows], set[bytes]],
) -> set[bytes]:
    """The batch with all that belongs to it, in the surrounding transaction.

    Where others have stored some of it meanwhile, the batch tells of the rest; of none, of nothing.
    """
    root = _merkle_root(actor.project, fresh)
    with connection.cursor() as cursor:
        cursor.execute(_NEW_BATCH, [actor.project.pk, len(fresh), root])
        batch_id: int = cursor.fetchone()[0]
    new = store(_rows(actor.project, batch_id, fresh))
    if not new:
        transaction.set_rollback(True)
        return new
    if len(new) != len(fresh):
        root = _merkle_root(actor.project, [i for i in fresh if i.identity in new])
        IngestBatch.objects.filter(pk=batch_id).update(n_records=len(new), merkle_root=root)
    audit.record(
        actor,
        "records.ingested",
        "ingest_batch",
        batch_id,
        n_records=len(new),
        merkle_root=root.hex(),
    )
    return new


def _rows(project: Project, batch_id: int, fresh: Sequence[Incoming]) -> copying.Rows:
    """Both tables' rows of records that were decided on, sorted by id."""
    keys = tuple(i.identity for i in fresh)
    id_column = np.frombuffer(b"".join(keys), dtype=np.uint8)
    records, decisions = [i.sent for i in fresh], [_decided(i) for i in fresh]
    consents = [record.consent for record in records]
    review, training = project.review_consent, project.training_consent
    return copying.Rows(
        ids=keys,
        records=copying.RECORDS.rows(
            len(fresh),
            fixed={
                "id": id_column,
                "project_id": project.pk,
                "batch_id": batch_id,
                "model_version_id": [i.model_version for i in fresh],
                "scorer_version_id": [d.scorer_version for d in decisions],
                "occurred_at": binary.timestamps([i.occurred_at_ms for i in fresh]),
                "raw": [d.raw for d in decisions],
                "score": [d.score for d in decisions],
                "weight": [d.weight for d in decisions],
                "tier": [d.tier for d in decisions],
                "action": [d.action for d in decisions],
                "held_out": [content.is_held_out(i.group, project.held_out_share) for i in fresh],
                "may_review": [consented(c.review, review) for c in consents],
                "may_train": [consented(c.training, training) for c in consents],
                "group_hash": np.frombuffer(b"".join(i.group for i in fresh), np.uint8),
                "content_hash": np.frombuffer(b"".join(i.content_hash for i in fresh), np.uint8),
            },
            varying={
                "p_violation": binary.float8(d.p_violation for d in decisions),
                "external_id": binary.raw(r.external_id.encode() for r in records),
                "region": binary.text(i.region for i in fresh),
                "context": binary.jsonb(i.context_json for i in fresh),
                "signals": binary.jsonb(i.signals_json for i in fresh),
                "consent_basis": binary.text(c.basis for c in consents),
                "conversation_id": binary.text(r.conversation_id for r in records),
                "subject_id": binary.text(r.subject_id for r in records),
            },
        ),
        payloads=copying.PAYLOADS.rows(
            len(fresh),
            fixed={"id": id_column},
            varying={
                "input": binary.raw(i.input_json for i in fresh),
                "output": binary.raw(i.output_json for i in fresh),
                "fingerprint": binary.raw(i.fingerprint for i in fresh),
                "reasons": binary.raw(d.reasons for d in decisions),
                "intervention": binary.raw(d.intervention for d in decisions),
            },
        ),
    )


def _decided(incoming: Incoming) -> Decision:
    assert incoming.decision is not None
    return incoming.decision
