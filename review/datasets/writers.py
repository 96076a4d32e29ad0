"""Writers of the three formats: one file each, streamed, flushed to the disk at the end."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oversight.lib import codec
from review.datasets.cells import csv_cells, json_cells
from review.datasets.columns import Column
from review.datasets.reading import ARROW

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

    def _write_joined(self, heads: Sequence[str], cells: Sequence[pa.Array], end: str) -> None:
        """One line a row: each cell after its head, then the end. Joined by Arrow as one buffer."""
        parts = [part for pair in zip(heads, cells, strict=True) for part in pair]
        lines = pc.binary_join_element_wise(*parts, end, "")
        _, _, data = lines.buffers()
        self.file.write(data)
        self.n_rows += len(lines)

    def close(self) -> None:
        self.file.flush()
        os.fsync(self.file.fileno())
        self.file.close()


class JsonLinesWriter(_TextWriter):
    """One JSON object a line, every column in every object."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        names = [codec.encode(column.name).decode() for column in columns]
        self._heads = [f"{',' if index else '{'}{name}:" for index, name in enumerate(names)]

    def write(self, rows: pa.RecordBatch) -> None:
        cells = [json_cells(rows[column.name]) for column in self.columns]
        self._write_joined(self._heads, cells, "}\n")


class CsvWriter(_TextWriter):
    """RFC 4180 in UTF-8; text cells that a spreadsheet would run get a leading apostrophe."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        self._heads = ["", *("," for _ in columns[1:])]
        self.file.write((",".join(column.name for column in columns) + "\r\n").encode())

    def write(self, rows: pa.RecordBatch) -> None:
        cells = [csv_cells(rows[column.name]) for column in self.columns]
        self._write_joined(self._heads, cells, "\r\n")


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
