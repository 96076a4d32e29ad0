"""Texts of many records as one array of bytes: what of them can be counted without a loop.

A figure here may err on the side that its docstring names, never on the other, so that a screen
built on it settles a check or leaves it open. Long texts are left out, and marked so.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from scoring.core.invariants.record import WORD_TABLE, RecordView, TextView

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

# A column of MAX_RECORDS such texts is a megabyte, and its words some twenty.
MAX_RECORDS = 128
MAX_CHARS = 8_192

# No byte of UTF-8, so it stands in no text.
_BREAK = b"\xff"
_SPACE = 32
_TABLE = WORD_TABLE[:255] + bytes([_SPACE])
_LOAD = 8
_PREFIX_MASKS: Hashes = np.array([(1 << 8 * size) - 1 for size in range(_LOAD + 1)], np.uint64)
# Odd, with bits all over: the first primes of xxHash64 (Collet, 2012).
_ODD = tuple(
    np.uint64(prime) for prime in (0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9)
)
# Distinct n-grams are counted for n up to this; more words only add a few to the count.
_COUNTED = 3
# A record's number stands above this many bits of its n-grams' hashes while they are sorted.
_HASH_BITS = 57


class Words:
    """The words of the texts of a column, as `Window.words` has them.

    Attributes
    ----------
    count : int64, shape (n_records,), words of each text.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        joined = _BREAK + _BREAK.join(texts) + _BREAK * (_LOAD + 1)
        folded = joined.translate(_TABLE)
        inside = np.frombuffer(folded, np.uint8) != _SPACE
        edges = np.flatnonzero(inside[1:] != inside[:-1]) + 1
        starts, ends = edges[::2], edges[1::2]
        bounds = np.cumsum([1, *(len(text) + 1 for text in texts)], dtype=np.int64)
        self._places: Ints = np.searchsorted(starts, bounds)
        self.count: Ints = np.diff(self._places)
        loads = np.ndarray((len(folded) - _LOAD + 1,), "<u8", folded, strides=(1,))
        self._hashes = _hashes(loads[starts], ends - starts)
        self._grams: dict[int, Hashes] = {1: self._hashes}
        self._distinct: dict[int, Ints] = {}

    def grams(self, n: int) -> Hashes:
        """Hashes of the n words from each word on, shape (n_words - n + 1,); some span texts.

        Equal n-grams have equal hashes; unequal ones may.
        """
        known = self._grams.get(n)
        if known is None:
            shorter = self.grams(n - 1)[: max(0, len(self._hashes) - n + 1)]
            known = self._grams[n] = shorter * _ODD[0] + self._hashes[n - 1 :]
        return known

    def distinct(self, n: int) -> Ints:
        """A floor of the distinct n-grams of each text, shape (n_records,), at least 0.

        Each distinct shorter gram begins a distinct n-gram, but for those that stand only in the
        last places.
        """
        counted = min(n, _COUNTED)
        floor = self._distinct.get(counted)
        if floor is None:
            floor = self._distinct[counted] = self._count_distinct(counted)
        return np.maximum(floor - (n - counted), 0)

    def _count_distinct(self, n: int) -> Ints:
        """Distinct hashes of n-grams, less n - 1 for those that reach into the next text."""
        grams = self.grams(n)
        owner = np.arange(len(self.count), dtype=np.uint64) << np.uint64(_HASH_BITS)
        tags = np.repeat(owner, self.count)[: len(grams)]
        tags |= grams >> np.uint64(64 - _HASH_BITS)
        tags.sort()
        fresh = np.flatnonzero(tags[1:] != tags[:-1]) + 1
        # Each text that has a gram also has a first one, which differs from all before it.
        later = np.searchsorted(fresh, self._places, side="left")
        return np.maximum(np.diff(later) - (n - 1), 0)

    def probes(self, n: int, stride: int) -> tuple[Ints, Ints]:
        """Indexes of every `stride`-th word of each text that begins n words of it.

        Returns
        -------
        indexes among all words, and the text of each; int64, equal shapes.
        """
        many = np.maximum((self.count - n) // stride + 1, 0)
        owner = np.repeat(np.arange(len(many)), many)
        before = np.cumsum(many) - many
        return (np.arange(len(owner)) - before[owner]) * stride + self._places[owner], owner


class Column:
    """One target's texts over a batch of records.

    Attributes
    ----------
    whole : bool, shape (n_records,), whether the text is in the arrays: not longer than
        `MAX_CHARS`. Figures of the others mean nothing.
    ascii : bool, shape (n_records,).
    chars : int64, shape (n_records,), length of each text, of the long ones too.
    """

    def __init__(self, views: Sequence[TextView]) -> None:
        self._views = views
        self.chars: Ints = np.array([len(view.text) for view in views], np.int64)
        self.whole: Bools = self.chars <= MAX_CHARS
        self.ascii: Bools = np.array([view.windows[0].ascii for view in views], np.bool_)
        texts = [
            view.windows[0].data if whole else b""
            for view, whole in zip(views, self.whole.tolist(), strict=True)
        ]
        self.bytes: Ints = np.array([len(text) for text in texts], np.int64)
        self._texts = texts
        self._joined = _BREAK.join(texts) + _BREAK
        self._bounds = np.cumsum([0, *(self.bytes + 1)], dtype=np.int64)

    @functools.cached_property
    def newlines(self) -> Ints:
        """Line feeds of each text, shape (n_records,)."""
        places = np.flatnonzero(np.frombuffer(self._joined, np.uint8) == ord("\n"))
        return np.diff(np.searchsorted(places, self._bounds))

    def contains(self, table: bytes) -> Bools:
        """Whether a text has a byte that `table`, of 256 bytes, maps to 1 and not to 0."""
        marks = np.frombuffer(self._joined.translate(table), np.uint8)
        return np.bitwise_or.reduceat(marks, self._bounds[:-1]).astype(np.bool_)

    @functools.cached_property
    def words(self) -> Words:
        texts = [
            text if ascii_only or not text else view.windows[0].folded_data
            for text, ascii_only, view in zip(
                self._texts, self.ascii.tolist(), self._views, strict=True
            )
        ]
        return Words(texts)


class Batch:
    """The columns of a batch of records, made on first use."""

    def __init__(self, records: Sequence[RecordView]) -> None:
        if len(records) > MAX_RECORDS:
            raise ValueError(f"a batch has at most {MAX_RECORDS} records")
        self._records = records
        self._columns: dict[str, Column] = {}
        self._distinct: dict[str, tuple[Column, Ints]] = {}

    def __len__(self) -> int:
        return len(self._records)

    def column(self, target: str) -> Column:
        known = self._columns.get(target)
        if known is None:
            known = self._columns[target] = Column([one.view(target) for one in self._records])
        return known

    def distinct(self, target: str) -> tuple[Column, Ints]:
        """A column of the different texts of a target, and each record's place in it.

        System messages repeat from record to record; each is taken apart once.
        """
        known = self._distinct.get(target)
        if known is None:
            views: dict[str, TextView] = {}
            numbers: dict[str, int] = {}
            owner = []
            for record in self._records:
                view = record.view(target)
                number = numbers.setdefault(view.text, len(numbers))
                views.setdefault(view.text, view)
                owner.append(number)
            known = Column(list(views.values())), np.array(owner, np.int64)
            self._distinct[target] = known
        return known


def byte_table(chosen: Iterable[int]) -> bytes:
    """A table for `Column.contains`: 1 for the bytes chosen, 0 for all others."""
    table = bytearray(256)
    for code in chosen:
        table[code] = 1
    return bytes(table)


def _hashes(loads: Hashes, lengths: Ints) -> Hashes:
    """Hashes of words by their length and first eight bytes: equal words have equal ones."""
    prefix = loads & _PREFIX_MASKS[np.minimum(lengths, _LOAD)]
    mixed = prefix * _ODD[0] + lengths.astype(np.uint64) * _ODD[1]
    mixed ^= mixed >> np.uint64(32)
    return mixed * _ODD[2]
