"""Degenerate repetition: n-grams said again, lines said again, text that compresses away.

Repeated n-gram share as in "The Curious Case of Neural Text Degeneration" (Holtzman et al. 2020)
and the quality filters of "Scaling Language Models: Gopher" (Rae et al. 2021, table A1).
"""

from __future__ import annotations

import zlib
from collections.abc import Hashable, Sequence


def repeated_ngram_share(words: Sequence[Hashable], n: int) -> float:
    """1 - distinct n-grams / n-grams, in [0, 1); 0 where there is none."""
    total = len(words) - n + 1
    if total <= 0:
        return 0.0
    grams = set(zip(*(words[shift : shift + total] for shift in range(n)), strict=True))
    return 1.0 - len(grams) / total


def ngrams_repeat(words: Sequence[Hashable], distinct: int, n: int, max_share: float) -> bool:
    """Whether `repeated_ngram_share` exceeds `max_share`; `distinct` counts the distinct words.

    Each distinct word but those seen only in the last n - 1 places begins a distinct n-gram, so
    distinct words - (n - 1) bound the distinct n-grams from below; most texts are settled by that.
    """
    total = len(words) - n + 1
    if total <= 0:
        return False
    if 1.0 - (distinct - n + 1) / total <= max_share:
        return False
    return repeated_ngram_share(words, n) > max_share


def repeated_line_share(text: str) -> tuple[float, int]:
    """Share of the non-blank lines that were said before, in [0, 1), and their number."""
    lines = [line.strip() for line in text.split("\n")]
    lines = [line for line in lines if line]
    if not lines:
        return 0.0, 0
    return 1.0 - len(set(lines)) / len(lines), len(lines)


def compressed_away_share(data: bytes) -> float:
    """1 - compressed size / size under DEFLATE level 1, at least 0; 0 of nothing."""
    if not data:
        return 0.0
    return max(0.0, 1.0 - len(zlib.compress(data, 1)) / len(data))
