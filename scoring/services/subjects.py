"""Stored records as a scorer sees them: the same columns that ingest scored."""

from collections.abc import Sequence

import msgspec

from scoring.intake import fingerprints, wire
from scoring.models import InferenceRecord, RecordPayload
from scoring.services.scoring import Subject


def of_records(rows: Sequence[InferenceRecord], *, with_content: bool = False) -> list[Subject]:
    """One subject per record, in order.

    Args:
        rows: records with their model versions.
        with_content: whether invariants will look at what was said, which costs reading it.
    """
    columns = ["id", "fingerprint", *(["input", "output"] if with_content else [])]
    payloads = {
        payload.pk: payload
        for payload in RecordPayload.objects.filter(pk__in=[row.pk for row in rows]).only(*columns)
    }
    return [_subject(row, payloads.get(row.pk), with_content) for row in rows]


def _subject(row: InferenceRecord, payload: RecordPayload | None, with_content: bool) -> Subject:
    model = row.model_version
    fingerprint = None
    if payload is not None and payload.fingerprint is not None and model.fingerprint_dimension:
        fingerprint = fingerprints.unpack(bytes(payload.fingerprint), model.fingerprint_dimension)
    return Subject(
        model=model.name,
        signals=row.signals,
        context=row.context,
        fingerprint=fingerprint,
        record=_record(row, payload) if with_content and payload is not None else None,
    )


def _record(row: InferenceRecord, payload: RecordPayload) -> wire.Record:
    model = row.model_version
    return wire.Record(
        external_id=row.external_id,
        occurred_at=row.occurred_at,
        model=wire.Model(name=model.name, version=model.version),
        input=msgspec.json.decode(payload.input, type=wire.Content),
        output=msgspec.json.decode(payload.output, type=wire.Content),
    )
