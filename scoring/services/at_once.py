"""Small batches: checked against what is stored, and stored, by one statement.

The database is asked once for a post, and not eight times. The statement stores all or nothing:
nothing where one of the records is stored already, or where the scorer that decided is no longer
the one in use. Those few go the way of large batches (scoring/services/ingest.py), which looks
first and tells each record what became of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import lru_cache

import msgspec
from django.db import IntegrityError, ProgrammingError
from psycopg.errors import UndefinedTable

from oversight.audit import services as audit
from oversight.lib.clock import EPOCH
from oversight.lib.postgres.statements import fetch
from oversight.lib.transactions import alone
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.intake import content
from scoring.services import scorers
from scoring.services.incoming import Incoming, consented
from scoring.storage import partitions
from scoring.storage.partitions import Partition

MAX_RECORDS = 48  # beyond, COPY costs less
# COPY streams, this holds them several times on both sides.
MAX_BYTES = 256 << 10


class _Row(msgspec.Struct, gc=False):
    """A record and its payload as the statement reads them; bytes go as base64."""

    id: str
    model_version_id: int
    scorer_version_id: int
    occurred_at: datetime
    raw: float
    score: float
    p_violation: float | None
    weight: float
    tier: int
    action: int
    held_out: bool
    may_review: bool
    may_train: bool
    group_hash: bytes
    content_hash: bytes
    external_id: str
    region: str
    context: dict[str, str | int | float | bool]
    signals: dict[str, float]
    consent_basis: str
    conversation_id: str
    subject_id: str
    input: str
    output: str
    fingerprint: bytes | None
    reasons: str
    intervention: str | None


def is_small(batch: Sequence[Incoming]) -> bool:
    """Whether a batch is one that a single statement stores for less than COPY would."""
    if not 0 < len(batch) <= MAX_RECORDS:
        return False
    return sum(map(_size, batch)) <= MAX_BYTES


def _size(incoming: Incoming) -> int:
    """How long a record is, but for what is short by its type."""
    context = incoming.context_json
    return sum(map(len, (incoming.input_json, incoming.output_json, context))) + len(
        incoming.fingerprint or b""
    )


def store(actor: Actor, *, fresh: Sequence[Incoming], version_id: int, root: bytes) -> bool:
    """Store records that were decided on; False where nothing was, since one is not as assumed.

    Args:
        fresh: sorted by id, without repetition.
        version_id: the scorer version that decided.
        root: the batch's Merkle root.
    """
    spans = {partitions.start_of(_moment(incoming)) for incoming in fresh}
    if len(spans) > 1:
        return False
    values = {
        "rows": _encode([_row(actor.project, incoming) for incoming in fresh]).decode(),
        "ids": "{" + ",".join(incoming.identity.hex() for incoming in fresh) + "}",
        "project": actor.project.pk,
        "n": len(fresh),
        "root": root.hex(),
        "scorer": scorers.DEFAULT,
        "version": version_id,
        **audit.event_of(actor, "records.ingested", "ingest_batch"),
    }
    try:
        with alone():
            return bool(fetch(_statement(Partition(spans.pop())), values))
    except IntegrityError:  # somebody else stores one of them at this moment
        return False
    except ProgrammingError as error:
        if not isinstance(error.__cause__, UndefinedTable):
            raise
        return False  # the first records of their time


def _moment(incoming: Incoming) -> datetime:
    return EPOCH + timedelta(milliseconds=incoming.occurred_at_ms)


# Each record is written before its payload and in the order of the ids, as by COPY: so whoever
# waits for another's record holds nothing that the other wants.
# It names one partition: over all of them, looking for the records costs as much as the rest.
@lru_cache(maxsize=64)
def _statement(partition: Partition) -> str:
    records, payloads = partition.table("scoring_record"), partition.table("scoring_payload")
    return f"""
WITH sent AS MATERIALIZED (
    SELECT * FROM json_to_recordset(%(rows)s::json) AS sent (
        id uuid, model_version_id bigint, scorer_version_id bigint, occurred_at timestamptz,
        raw float8, score float8, p_violation float8, weight float8, tier smallint,
        action smallint, held_out boolean, may_review boolean, may_train boolean,
        group_hash text, content_hash text, external_id text, region text, context jsonb,
        signals jsonb, consent_basis text, conversation_id text, subject_id text,
        input text, output text, fingerprint text, reasons text, intervention text)
), batch AS (
    INSERT INTO scoring_ingestbatch (project_id, n_records, merkle_root)
    SELECT %(project)s, %(n)s, decode(%(root)s, 'hex')
    WHERE NOT EXISTS (SELECT FROM {records} WHERE id = ANY(%(ids)s::uuid[]))
      AND EXISTS (
        SELECT FROM scoring_scorer
        WHERE project_id = %(project)s AND slug = %(scorer)s AND current_id = %(version)s)
    RETURNING id
), records AS (
    INSERT INTO {records} (
        id, project_id, batch_id, model_version_id, scorer_version_id, occurred_at, raw, score,
        p_violation, weight, tier, action, held_out, may_review, may_train, group_hash,
        content_hash, external_id, region, context, signals, consent_basis, conversation_id,
        subject_id)
    SELECT sent.id, %(project)s, batch.id, model_version_id, scorer_version_id, occurred_at, raw,
        score, p_violation, weight, tier, action, held_out, may_review, may_train,
        decode(group_hash, 'base64'), decode(content_hash, 'base64'), external_id, region,
        context, signals, consent_basis, conversation_id, subject_id
    FROM batch, sent
    RETURNING 1
), payloads AS (
    INSERT INTO {payloads} (id, input, output, fingerprint, reasons, intervention)
    SELECT id, input, output, decode(fingerprint, 'base64'), reasons, intervention FROM sent
    WHERE (SELECT count(*) FROM records) > 0
), {
        audit.events_of(
            "batch",
            object_id="id::text",
            detail="jsonb_build_object('n_records', %(n)s::int, 'merkle_root', %(root)s::text)",
        )
    }
SELECT id FROM batch
"""  # noqa: S608  our own names


_encode = msgspec.json.Encoder().encode


def _row(project: Project, incoming: Incoming) -> _Row:
    record, decision = incoming.sent, incoming.decision
    assert decision is not None
    consent = record.consent
    return _Row(
        id=incoming.identity.hex(),
        model_version_id=incoming.model_version,
        scorer_version_id=decision.scorer_version,
        occurred_at=_moment(incoming),
        raw=decision.raw,
        score=decision.score,
        p_violation=decision.p_violation,
        weight=decision.weight,
        tier=decision.tier,
        action=int(decision.action),
        held_out=content.is_held_out(incoming.group, project.held_out_share),
        may_review=consented(consent.review, project.review_consent),
        may_train=consented(consent.training, project.training_consent),
        group_hash=incoming.group,
        content_hash=incoming.content_hash,
        external_id=record.external_id,
        region=incoming.region,
        context=record.context,
        signals=record.signals,
        consent_basis=consent.basis,
        conversation_id=record.conversation_id,
        subject_id=record.subject_id,
        input=incoming.input_json.decode(),
        output=incoming.output_json.decode(),
        fingerprint=incoming.fingerprint,
        reasons=decision.reasons.decode(),
        intervention=None if decision.intervention is None else decision.intervention.decode(),
    )
