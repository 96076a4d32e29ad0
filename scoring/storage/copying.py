"""Writing records: binary COPY, with a staged way for the rare race on the same identity."""

from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from django.db import IntegrityError, connection, transaction

RECORD_COLUMNS = {
    "id": "uuid",
    "project_id": "int8",
    "batch_id": "int8",
    "model_version_id": "int8",
    "scorer_version_id": "int8",
    "external_id": "varchar",
    "occurred_at": "timestamptz",
    "region": "varchar",
    "context": "jsonb",
    "signals": "jsonb",
    "raw": "float8",
    "score": "float8",
    "p_violation": "float8",
    "weight": "float8",
    "tier": "int2",
    "action": "int2",
    "held_out": "bool",
    "may_review": "bool",
    "may_train": "bool",
    "consent_basis": "varchar",
    "conversation_id": "varchar",
    "subject_id": "varchar",
    "group_hash": "bytea",
    "content_hash": "bytea",
}
PAYLOAD_COLUMNS = {
    "id": "uuid",
    "input": "text",
    "output": "text",
    "fingerprint": "bytea",
    "reasons": "jsonb",
    "intervention": "jsonb",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One record ready to store: the values of both tables in the order of their columns."""

    id: UUID
    occurred_at: datetime
    record: tuple[Any, ...]
    payload: tuple[Any, ...]


def store(rows: Sequence[Row]) -> set[UUID]:
    """Store rows in the surrounding transaction; returns the ids that were new.

    The caller has looked up which ids exist, so all rows are new but for a race: then the COPY of
    the savepoint fails as a whole and the rows go through a staging table instead.

    Args:
        rows: sorted by id, without repetition, so that two batches never wait for each other in a
            circle.
    """
    try:
        with transaction.atomic():
            _copy("scoring_record", RECORD_COLUMNS, [row.record for row in rows])
            _copy("scoring_payload", PAYLOAD_COLUMNS, [row.payload for row in rows])
        return {row.id for row in rows}
    except IntegrityError:
        with transaction.atomic():
            return _store_staged(rows)


def _store_staged(rows: Sequence[Row]) -> set[UUID]:
    with connection.cursor() as cursor:
        for table in ("scoring_record", "scoring_payload"):
            cursor.execute(
                f"CREATE TEMP TABLE staged_{table} (LIKE {table} INCLUDING DEFAULTS) ON COMMIT DROP"
            )
        _copy("staged_scoring_record", RECORD_COLUMNS, [row.record for row in rows])
        _copy("staged_scoring_payload", PAYLOAD_COLUMNS, [row.payload for row in rows])
        cursor.execute(
            "INSERT INTO scoring_record SELECT * FROM staged_scoring_record ORDER BY id"
            " ON CONFLICT (id) DO NOTHING RETURNING id"
        )
        new = {row[0] for row in cursor.fetchall()}
        cursor.execute(
            "INSERT INTO scoring_payload SELECT * FROM staged_scoring_payload"
            " WHERE id = ANY(%s) ORDER BY id",
            [list(new)],
        )
        for table in ("scoring_record", "scoring_payload"):
            cursor.execute(f"DROP TABLE staged_{table}")
    return new


def _copy(table: str, columns: dict[str, str], rows: Sequence[tuple[Any, ...]]) -> None:
    names = ", ".join(columns)
    with connection.cursor() as cursor, _django_errors():
        raw: psycopg.Cursor[Any] = cursor.cursor
        with raw.copy(f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.set_types(list(columns.values()))
            for row in rows:
                copy.write_row(row)


@contextmanager
def _django_errors() -> Any:
    # COPY bypasses Django's cursor wrapper, and with it the translation of errors.
    with connection.wrap_database_errors:
        yield
