"""Caseless, compatibility-normalised text for comparing terms, with offsets back to the original.

fold(x) = NFKC(casefold(NFKC(x without default-ignorable format characters))), close to
toNFKC_Casefold of the Unicode Standard, section 3.13 (D146): full-width letters, soft hyphens and
zero-width joiners do not hide a term.
"""

from __future__ import annotations

import functools
import re
import unicodedata

_ASCII = bytes(range(128))
# Characters that Windows-1252 has, and that are invisible or no letters of Latin's blocks.
_NOT_WESTERN = frozenset("\u00ad\u00b5\u02c6")
# One character class each: linear under any engine.
_IGNORABLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e"
    "\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]+"
)
# Medial vowels and final consonants of Hangul compose with what stands before them.
_JAMO = re.compile("[\u1160-\u11ff\ud7b0-\ud7fb]")


def fold(text: str) -> str:
    """The folded text; for ASCII simply the lower-cased one, of the same length."""
    if text.isascii():
        return text.lower()
    kept = _IGNORABLE.sub("", text)
    once = unicodedata.normalize("NFKC", kept).casefold()
    return unicodedata.normalize("NFKC", once)


def folds_by_case(data: bytes) -> bool:
    """Whether folding a text changes the case of ASCII letters and nothing else of its UTF-8.

    True of prose with typographic quotes and lower-case accents: every other character folds to
    itself and combines with none before it.
    """
    if data.isascii():
        return True
    others = data.translate(None, _ASCII).decode("utf-8", "replace")
    return all(map(_stays, set(others)))


def is_western(text: str) -> bool:
    """Whether all letters are surely Latin and nothing is invisible but controls of ASCII."""
    if text.isascii():
        return True
    try:
        text.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return _NOT_WESTERN.isdisjoint(text)


@functools.lru_cache(maxsize=4096)
def _stays(char: str) -> bool:
    return not _continues(char) and fold(char) == char


def fold_offsets(text: str) -> list[int]:
    """Offsets into `text` of each character of `fold(text)`, and of its end.

    Returns
    -------
    list of int, length len(fold(text)) + 1, not decreasing: folded character i came from the
    cluster that starts at the i-th offset.

    Notes
    -----
    Normalisation never reaches across a boundary before a character that neither combines nor
    decomposes to something that combines, so folding cluster by cluster gives the whole.
    """
    offsets: list[int] = []
    start = 0
    for end in range(1, len(text) + 1):
        if end < len(text) and _continues(text[end]):
            continue
        offsets.extend([start] * len(fold(text[start:end])))
        start = end
    offsets.append(len(text))
    return offsets


def _continues(char: str) -> bool:
    if char < "\u00a0":
        return False
    if _JAMO.match(char) or _IGNORABLE.match(char):
        return True
    decomposed = unicodedata.normalize("NFKD", char)
    return unicodedata.category(decomposed[0])[0] == "M" or bool(_JAMO.match(decomposed[0]))
