"""Which Unicode scripts the letters of a text are written in.

Script property after Unicode Standard Annex 24, by blocks: a letter of a block counts for the
block's script. Characters that several scripts share (digits, punctuation, marks) count for none.
"""

from __future__ import annotations

import functools
import re

import numpy as np
import numpy.typing as npt

from scoring.core.invariants.folding import is_western
from scoring.core.invariants.vocabulary import SCRIPTS

_BLOCKS: dict[str, tuple[tuple[int, int], ...]] = {
    "latin": (
        (0x0041, 0x005A), (0x0061, 0x007A), (0x00AA, 0x00AA), (0x00BA, 0x00BA), (0x00C0, 0x02B8),
        (0x1D00, 0x1D25), (0x1D62, 0x1D65), (0x1D6B, 0x1D77), (0x1D79, 0x1DBE), (0x1E00, 0x1EFF),
        (0x2C60, 0x2C7F), (0xA722, 0xA787), (0xA78B, 0xA7FF), (0xAB30, 0xAB64), (0xFB00, 0xFB06),
        (0xFF21, 0xFF3A), (0xFF41, 0xFF5A), (0x02E0, 0x02E4), (0x1D2C, 0x1D5C), (0x2071, 0x209C),
        (0x212A, 0x212B), (0x2132, 0x2132), (0x214E, 0x214E),
    ),
    "greek": (
        (0x0370, 0x03E1), (0x03F0, 0x03FF), (0x1F00, 0x1FFF), (0x1D26, 0x1D2A), (0x1D5D, 0x1D61),
        (0x1D66, 0x1D6A), (0x1DBF, 0x1DBF), (0x2126, 0x2126),
    ),
    "cyrillic": (
        (0x0400, 0x052F), (0x1C80, 0x1C8F), (0x1D2B, 0x1D2B), (0xA640, 0xA69F),
    ),
    "armenian": ((0x0531, 0x058F), (0xFB13, 0xFB17)),
    "hebrew": ((0x0591, 0x05FF), (0xFB1D, 0xFB4F)),
    "arabic": (
        (0x0620, 0x063F), (0x0641, 0x06FF), (0x0750, 0x077F), (0x0870, 0x08FF), (0xFB50, 0xFDFF),
        (0xFE70, 0xFEFC),
    ),
    "devanagari": ((0x0900, 0x097F), (0xA8E0, 0xA8FF)),
    "bengali": ((0x0980, 0x09FF),),
    "gurmukhi": ((0x0A00, 0x0A7F),),
    "gujarati": ((0x0A80, 0x0AFF),),
    "oriya": ((0x0B00, 0x0B7F),),
    "tamil": ((0x0B80, 0x0BFF),),
    "telugu": ((0x0C00, 0x0C7F),),
    "kannada": ((0x0C80, 0x0CFF),),
    "malayalam": ((0x0D00, 0x0D7F),),
    "sinhala": ((0x0D80, 0x0DFF),),
    "thai": ((0x0E00, 0x0E7F),),
    "lao": ((0x0E80, 0x0EFF),),
    "myanmar": ((0x1000, 0x109F), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F)),
    "georgian": ((0x10A0, 0x10FF), (0x1C90, 0x1CBF), (0x2D00, 0x2D2F)),
    "ethiopic": ((0x1200, 0x139F), (0x2D80, 0x2DDF), (0xAB00, 0xAB2F)),
    "khmer": ((0x1780, 0x17FF),),
    "hiragana": ((0x3041, 0x309F), (0x1B001, 0x1B11F)),
    "katakana": ((0x30A0, 0x30FB), (0x30FD, 0x30FF), (0x31F0, 0x31FF), (0xFF66, 0xFF9D)),
    "hangul": ((0x1100, 0x11FF), (0x3131, 0x318F), (0xA960, 0xA97F), (0xAC00, 0xD7FB)),
    "han": (
        (0x2E80, 0x2FD5), (0x3005, 0x3007), (0x3021, 0x3029), (0x3400, 0x4DBF), (0x4E00, 0x9FFF),
        (0xF900, 0xFAFF), (0x20000, 0x323AF),
    ),
}  # fmt: skip
_INDEX = {name: index for index, name in enumerate(SCRIPTS)}
_OTHER = len(SCRIPTS)
_NONE = _OTHER + 1
_MIXABLE = ("latin", "greek", "cyrillic")
_SUSPECT = "".join(
    f"{chr(low)}-{chr(high)}" for name in _MIXABLE[1:] for low, high in _BLOCKS[name]
)
# A letter of Latin right beside one of the others: one class after another, so linear.
_MIXED = re.compile(rf"[A-Za-z][{_SUSPECT}]|[{_SUSPECT}][A-Za-z]")
# Shorter ones are mathematics and units: Δt, μm.
_MIN_WORD = 4
_WORD = re.compile(r"\w{1,64}")


@functools.cache
def _table() -> npt.NDArray[np.uint8]:
    """Script index of each code point below 0x30000, the blocks' letters only."""
    table = np.full(0x33000, _NONE, dtype=np.uint8)
    letters = np.fromiter((chr(code).isalpha() for code in range(len(table))), dtype=bool)
    table[letters] = _OTHER
    for name, blocks in _BLOCKS.items():
        for low, high in blocks:
            part = table[low : high + 1]
            part[letters[low : high + 1]] = _INDEX[name]
    return table


def script_counts(text: str) -> npt.NDArray[np.int64]:
    """Letters of a text by script.

    Returns
    -------
    int64, shape (len(SCRIPTS) + 1,), in the order of `SCRIPTS`; the last counts letters of other
    scripts.
    """
    codes = np.frombuffer(text.encode("utf-32-le", "replace"), dtype=np.uint32)
    codes = codes[codes < 0x33000]
    return np.bincount(_table()[codes], minlength=_NONE + 1)[:_NONE]


def script_share(text: str, scripts: tuple[str, ...]) -> tuple[float, int]:
    """Share of the letters written in `scripts`, in [0, 1], and the number of letters."""
    if text.isascii():
        data = text.encode("ascii")
        letters = len(data) - len(data.translate(None, _ASCII_LETTERS))
        return (1.0 if "latin" in scripts else 0.0), letters
    counts = script_counts(text)
    total = int(counts.sum())
    if total == 0:
        return 0.0, 0
    return float(sum(int(counts[_INDEX[name]]) for name in scripts)) / total, total


_ASCII_LETTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def mixed_script_words(text: str, limit: int) -> list[tuple[int, int]]:
    """The first `limit` words that join Latin letters with Greek or Cyrillic ones, as offsets."""
    if is_western(text):
        return []
    found: list[tuple[int, int]] = []
    position = 0
    while len(found) < limit:
        match = _MIXED.search(text, position)
        if match is None:
            break
        start, end = match.span()
        while start > 0 and match.start() - start < 64 and text[start - 1].isalnum():
            start -= 1
        word = _WORD.match(text, end)
        end = word.end() if word else end
        if end - start >= _MIN_WORD:
            found.append((start, end))
        position = end
    return found
