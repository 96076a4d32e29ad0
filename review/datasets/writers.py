"""Writers of the three formats: one file each, streamed, flushed to the disk at the end."""

import csv
import hashlib
import io
import math
import os
from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring as _quoted
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oversight.lib import codec
from review.datasets.columns import Column
from review.datasets.reading import ARROW

# A spreadsheet takes a cell that begins so for a formula.
_FORMULA_START = r"\A[=+\-@\t\r]"
_READ = 1 << 20


class Writer(Protocol):
    n_rows: int

    def write(self, rows: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class _TextWriter:
    """What the two text formats share: a buffered file."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.n_rows = 0
        self.file = path.open("wb")

    def close(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


class JsonLinesWriter(_TextWriter):
    """One JSON object a line, every column in every object."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        names = (codec.encode(column.name).decode().replace("%", "%%") for column in columns)
        self._line = "{" + ",".join(f"{name}:%s" for name in names) + "}\n"

    def write(self, rows: pa.RecordBatch) -> None:
        cells = [_json_cells(rows[column.name]) for column in self.columns]
        line = self._line
        self.file.write("".join([line % row for row in zip(*cells, strict=True)]).encode())
        self.n_rows += rows.num_rows


class CsvWriter(_TextWriter):
    """RFC 4180 in UTF-8; text cells that a spreadsheet would run get a leading apostrophe."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        self._write_lines([[column.name for column in columns]])

    def write(self, rows: pa.RecordBatch) -> None:
        cells = [_csv_cells(rows[column.name]) for column in self.columns]
        self._write_lines(zip(*cells, strict=True))
        self.n_rows += rows.num_rows

    def _write_lines(self, lines: Iterable[Sequence[str | None]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\r\n").writerows(lines)
        self.file.write(buffer.getvalue().encode())


class ParquetWriter:
    """One row group per batch, zstd."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        schema = pa.schema([pa.field(c.name, ARROW[c.type]) for c in columns])
        self.n_rows = 0
        self.file = path.open("wb")
        self.parquet = pq.ParquetWriter(self.file, schema, compression="zstd")

    def write(self, rows: pa.RecordBatch) -> None:
        self.parquet.write_batch(rows)
        self.n_rows += rows.num_rows

    def close(self) -> None:
        self.parquet.close()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


_WRITERS: dict[str, type[JsonLinesWriter | CsvWriter | ParquetWriter]] = {
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
}


def open_writer(format_name: str, path: Path, columns: Sequence[Column]) -> Writer:
    """A writer of a new file at `path`."""
    return _WRITERS[format_name](path, columns)


def write_text(path: Path, text: str) -> None:
    """A small file, on the disk when this returns."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def sync_folder(path: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def fact_of(path: Path, root: Path, n_rows: int | None = None) -> dict[str, Any]:
    """Name, size, SHA-256 and rows of a written file, as the manifest lists it."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ):
            digest.update(block)
    fact = {
        "path": path.relative_to(root).as_posix(),
        "bytes": path.stat().st_size,
        "sha256": digest.hexdigest(),
    }
    return fact if n_rows is None else {**fact, "rows": n_rows}


def _json_cells(column: pa.Array) -> list[str]:
    """Each value as `codec.encode` writes it."""
    if pa.types.is_string(column.type):
        return ["null" if text is None else _quoted(text) for text in column.to_pylist()]
    cells = _words(column)
    if pa.types.is_timestamp(column.type):
        cells = pc.binary_join_element_wise('"', cells, '"', "")
    return pc.fill_null(cells, "null").to_pylist()


def _csv_cells(column: pa.Array) -> list[str | None]:
    if not pa.types.is_string(column.type):
        return _words(column).to_pylist()
    risky = pc.match_substring_regex(column, _FORMULA_START)
    if risky.true_count:
        column = pc.if_else(risky, pc.binary_join_element_wise("'", column, ""), column)
    return column.to_pylist()


def _words(column: pa.Array) -> pa.Array:
    """Integers, numbers, booleans and times as text; NULL stays NULL."""
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if not pa.types.is_floating(column.type):
        return column.cast(pa.string())
    # Python's shortest form, which is not Arrow's; weights and scores repeat.
    encoded = column.dictionary_encode()
    numbers = encoded.dictionary.to_pylist()
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a number of the dataset is not finite")
    return pa.array(map(repr, numbers), pa.string()).take(encoded.indices)
