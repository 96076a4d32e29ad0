"""What one text took over from another: runs of words, and the share of shared n-grams."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

_PROBE = 3


class WordIndex:
    """The n-grams of a text's words, for finding them in others."""

    __slots__ = ("_grams_made", "_n", "_probe", "_vocabulary", "_words")

    def __init__(self, words: Sequence[bytes], n: int) -> None:
        self._n = n
        self._vocabulary = frozenset(words)
        self._words = tuple(words)
        self._grams_made: frozenset[tuple[bytes, ...]] | None = None
        self._probe = frozenset(_ngrams(self._words, _PROBE))

    @property
    def _grams(self) -> frozenset[tuple[bytes, ...]]:
        if self._grams_made is None:
            self._grams_made = frozenset(_ngrams(self._words, self._n))
        return self._grams_made

    def first_run(self, words: Sequence[bytes]) -> int | None:
        """Index in `words` of the first n consecutive words that also stand in the indexed text.

        Most texts are settled by a few probes: n consecutive words hold three that start at a
        multiple of n - 2, so where none of these threes is known there is no run.
        """
        stride = self._n - _PROBE + 1
        if len(self._words) < self._n or stride < 1:
            return None
        probes = zip(words[::stride], words[1::stride], words[2::stride], strict=False)
        if self._probe.isdisjoint(probes):
            return None
        known = bytes(map(self._vocabulary.__contains__, words))
        position = known.find(b"\1" * self._n)
        while position >= 0:
            if tuple(words[position : position + self._n]) in self._grams:
                return position
            position = known.find(b"\1" * self._n, position + 1)
        return None

    def shares(self, words: Sequence[bytes], share: float) -> bool:
        """Whether `shared` is at least `share`, which is above 0.

        Each shared n-gram begins with a known word, so too few known words settle it.
        """
        total = len(words) - self._n + 1
        if total <= 0 or sum(map(self._vocabulary.__contains__, words)) < share * total:
            return False
        return self.shared(words) >= share

    def shared(self, words: Sequence[bytes]) -> float:
        """Share of the n-grams of `words` that stand in the indexed text, in [0, 1]."""
        total = len(words) - self._n + 1
        if total <= 0:
            return 0.0
        return sum(map(self._grams.__contains__, _ngrams(words, self._n))) / total


def _ngrams(words: Sequence[bytes], n: int) -> Iterator[tuple[bytes, ...]]:
    total = max(0, len(words) - n + 1)
    return zip(*(words[shift : shift + total] for shift in range(n)), strict=True)
