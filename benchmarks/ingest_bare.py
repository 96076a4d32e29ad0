"""What the ingest benchmark compares with: PostgreSQL fed by a bare client on the same server.

One table holds what was sent, under a primary key, in a database of its own: no batches, windows,
audit, scores, reasons, hashes or segments. Fingerprints are pgvector's half-precision vectors.
"""

import struct
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
import psycopg
from psycopg import sql
from psycopg.adapt import Dumper
from psycopg.pq import Format
from psycopg.types import TypeInfo
from psycopg.types.json import Jsonb

from benchmarks.ingest_workload import N_DIMENSIONS

_TABLE = """
CREATE TABLE IF NOT EXISTS bare (
    id uuid PRIMARY KEY, external_id text NOT NULL, occurred_at timestamptz NOT NULL,
    model text NOT NULL, conversation_id text NOT NULL, input text NOT NULL, output text NOT NULL,
    signals jsonb NOT NULL, context jsonb NOT NULL, fingerprint halfvec(256)
)
"""
_COLUMNS = (
    "id, external_id, occurred_at, model, conversation_id, input, output, signals, context,"
    " fingerprint"
)
_TYPES = ("uuid", "text", "timestamptz", "text", "text", "text", "text", "jsonb", "jsonb")
_HALFVEC_HEADER = struct.pack(">HH", N_DIMENSIONS, 0)


class _Model(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    version: str
    decoder: dict[str, float] = {}


class _Fingerprint(msgspec.Struct):
    dtype: Literal["float32"]
    data: bytes


class _Record(msgspec.Struct, forbid_unknown_fields=True):
    """The record, typed as tightly as the product types it."""

    external_id: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    occurred_at: Annotated[datetime, msgspec.Meta(tz=True)]
    model: _Model
    input: str
    output: str
    signals: dict[str, float] = {}
    context: dict[str, str | float | bool] = {}
    conversation_id: str = ""
    fingerprint: _Fingerprint | None = None


class _Body(msgspec.Struct):
    records: list[_Record]


_decoder = msgspec.json.Decoder(_Body)
_encoder = msgspec.json.Encoder()
Row = tuple[Any, ...]


class Bare:
    """A connection to the comparison's own database on the product's server."""

    def __init__(self, url: str) -> None:
        with (
            psycopg.connect(url, autocommit=True) as product,
        ):
            exists = product.execute("SELECT 1 FROM pg_database WHERE datname = 'bare'").fetchone()
            if exists is None:
                product.execute("CREATE DATABASE bare")
        self._connection = psycopg.connect(url, dbname="bare")
        self._connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
        self._connection.execute(_TABLE)
        self._connection.commit()
        self._halfvec = _register_halfvec(self._connection)

    def empty(self) -> None:
        self._connection.execute("TRUNCATE bare")
        self._connection.commit()

    def count(self) -> int:
        found = self._connection.execute("SELECT count(*) FROM bare").fetchone()
        self._connection.commit()
        return int(found[0]) if found else 0

    def copy(self, rows: Sequence[Row]) -> None:
        """One commit: the rows by binary COPY, straight into the table."""
        self._copy_into("bare", rows)
        self._connection.commit()

    def decode_and_stage(self, body: bytes) -> None:
        """One commit: typed decode of a body, then COPY to a staging table and an insert."""
        rows = rows_of(body)
        self._connection.execute(
            "CREATE TEMP TABLE IF NOT EXISTS staged (LIKE bare) ON COMMIT DELETE ROWS"
        )
        self._copy_into("staged", rows)
        self._connection.execute("INSERT INTO bare SELECT * FROM staged ON CONFLICT DO NOTHING")
        self._connection.commit()

    def close(self) -> None:
        self._connection.close()

    def _copy_into(self, table: str, rows: Sequence[Row]) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
            sql.Identifier(table), sql.SQL(_COLUMNS)
        )
        with self._connection.cursor().copy(statement) as copy:
            copy.set_types([*_TYPES, self._halfvec])
            for row in rows:
                copy.write_row(row)


def rows_of(body: bytes) -> list[Row]:
    """The rows of a body, decoded and typed."""
    records = _decoder.decode(body).records
    halves = [record.fingerprint.data for record in records if record.fingerprint is not None]
    packed = iter(_halfvecs(halves))
    return [
        (
            uuid.uuid5(uuid.NAMESPACE_OID, record.external_id),
            record.external_id,
            record.occurred_at,
            record.model.name,
            record.conversation_id,
            record.input,
            record.output,
            Jsonb(record.signals, dumps=_encoder.encode),
            Jsonb(record.context, dumps=_encoder.encode),
            None if record.fingerprint is None else next(packed),
        )
        for record in records
    ]


class _Half(bytes):
    """A half-precision vector in PostgreSQL's binary form."""


def _halfvecs(given: Sequence[bytes]) -> Iterator[_Half]:
    matrix = np.frombuffer(b"".join(given), dtype="<f4").reshape(-1, N_DIMENSIONS)
    data, size = matrix.astype(">f2").tobytes(), 2 * N_DIMENSIONS
    for i in range(len(given)):
        yield _Half(_HALFVEC_HEADER + data[size * i : size * (i + 1)])


def _register_halfvec(connection: psycopg.Connection[Any]) -> int:
    info = TypeInfo.fetch(connection, "halfvec")
    connection.commit()
    assert info is not None
    info.register(connection)

    class HalfDumper(Dumper):
        format = Format.BINARY
        oid = info.oid

        def dump(self, obj: Any) -> Any:
            return bytes(obj)

    connection.adapters.register_dumper(_Half, HalfDumper)
    return info.oid


@contextmanager
def bare(url: str) -> Iterator[Bare]:
    made = Bare(url)
    try:
        yield made
    finally:
        made.close()
