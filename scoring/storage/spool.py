"""Columns of numbers on disk while a round is drawn: written once, read chunk by chunk.

Plain files without a name: the system removes them with the process, however it ends.
"""

import tempfile
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

CHUNK_ROWS = 1 << 16


class Column:
    """A column of one fixed numpy type; rows are counted from 0."""

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the column
        self._n = 0

    def __len__(self) -> int:
        return self._n

    def close(self) -> None:
        self._file.close()

    def append(self, values: npt.NDArray[Any]) -> None:
        self._file.seek(0, 2)
        self._file.write(np.ascontiguousarray(values, dtype=self.dtype).tobytes())
        self._n += len(values)

    def chunks(self) -> Iterator[npt.NDArray[Any]]:
        """All rows in order, at most `CHUNK_ROWS` at a time."""
        for start in range(0, self._n, CHUNK_ROWS):
            yield self.read(start, min(CHUNK_ROWS, self._n - start))

    def read(self, start: int, n: int) -> npt.NDArray[Any]:
        self._file.seek(start * self.dtype.itemsize)
        return np.frombuffer(self._file.read(n * self.dtype.itemsize), dtype=self.dtype)

    def at(self, places: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
        """The rows at a few places, in their order."""
        found = np.empty(len(places), dtype=self.dtype)
        for index, place in enumerate(places.tolist()):
            found[index] = self.read(place, 1)[0]
        return found

    def put(self, places: npt.NDArray[np.int64], values: npt.NDArray[Any]) -> None:
        """Overwrite the rows at some ascending places, which should lie close together."""
        first, last = int(places[0]), int(places[-1])
        rows = self.read(first, last - first + 1).copy()
        rows[places - first] = values
        self._file.seek(first * self.dtype.itemsize)
        self._file.write(rows.tobytes())
