"""Writing records: binary COPY, with a staged way for the rare race on the same identity."""

from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import psycopg
from django.db import connection

from scoring.storage.binary import Layout

RECORDS = Layout(
    table="scoring_record",
    fixed={
        "id": "V16",
        "project_id": ">i8",
        "batch_id": ">i8",
        "model_version_id": ">i8",
        "scorer_version_id": ">i8",
        "occurred_at": ">i8",
        "raw": ">f8",
        "score": ">f8",
        "weight": ">f8",
        "tier": ">i2",
        "action": ">i2",
        "held_out": "u1",
        "may_review": "u1",
        "may_train": "u1",
        "group_hash": "V8",
        "content_hash": "V32",
    },
    varying=(
        "p_violation",
        "external_id",
        "region",
        "context",
        "signals",
        "consent_basis",
        "conversation_id",
        "subject_id",
    ),
)
PAYLOADS = Layout(
    table="scoring_payload",
    fixed={"id": "V16"},
    varying=("input", "output", "fingerprint", "reasons", "intervention"),
)


@dataclass(frozen=True, slots=True)
class Rows:
    """Records ready to store: their ids, and both tables' rows as bytes of a COPY.

    Sorted by id, without repetition, so that two batches never wait for each other in a circle.
    """

    ids: tuple[bytes, ...]
    records: bytes
    payloads: bytes


def store(rows: Rows) -> set[bytes]:
    """Store rows in the surrounding transaction; returns the ids that were new.

    The caller has looked up which ids exist, so all rows are new but for a race.

    Raises:
        IntegrityError: one is not. The transaction is lost; a new one goes by `store_staged`.
    """
    _copy(RECORDS.copy_statement, rows.records)
    _copy(PAYLOADS.copy_statement, rows.payloads)
    return set(rows.ids)


def store_staged(rows: Rows) -> set[bytes]:
    """The same by way of a staging table: whoever else stored a row first has it."""
    with connection.cursor() as cursor:
        for layout in (RECORDS, PAYLOADS):
            cursor.execute(
                f"CREATE TEMP TABLE staged_{layout.table}"
                f" (LIKE {layout.table} INCLUDING DEFAULTS) ON COMMIT DROP"
            )
        _copy(RECORDS.copy_into("staged_scoring_record"), rows.records)
        _copy(PAYLOADS.copy_into("staged_scoring_payload"), rows.payloads)
        cursor.execute(
            "INSERT INTO scoring_record SELECT * FROM staged_scoring_record ORDER BY id"
            " ON CONFLICT (id) DO NOTHING RETURNING id"
        )
        new: list[UUID] = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            "INSERT INTO scoring_payload SELECT * FROM staged_scoring_payload"
            " WHERE id = ANY(%s) ORDER BY id",
            [new],
        )
        for layout in (RECORDS, PAYLOADS):
            cursor.execute(f"DROP TABLE staged_{layout.table}")
    return {key.bytes for key in new}


def _copy(statement: str, rows: bytes) -> None:
    with connection.cursor() as cursor, _django_errors():
        raw: psycopg.Cursor[Any] = cursor.cursor
        with raw.copy(statement.encode()) as copy:
            copy.write(rows)


@contextmanager
def _django_errors() -> Any:
    # COPY bypasses Django's cursor wrapper, and with it the translation of errors.
    with connection.wrap_database_errors:
        yield
