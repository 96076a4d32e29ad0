"""Rows of one width from the server as arrays: binary COPY, chunk by chunk in bounded memory.

No Python object is made per value, so that ten million rows cost seconds and not minutes.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg
from django.db import connection

Rows = npt.NDArray[np.void]  # structured, one field per column

CHUNK_ROWS = 8192
_HEADER_BYTES = 19  # signature, flags and the length of an empty extension
_TRAILER = b"\xff\xff"


class UnevenRowsError(ValueError):
    """A value was NULL or of another width than announced."""


def read(
    query: str,
    params: Sequence[Any],
    columns: Mapping[str, str],
    *,
    chunk_rows: int = CHUNK_ROWS,
) -> Iterator[Rows]:
    """The rows of a query, in its order.

    Args:
        query: SQL whose columns are NOT NULL and have the widths of `columns`.
        params: of the query.
        columns: name -> numpy type as PostgreSQL sends it: `>f8`, `>i8`, `u1` or `V16`; `V512`
            stands for a bytea of that length.
        chunk_rows: rows per chunk; the last one may be shorter, and is left out when empty.

    Raises:
        UnevenRowsError: a value does not have its width.

    The connection is busy until the last chunk: no other query may run on it meanwhile.
    """
    layout = _layout(columns)
    size, limit = layout.itemsize, layout.itemsize * chunk_rows
    held, n_held, is_first = [], 0, True
    with connection.cursor() as cursor, connection.wrap_database_errors:
        raw: psycopg.Cursor[Any] = cursor.cursor
        statement = f"COPY ({query}) TO STDOUT (FORMAT BINARY)"
        with raw.copy(statement, list(params)) as copy:
            for data in copy:
                part = data[_HEADER_BYTES:] if is_first else data
                is_first = False
                held.append(part)
                n_held += len(part)
                if n_held >= limit:
                    whole = b"".join(held)
                    cut = n_held // size * size
                    yield _parsed(whole[:cut], layout, columns)
                    held, n_held = [whole[cut:]], n_held - cut
    rest = b"".join(held)
    rest = rest.removesuffix(_TRAILER) if len(rest) % size == len(_TRAILER) else rest
    if len(rest) % size:
        raise UnevenRowsError("a value was NULL or of another width")
    if rest:
        yield _parsed(rest, layout, columns)


def _layout(columns: Mapping[str, str]) -> np.dtype[np.void]:
    fields: list[tuple[str, str]] = [("n_fields", ">i2")]
    for name, kind in columns.items():
        fields += [(f"{name}_width", ">i4"), (name, kind)]
    return np.dtype(fields)


def _parsed(data: bytes, layout: np.dtype[np.void], columns: Mapping[str, str]) -> Rows:
    rows = np.frombuffer(data, dtype=layout)
    even = (rows["n_fields"] == len(columns)).all() and all(
        (rows[f"{name}_width"] == layout[name].itemsize).all() for name in columns
    )
    if not even:
        raise UnevenRowsError("a value was NULL or of another width")
    return rows
