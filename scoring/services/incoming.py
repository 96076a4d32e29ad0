"""Records on their way in: decoded, identified, checked and hashed, a batch at a time.

Each step looks at the records that the steps before it have left standing; a refused one keeps its
place in the answer.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np
from msgspec import UNSET, UnsetType

from oversight.lib.errors import FieldError, InvalidInput
from oversight.tenancy.models import Project
from scoring import ids
from scoring.decisions import Decision
from scoring.intake import content, decoding, fingerprints, wire
from scoring.services import model_versions

AHEAD = timedelta(hours=1)
_DAY_MS = 86_400_000
# What a datetime in UTC can hold: the years 1 to 9999.
_FIRST_MS, _LAST_MS = -62_135_596_800_000, 253_402_300_799_999
MAX_REGION = 200


@dataclass(slots=True)
class Incoming:
    """One record on its way: what came in, what was found out about it, what became of it."""

    index: int
    external_id: str | None
    status: str = "rejected"  # until shown otherwise
    errors: tuple[FieldError, ...] = ()
    record: wire.Record | None = None
    key: bytes | None = None  # the id
    occurred_at_ms: int = 0
    content_hash: bytes = b""
    group: bytes = b""
    region: str = ""
    input_json: bytes = b""
    output_json: bytes = b""
    signals_json: bytes = b""
    context_json: bytes = b""
    fingerprint: bytes | None = None
    dimension: int | None = None
    model_version: int = 0
    decision: Decision | None = None

    @property
    def id(self) -> UUID | None:
        return None if self.key is None else UUID(bytes=self.key)

    @property
    def sent(self) -> wire.Record:
        """The record of one that stands."""
        assert self.record is not None
        return self.record

    @property
    def identity(self) -> bytes:
        """The id of one that stands."""
        assert self.key is not None
        return self.key

    def refuse(self, *errors: FieldError) -> None:
        self.status, self.errors, self.record = "rejected", errors, None


def receive(project: Project, slices: Sequence[bytes]) -> list[Incoming]:
    """Everything that can be told of records before the database is asked about them."""
    batch = _decode(slices)
    _identify(project, batch)
    _check_each(_standing(batch), _check_content)
    _pack_fingerprints(batch)
    known: dict[tuple[Any, ...], int | InvalidInput] = {}
    _check_each(_standing(batch), lambda i: _resolve_model(project, i, known))
    _hash(project, batch)
    return batch


def _standing(batch: Iterable[Incoming]) -> list[Incoming]:
    return [incoming for incoming in batch if incoming.record is not None]


def _check_each(batch: Iterable[Incoming], check: Callable[[Incoming], None]) -> None:
    for incoming in batch:
        try:
            check(incoming)
        except InvalidInput as error:
            incoming.refuse(*error.errors)


def _decode(slices: Sequence[bytes]) -> list[Incoming]:
    return [
        Incoming(index, decoding.find_external_id(raw), errors=record.errors)
        if isinstance(record, InvalidInput)
        else Incoming(index, record.external_id, record=record)
        for index, (raw, record) in enumerate(
            zip(slices, decoding.decode_batch(slices), strict=True)
        )
    ]


def _identify(project: Project, batch: Sequence[Incoming]) -> None:
    """Check the times, and make the ids from them."""
    now_ms = ids.milliseconds(datetime.now(UTC))
    first_ms = now_ms - project.retention_days * _DAY_MS
    last_ms = now_ms + AHEAD // timedelta(milliseconds=1)
    for incoming in _standing(batch):
        ms = incoming.occurred_at_ms = ids.milliseconds(incoming.sent.occurred_at)
        if not first_ms <= ms <= last_ms:
            incoming.refuse(_refused_time(ms, last_ms, project.retention_days))
    standing = _standing(batch)
    moments = np.array([i.occurred_at_ms for i in standing], dtype=np.int64)
    made = ids.record_ids(project.pk, [i.sent.external_id for i in standing], moments).tobytes()
    for row, incoming in enumerate(standing):
        incoming.key = made[16 * row : 16 * row + 16]


def consented(given: bool | UnsetType, otherwise: bool) -> bool:
    """What a record says of a consent; what its project says where it is silent."""
    return otherwise if given is UNSET else given


def _refused_time(ms: int, last_ms: int, retention_days: int) -> FieldError:
    if not _FIRST_MS <= ms <= _LAST_MS:
        return FieldError("occurred_at", "out_of_range", "out of range")
    if ms > last_ms:
        return FieldError("occurred_at", "in_the_future", "more than an hour ahead of now")
    return FieldError(
        "occurred_at", "too_old", f"before the project's retention of {retention_days} days"
    )


def _check_content(incoming: Incoming) -> None:
    record = incoming.sent
    for name, value in record.context.items():
        if type(value) is int and not -(2**53) < value < 2**53:
            raise InvalidInput.at(f"context.{name}", "larger than 2⁵³", "out_of_range")
    incoming.region = str(record.context.get("region", ""))
    if len(incoming.region) > MAX_REGION:
        raise InvalidInput.at("context.region", f"longer than {MAX_REGION} characters", "length")
    content.check_images(record)
    incoming.input_json = content.encode(record.input)
    incoming.output_json = content.encode(record.output)
    incoming.signals_json = content.encode(record.signals)
    incoming.context_json = content.encode(record.context)


def _pack_fingerprints(batch: Sequence[Incoming]) -> None:
    having = [i for i in _standing(batch) if i.sent.fingerprint is not None]
    given = [i.sent.fingerprint for i in having if i.sent.fingerprint is not None]
    for incoming, packed in zip(having, fingerprints.pack_batch(given), strict=True):
        if isinstance(packed, InvalidInput):
            incoming.refuse(*packed.errors)
        else:
            incoming.fingerprint, incoming.dimension = packed


def _resolve_model(
    project: Project, incoming: Incoming, known: dict[tuple[Any, ...], int | InvalidInput]
) -> None:
    """Name the model version.

    Args:
        known: what this batch has found out, since most of its records are of few versions.
    """
    model = incoming.sent.model
    identity = (
        model.name,
        model.version,
        model.prompt_template,
        model.role_format,
        bytes(model.decoder),
    )
    if identity not in known:
        try:
            known[identity] = model_versions.resolve(project, model)
        except InvalidInput as error:
            known[identity] = error
    found = known[identity]
    if isinstance(found, InvalidInput):
        raise found
    incoming.model_version = found
    if incoming.dimension is None:
        return
    fixed = model_versions.dimension(found, incoming.dimension)
    if fixed != incoming.dimension:
        raise InvalidInput.at(
            "fingerprint",
            f"has {incoming.dimension} numbers; this model's fingerprints have {fixed}",
            "wrong_length",
        )


def _hash(project: Project, batch: Sequence[Incoming]) -> None:
    key = bytes(project.hash_key)
    for incoming in _standing(batch):
        record = incoming.sent
        incoming.content_hash = content.content_hash(
            record,
            fingerprint=incoming.fingerprint,
            input_json=incoming.input_json,
            output_json=incoming.output_json,
            signals_json=incoming.signals_json,
            context_json=incoming.context_json,
        )
        incoming.group = content.group_hash(key, content.group_text(record))
