"""PostgreSQL's binary COPY format, written by columns.

A row is the number of its fields, then each field as its length and its bytes. Fields of fixed size
are laid out for all rows at once, as one array of structures; the others follow.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)  # no flags, no extension
TRAILER = b"\xff\xff"
NULL = b"\xff\xff\xff\xff"
_JSONB_VERSION = b"\x01"
_length = struct.Struct(">i").pack
_float8 = struct.Struct(">id").pack

# Milliseconds from 1970 to 2000, from which PostgreSQL counts its microseconds.
POSTGRES_EPOCH_MS = 946_684_800_000


@dataclass(frozen=True)
class Layout:
    """A table's columns, those of fixed size and never null first.

    fixed: name -> numpy type, big-endian: `>i8`, `>f8`, `V16`, and `u1` for a boolean.
    varying: names; their fields come ready-made from the functions below.
    """

    table: str
    fixed: Mapping[str, str]
    varying: Sequence[str]

    @property
    def copy_statement(self) -> str:
        return self.copy_into(self.table)

    def copy_into(self, table: str) -> str:
        names = ", ".join([*self.fixed, *self.varying])
        return f"COPY {table} ({names}) FROM STDIN (FORMAT BINARY)"

    def rows(
        self, n: int, fixed: Mapping[str, Any], varying: Mapping[str, Iterable[bytes]]
    ) -> bytes:
        """The bytes of a whole COPY.

        Args:
            fixed: name -> one value, or n of them; bytes of a `V` column as one uint8 array (n, k).
            varying: name -> n fields.
        """
        records = np.zeros(n, dtype=self._dtype())
        records["n_fields"] = len(self.fixed) + len(self.varying)
        for name, kind in self.fixed.items():
            size = np.dtype(kind).itemsize
            records[f"{name} length"] = size
            records[name] = (
                np.ascontiguousarray(fixed[name]).view(kind).reshape(n)
                if kind.startswith("V")
                else fixed[name]
            )
        heads, width = records.tobytes(), records.dtype.itemsize
        columns = (varying[name] for name in self.varying)
        parts = [HEADER]
        for i, fields in enumerate(zip(*columns, strict=True)):
            parts.append(heads[width * i : width * (i + 1)])
            parts += fields
        parts.append(TRAILER)
        return b"".join(parts)

    def _dtype(self) -> np.dtype[Any]:
        fields: list[tuple[str, str]] = [("n_fields", ">i2")]
        for name, kind in self.fixed.items():
            fields += [(f"{name} length", ">i4"), (name, kind)]
        return np.dtype(fields)


def raw(values: Iterable[bytes | None]) -> list[bytes]:
    """Fields of bytes as they are: text that is UTF-8 already, and bytea."""
    return [NULL if value is None else _length(len(value)) + value for value in values]


def text(values: Iterable[str]) -> list[bytes]:
    """Fields of text; few different ones are encoded once each."""
    seen: dict[str, bytes] = {}
    fields = []
    for value in values:
        field = seen.get(value)
        if field is None:
            encoded = value.encode()
            field = seen[value] = _length(len(encoded)) + encoded
        fields.append(field)
    return fields


def jsonb(values: Iterable[bytes | None]) -> list[bytes]:
    """Fields of jsonb, from JSON in UTF-8."""
    return [
        NULL if value is None else _length(len(value) + 1) + _JSONB_VERSION + value
        for value in values
    ]


def float8(values: Iterable[float | None]) -> list[bytes]:
    """Fields of double precision that may be null."""
    return [NULL if value is None else _float8(8, value) for value in values]


def timestamps(moments_ms: Any) -> Any:
    """Values of timestamptz, int64 (n,), from whole milliseconds since 1970."""
    return (np.asarray(moments_ms, dtype=np.int64) - POSTGRES_EPOCH_MS) * 1000
