"""A dataset's rows as Arrow record batches: one COPY out of the snapshot, parsed by Arrow.

No Python object is made per cell. A batch ends at a number of rows or of bytes, so that memory
stays flat however many rows there are and however long their content is.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from io import BytesIO
from itertools import islice
from typing import Any

import pyarrow as pa
from django.db.models import QuerySet
from psycopg.abc import Buffer
from pyarrow import csv

from review.datasets.columns import columns_of
from review.datasets.snapshot import Snapshot

BATCH_ROWS = 4_096
BATCH_BYTES = 2 << 20

# By the types of columns.py. What COPY writes as JSON, UUID or text is text.
ARROW = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("ms", tz="UTC"),
}
_MICROSECONDS = pa.timestamp("us", tz="UTC")  # as PostgreSQL has them
# What is read and is no column of the files, or comes with another type than it leaves with.
_READ_ONLY = {
    "position": pa.int64(),
    "gain": pa.float64(),
    "form": pa.int64(),
    "violation": pa.bool_(),
    "is_certain_too": pa.bool_(),
    "held_out": pa.bool_(),
    "may_train": pa.bool_(),
}


def batches(
    snapshot: Snapshot, found: QuerySet[Any], paths: dict[str, str]
) -> Iterator[pa.RecordBatch]:
    """The rows in order; column `name` holds what stands at `paths[name]`.

    One batch is read ahead in a thread, since PostgreSQL has only a socket's buffer of room and
    would stand still while a batch is worked on.
    """
    types = read_types(paths)
    lines = snapshot.lines(found, *paths.values())
    with closing(lines), ThreadPoolExecutor(1) as ahead:
        coming = ahead.submit(_take, lines)
        while data := coming.result():
            coming = ahead.submit(_take, lines)
            yield _parse(data, types)


def _take(lines: Iterator[Buffer]) -> bytes:
    """The lines of one batch, empty after the last."""
    with BytesIO() as buffer:
        for line in islice(lines, BATCH_ROWS):
            if buffer.write(line) and buffer.tell() >= BATCH_BYTES:
                break
        return buffer.getvalue()


def read_types(paths: dict[str, str]) -> dict[str, pa.DataType]:
    """By column the type that it is read with."""
    told = {column.name: column.type for column in columns_of("raw", "text")}
    types = {name: ARROW[told.get(name, "text")] for name in paths} | {
        name: type_ for name, type_ in _READ_ONLY.items() if name in paths
    }
    return {name: _MICROSECONDS if t == ARROW["time"] else t for name, t in types.items()}


def _parse(data: bytes, types: dict[str, pa.DataType]) -> pa.RecordBatch:
    """Lines of COPY's CSV, where an empty cell is NULL and a quoted empty one is the empty text."""
    table = csv.read_csv(
        pa.BufferReader(data),
        read_options=csv.ReadOptions(
            column_names=list(types), block_size=len(data) + 1, use_threads=False
        ),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=csv.ConvertOptions(
            column_types=types,
            null_values=[""],
            true_values=["t"],
            false_values=["f"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )
    return table.combine_chunks().to_batches()[0]
