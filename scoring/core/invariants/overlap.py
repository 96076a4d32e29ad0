"""What one text took over from another: runs of words, and the share of shared n-grams."""

from __future__ import annotations

from collections.abc import Sequence


class WordIndex:
    """The n-grams of a text's words, for finding them in others."""

    __slots__ = ("_grams", "_n", "_vocabulary")

    def __init__(self, words: Sequence[bytes], n: int) -> None:
        self._n = n
        self._vocabulary = frozenset(words)
        total = max(0, len(words) - n + 1)
        self._grams = frozenset(
            zip(*(words[shift : shift + total] for shift in range(n)), strict=True)
        )

    def first_run(self, words: Sequence[bytes]) -> int | None:
        """Index in `words` of the first n consecutive words that also stand in the indexed text.

        Most texts are settled without n-grams: where no n words in a row are all known words,
        there is no run.
        """
        if not self._grams or len(words) < self._n:
            return None
        known = bytes(map(self._vocabulary.__contains__, words))
        position = known.find(b"\1" * self._n)
        while position >= 0:
            if tuple(words[position : position + self._n]) in self._grams:
                return position
            position = known.find(b"\1" * self._n, position + 1)
        return None

    def shared(self, words: Sequence[bytes]) -> float:
        """Share of the n-grams of `words` that stand in the indexed text, in [0, 1]."""
        total = len(words) - self._n + 1
        if total <= 0 or not self._grams:
            return 0.0
        grams = zip(*(words[shift : shift + total] for shift in range(self._n)), strict=True)
        return sum(map(self._grams.__contains__, grams)) / total
