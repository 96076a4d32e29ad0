"""Writers of the three formats: one file each, streamed, flushed to the disk at the end."""

import hashlib
import os
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from oversight.lib import codec
from review.datasets.cells import Pieces, csv_pieces, json_pieces
from review.datasets.columns import Column
from review.datasets.reading import ARROW

GROUP_ROWS = 32_768
GROUP_BYTES = 16 << 20


class DigestedFile:
    """A new file whose size and SHA-256 are known once it is written; on the disk when closed."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)
        self._digest = hashlib.sha256()
        self.n_bytes = 0

    @property
    def closed(self) -> bool:
        return self._file.closed

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self._digest.update(view)
        done = 0
        while done < view.nbytes:  # an unbuffered file may take a part
            done += self._file.write(view[done:])
        self.n_bytes += done
        return done

    def tell(self) -> int:
        return self.n_bytes

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        os.fsync(self._file.fileno())
        self._file.close()


class Writer(Protocol):
    n_rows: int
    file: DigestedFile

    def write(self, rows: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class _TextWriter:
    """What the two text formats share."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        self.columns = columns
        self.n_rows = 0
        self.file = DigestedFile(path)

    def _write_joined(self, pieces: Pieces, n_rows: int) -> None:
        """All pieces of a row one after the other, row by row. Joined by Arrow as one buffer."""
        parts: Pieces = []
        for piece in pieces:
            if parts and isinstance(piece, str) and isinstance(parts[-1], str):
                parts[-1] += piece
            else:
                parts.append(piece)
        if len(parts) == 1 and isinstance(parts[0], str):  # every column is the same throughout
            self.file.write((parts[0] * n_rows).encode())
        else:
            _, _, data = pc.binary_join_element_wise(*parts, "").buffers()
            self.file.write(data)
        self.n_rows += n_rows

    def close(self) -> None:
        self.file.close()


class JsonLinesWriter(_TextWriter):
    """One JSON object a line, every column in every object."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        names = [codec.encode(column.name).decode() for column in columns]
        self._heads = [f"{',' if index else '{'}{name}:" for index, name in enumerate(names)]

    def write(self, rows: pa.RecordBatch) -> None:
        pieces: Pieces = []
        for head, column in zip(self._heads, self.columns, strict=True):
            pieces += [head, *json_pieces(rows[column.name])]
        self._write_joined([*pieces, "}\n"], rows.num_rows)


class CsvWriter(_TextWriter):
    """RFC 4180 in UTF-8; text cells that a spreadsheet would run get a leading apostrophe."""

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        super().__init__(path, columns)
        self.file.write((",".join(column.name for column in columns) + "\r\n").encode())

    def write(self, rows: pa.RecordBatch) -> None:
        pieces: Pieces = []
        for column in self.columns:
            pieces += [*csv_pieces(rows[column.name]), ","]
        self._write_joined([*pieces[:-1], "\r\n"], rows.num_rows)


class ParquetWriter:
    """Row groups of many batches, zstd: what the writer keeps of each group adds up until the end.

    A group ends at a number of rows or of bytes, as a batch does.
    """

    def __init__(self, path: Path, columns: Sequence[Column]) -> None:
        schema = pa.schema([pa.field(c.name, ARROW[c.type]) for c in columns])
        self.n_rows = 0
        self.file = DigestedFile(path)
        self.parquet = pq.ParquetWriter(self.file, schema, compression="zstd")
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = self._waiting_bytes = 0

    def write(self, rows: pa.RecordBatch) -> None:
        self._waiting.append(rows)
        self.n_rows += rows.num_rows
        self._waiting_rows += rows.num_rows
        self._waiting_bytes += rows.nbytes
        if self._waiting_rows >= GROUP_ROWS or self._waiting_bytes >= GROUP_BYTES:
            self._end_group()

    def close(self) -> None:
        if self._waiting:
            self._end_group()
        self.parquet.close()
        self.file.close()

    def _end_group(self) -> None:
        table = pa.Table.from_batches(self._waiting)
        self._waiting = []
        self._waiting_rows = self._waiting_bytes = 0
        self.parquet.write_table(table, row_group_size=table.num_rows)


_WRITERS: dict[str, type[JsonLinesWriter | CsvWriter | ParquetWriter]] = {
    "jsonl": JsonLinesWriter,
    "csv": CsvWriter,
    "parquet": ParquetWriter,
}


def open_writer(format_name: str, path: Path, columns: Sequence[Column]) -> Writer:
    """A writer of a new file at `path`."""
    return _WRITERS[format_name](path, columns)


def write_text(path: Path, text: str) -> DigestedFile:
    """A small file, on the disk when this returns."""
    with closing(DigestedFile(path)) as file:
        file.write(text.encode())
    return file


def fact_of(path: Path, file: DigestedFile, n_rows: int | None = None) -> dict[str, Any]:
    """Name, size, SHA-256 and rows of a written file, as the manifest lists it.

    Args:
        path: below the dataset's folder.
    """
    fact = {"path": path.as_posix(), "bytes": file.n_bytes, "sha256": file.sha256}
    return fact if n_rows is None else {**fact, "rows": n_rows}
