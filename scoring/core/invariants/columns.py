"""Texts of many records as one array of bytes: what of them can be counted without a loop.

A figure here may err on the side that its docstring names, never on the other, so that a screen
built on it settles a check or leaves it open. Long texts are left out, and marked so.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import numpy.typing as npt

from scoring.core.invariants.folding import folds_by_case, is_western
from scoring.core.invariants.record import WORD_TABLE, RecordView

Bools = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint32]

# What a call of numpy costs is shared by so many records; more gain little.
MAX_RECORDS = 512
MAX_CHARS = 8_192
# The words of a megabyte take some twenty.
MAX_BATCH_CHARS = 1 << 20

# No byte of UTF-8, so it stands in no text.
_BREAK = b"\xff"
_NEWLINE = 10
_HEAD_BYTES = 32
# As `Window.words` folds, but that separators, the break too, are zero.
_TABLE = bytes(0 if code in (32, 255) else code for code in WORD_TABLE)
_LOAD = 8
_LOWS, _HIGHS = np.uint64(0x0101010101010101), np.uint64(0x8080808080808080)
# Odd, with bits all over: a prime of xxHash64 and two of xxHash32 (Collet, 2012).
_MIX64 = np.uint64(0x9E3779B185EBCA87)
_MIX32, _JOIN32 = np.uint32(0x85EBCA77), np.uint32(0x9E3779B1)
# Distinct n-grams are counted for n up to this; more words only add a few to the count.
_COUNTED = 3
# A record's number stands above this many bits of its hashes while they are sorted.
_HASH_BITS = 32 - MAX_RECORDS.bit_length() + 1
_SAID = ("input", "last_user", "system")  # the targets of `RecordView.said`, in its order


class Words:
    """The words of the texts of a column, as `Window.words` has them.

    Words are told apart by a hash of their first eight bytes: equal ones have equal hashes,
    unequal ones may.

    Attributes
    ----------
    count : int64, shape (n_records,), words of each text.
    """

    def __init__(self, texts: Sequence[bytes]) -> None:
        joined = _BREAK + _BREAK.join(texts) + _BREAK * _LOAD
        self._data = np.frombuffer(joined, np.uint8)
        folded = joined.translate(_TABLE)
        inside = np.frombuffer(folded, np.uint8) != 0
        self._starts = np.flatnonzero(inside[1:] > inside[:-1]) + 1
        self._bounds = np.cumsum([1, *[len(text) + 1 for text in texts]], dtype=np.int64)
        self._places: Ints = np.searchsorted(self._starts, self._bounds)
        self.count: Ints = np.diff(self._places)
        loads = np.ndarray((len(folded) - _LOAD + 1,), "<u8", folded, strides=(1,))
        self._grams = {1: _hashes(loads[self._starts])}
        self._distinct: dict[int, Ints] = {}

    def grams(self, n: int) -> Hashes:
        """Hashes of the n words from each word on, shape (n_words - n + 1,); some span texts."""
        known = self._grams.get(n)
        if known is None:
            size = max(0, len(self._grams[1]) - n + 1)
            known = self.grams(n - 1)[:size] * _JOIN32
            known += self._grams[1][n - 1 :]
            self._grams[n] = known
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
        owner = np.repeat(_owners(len(self.count)), self.count)[: len(grams)]
        counted = _count_distinct(owner, grams, self._places)
        return np.maximum(counted - (n - 1), 0)

    def places(self, n: int, stride: int, chosen: Bools | None = None) -> tuple[Ints, Ints]:
        """Every `stride`-th word of each text, or of the chosen ones, that begins n words of it.

        Returns
        -------
        indexes among all words, and the text of each; int64, equal shapes.
        """
        many = np.maximum((self.count - n) // stride + 1, 0)
        if chosen is not None:
            many = many * chosen
        owner = np.repeat(np.arange(len(many)), many)
        before = np.cumsum(many) - many
        return (np.arange(len(owner)) - before[owner]) * stride + self._places[owner], owner

    @functools.cached_property
    def lines(self) -> tuple[Ints, Ints]:
        """A floor of the distinct lines of each text, and a ceiling of its lines not blank.

        Lines are told apart by their first word and by how many words they have.
        """
        size, ends = len(self.count), self._bounds[1:] - 1
        breaks = np.flatnonzero(self._data == _NEWLINE)
        # A line feed after another ends a blank line; so each line not blank ends here.
        stops = np.concatenate([breaks[self._data[breaks - 1] != _NEWLINE], ends])
        stops.sort()
        after = np.searchsorted(self._starts, stops)
        first = np.concatenate([self._places[:1], after[:-1]])
        spoken = np.flatnonzero(after > first)
        owner = np.searchsorted(ends, stops)
        marks = self._grams[1][first[spoken]] + (after - first)[spoken].astype(np.uint32)
        spoken_of = owner[spoken]
        distinct = _count_distinct(
            _owners(size)[spoken_of],
            marks * _MIX32,
            np.searchsorted(spoken_of, np.arange(size + 1)),
        )
        return distinct, np.bincount(owner, minlength=size)


class Column:
    """One target's texts over a batch of records.

    Attributes
    ----------
    data : UTF-8 of each text that is whole, b"" for the others.
    whole : bool, shape (n_records,), whether the text is in the arrays: not longer than
        `MAX_CHARS`. Figures of the others mean nothing.
    ascii : bool, shape (n_records,).
    plain : bool, shape (n_records,), whether folding changes the case of ASCII letters only.
    chars : int64, shape (n_records,), length of each text, of the long ones too.
    bytes : int64, shape (n_records,), length of `data`.
    """

    def __init__(self, texts: Sequence[str], folded: Callable[[int], bytes]) -> None:
        """`folded(i)` gives the folded UTF-8 of the i-th text, where words ask for it."""
        self._folded = folded
        self.chars: Ints = np.array(list(map(len, texts)), np.int64)
        self.whole: Bools = self.chars <= MAX_CHARS
        self.ascii: Bools = np.array(list(map(str.isascii, texts)), np.bool_)
        self.data = [text.encode("utf-8", "replace") for text in texts]
        for long in np.flatnonzero(~self.whole).tolist():
            self.data[long] = b""
        self.plain = self.ascii.copy()
        for number in np.flatnonzero(~self.ascii).tolist():
            self.plain[number] = folds_by_case(self.data[number])
        self.bytes: Ints = np.array(list(map(len, self.data)), np.int64)
        self._joined = _BREAK.join(self.data) + _BREAK
        self._bounds = np.cumsum(np.concatenate([[0], self.bytes + 1]))

    @functools.cached_property
    def western(self) -> Bools:
        """`folding.is_western` of each text, shape (n_records,)."""
        western = self.ascii.copy()
        for number in np.flatnonzero(~self.ascii).tolist():
            western[number] = is_western(self.data[number].decode("utf-8"))
        return western

    @functools.cached_property
    def newlines(self) -> Ints:
        """Line feeds of each text, shape (n_records,)."""
        places = np.flatnonzero(np.frombuffer(self._joined, np.uint8) == _NEWLINE)
        return np.diff(np.searchsorted(places, self._bounds))

    def begins(self, table: bytes) -> Bools:
        """`contains` of the first bytes of each text, for what most texts begin with."""
        heads = [text[:_HEAD_BYTES].ljust(_HEAD_BYTES, _BREAK) for text in self.data]
        marks = np.frombuffer(b"".join(heads).translate(table), np.uint8)
        found: Bools = np.any(marks.reshape(-1, _HEAD_BYTES), axis=1)
        return found

    def contains(self, table: bytes) -> Bools:
        """Whether a text has a byte that `table`, of 256 bytes, maps to 1 and not to 0."""
        marks = np.frombuffer(self._joined.translate(table), np.uint8)
        return np.bitwise_or.reduceat(marks, self._bounds[:-1]).astype(np.bool_)

    @functools.cached_property
    def words(self) -> Words:
        texts = self.data
        odd = np.flatnonzero(self.whole & ~self.plain).tolist()
        if odd:
            texts = texts.copy()
            for number in odd:
                texts[number] = self._folded(number)
        return Words(texts)


class Batch:
    """The columns of a batch of records, made on first use."""

    def __init__(self, records: Sequence[RecordView]) -> None:
        if len(records) > MAX_RECORDS:
            raise ValueError(f"a batch has at most {MAX_RECORDS} records")
        self._records = records
        self._said: dict[str, list[str]] = {}
        self._columns: dict[str, Column] = {}
        self._distinct: dict[str, tuple[Column, Ints]] = {}

    def __len__(self) -> int:
        return len(self._records)

    @property
    def chars(self) -> int:
        """Characters of the inputs and outputs that are whole."""
        texts = (*self._texts("input"), *self._texts("output"))
        return sum(size for size in map(len, texts) if size <= MAX_CHARS)

    def column(self, target: str) -> Column:
        known = self._columns.get(target)
        if known is None:
            texts = self._texts(target)
            known = self._columns[target] = self._column(target, texts, range(len(texts)))
        return known

    def distinct(self, target: str) -> tuple[Column, Ints]:
        """A column of the different texts of a target, and each record's place in it.

        System messages repeat from record to record; each is taken apart once.
        """
        known = self._distinct.get(target)
        if known is None:
            numbers: dict[str, int] = {}
            owner = [numbers.setdefault(text, len(numbers)) for text in self._texts(target)]
            if len(numbers) == len(owner):
                known = self.column(target), np.arange(len(owner))
            else:
                speakers = dict(zip(reversed(owner), reversed(range(len(owner))), strict=True))
                texts = list(numbers)
                known = (
                    self._column(target, texts, [speakers[i] for i in range(len(texts))]),
                    np.array(owner, np.int64),
                )
            self._distinct[target] = known
        return known

    def _texts(self, target: str) -> list[str]:
        known = self._said.get(target)
        if known is None and target in _SAID:
            said = [record.said() for record in self._records]
            for place, name in enumerate(_SAID):
                self._said[name] = [
                    record.text(name) if one is None else one[place]
                    for record, one in zip(self._records, said, strict=True)
                ]
            return self._said[target]
        if known is None:
            known = self._said[target] = [record.text(target) for record in self._records]
        return known

    def _column(self, target: str, texts: list[str], speakers: Sequence[int]) -> Column:
        """The column of texts, each said by the record of that number."""
        records = self._records
        return Column(texts, lambda i: records[speakers[i]].view(target).windows[0].folded_data)


def byte_table(chosen: Iterable[int]) -> bytes:
    """A table for `Column.contains`: 1 for the bytes chosen, 0 for all others."""
    table = bytearray(256)
    for code in chosen:
        table[code] = 1
    return bytes(table)


def _owners(size: int) -> Hashes:
    """The numbers of `size` records, as the leading bits that they have in a sort."""
    return np.arange(size, dtype=np.uint32) << np.uint32(_HASH_BITS)


def _count_distinct(owner: Hashes, hashes: Hashes, places: Ints) -> Ints:
    """Distinct leading bits of the hashes of each owner, less one at most.

    `owner` does not decrease, and `places` are the indexes where each begins, and the end.
    """
    tags = hashes >> np.uint32(32 - _HASH_BITS)
    tags |= owner
    tags.sort()
    # The first of each owner differs from what stands before it, but the very first has nothing.
    fresh = np.flatnonzero(tags[1:] != tags[:-1]) + 1
    return np.diff(np.searchsorted(fresh, places))


def _hashes(loads: npt.NDArray[np.uint64]) -> Hashes:
    """Hashes of words by the eight bytes from their start, up to the first zero.

    The lowest of (x - 0x01..) & ~x & 0x80.. marks the first zero byte (Mycroft, 1987).
    """
    marks = (loads - _LOWS) & ~loads & _HIGHS
    marks = (marks & (~marks + np.uint64(1))) - np.uint64(1)
    marks &= loads
    marks *= _MIX64
    marks >>= np.uint64(32)
    return marks.astype(np.uint32)
