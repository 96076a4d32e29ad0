"""Writers of the three formats: one file each, streamed, flushed to the disk at the end."""

import csv
import hashlib
import io
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.parquet as pq

from oversight.lib import codec
from oversight.lib.clock import rfc3339
from review.datasets.columns import Column

# A spreadsheet takes a cell that begins so for a formula.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_READ = 1 << 20


class Writer(Protocol):
    n_rows: int

    def write(self, rows: Sequence[dict[str, Any]]) -> None: ...
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

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        for row in rows:
            told = {column.name: _plain(row.get(column.name)) for column in self.columns}
            self.file.write(codec.encode(told) + b"\n")
        self.n_rows += len(rows)


class CsvWriter(_TextWriter):
    """RFC 4180 in UTF-8; text cells that a spreadsheet would run get a leading apostrophe."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        self._write_lines([[column.name for column in columns]])

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        self._write_lines([_cell(row.get(c.name), c) for c in self.columns] for row in rows)
        self.n_rows += len(rows)

    def _write_lines(self, lines: Iterable[list[str]]) -> None:
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\r\n").writerows(lines)
        self.file.write(buffer.getvalue().encode())


class ParquetWriter:
    """One row group per chunk, zstd."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.schema = pa.schema([pa.field(c.name, _ARROW[c.type]) for c in columns])
        self.n_rows = 0
        self.file = path.open("wb")
        self.parquet = pq.ParquetWriter(self.file, self.schema, compression="zstd")

    def write(self, rows: Sequence[dict[str, Any]]) -> None:
        self.parquet.write_table(pa.Table.from_pylist(list(rows), schema=self.schema))
        self.n_rows += len(rows)

    def close(self) -> None:
        self.parquet.close()
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


_ARROW = {
    "text": pa.string(),
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "time": pa.timestamp("ms", tz="UTC"),
}
_WRITERS: dict[str, type[JsonLinesWriter | CsvWriter | ParquetWriter]] = {
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
}


def open_writer(format_name: str, path: Path, columns: Sequence[Column]) -> Writer:
    """A writer of a new file at `path`."""
    return _WRITERS[format_name](path, columns)


def defuse(text: str) -> str:
    """The text as a cell that no spreadsheet runs."""
    return f"'{text}" if text.startswith(_FORMULA) else text


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


def _plain(value: Any) -> Any:
    return rfc3339(value) if isinstance(value, datetime) else value


def _cell(value: Any, column: Column) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    return defuse(value) if column.type == "text" else str(value)
