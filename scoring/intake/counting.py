"""How much the JSON in slices of bytes holds, counted before any of it becomes objects.

The keys of a batch are counted by arrays over the bytes.

A key's closing quote stands before a colon, spaces apart. Looking back from every colon finds every
key, and besides only a text that begins with a colon, a run of spaces or of backslashes before one:
so the count is never too small, and too large only where a closer look does no harm.
"""

import re
from collections.abc import Sequence
from itertools import islice

import numpy as np
import numpy.typing as npt

_COLON, _QUOTE, _BACKSLASH, _U = (ord(mark) for mark in ':"\\u')
# JSON becomes objects before the values of a list or a map are counted. What a record may hold of
# numbers, names and messages comes to a fraction of this.
MAX_VALUES = 100_000
_LOOK_BACK = 4
_AT_ONCE = 1024 * 1024  # bytes; each that is a mark costs several numbers
_NUL_ESCAPE = b"\\u0000"
# JSON's white space.
_IS_SPACE = np.zeros(256, dtype=bool)
_IS_SPACE[[ord(mark) for mark in " \t\r\n"]] = True
# A string, which need not end, so that none is looked at twice; or what stands between two values.
_STRING_OR_COMMA = re.compile(rb'(?s)"[^"\\]*+(?:\\.[^"\\]*+)*+"?|(,)')


def find_comma(raw: bytes, n: int) -> int:
    """Where comma `n`, from 0, stands between two values in JSON; -1 where there are fewer.

    It costs next to nothing where there are; beyond that comma nothing is looked at.
    """
    if len(raw) <= n or raw.count(b",") <= n:
        return -1
    commas = (match.start() for match in _STRING_OR_COMMA.finditer(raw) if match[1])
    return next(islice(commas, n, None), -1)


def survey(slices: Sequence[bytes]) -> tuple[list[int], list[bool]]:
    """Of each slice: an upper bound of its keys, exact as a rule; whether an escape may be NUL.

    Args:
        slices: of valid JSON; of anything else the numbers mean nothing.
    """
    padding = b"\x00" * _LOOK_BACK  # so that looking back stays within the array
    text = np.frombuffer(padding + b"".join(slices), dtype=np.uint8)
    ends = np.cumsum([len(raw) for raw in slices]) + _LOOK_BACK
    counts = np.zeros(len(slices), dtype=np.intp)
    may_hold_nul = [False] * len(slices)
    for start in range(_LOOK_BACK, len(text), _AT_ONCE):
        end = start + _AT_ONCE
        keys = np.searchsorted(ends, _after_keys(text, start, end), side="right")
        counts += np.bincount(keys, minlength=len(slices))
        escapes = np.searchsorted(ends, _escapes(text, start, end), side="right")
        for index in np.unique(escapes).tolist():
            may_hold_nul[index] = _NUL_ESCAPE in slices[index]
    return counts.tolist(), may_hold_nul


def _escapes(text: npt.NDArray[np.uint8], start: int, end: int) -> npt.NDArray[np.intp]:
    """Where the backslashes are, between two places, that a `u` follows."""
    escapes = np.flatnonzero(text[start:end] == _BACKSLASH) + start
    escapes = escapes[escapes < len(text) - 1]
    return escapes[text[escapes + 1] == _U]


def _after_keys(text: npt.NDArray[np.uint8], start: int, end: int) -> npt.NDArray[np.intp]:
    """Where the colons are, between two places, that may follow a key."""
    colons = np.flatnonzero(text[start:end] == _COLON) + start
    before = text[colons - 1]
    is_key = (before == _QUOTE) & ~_is_escaped(text, colons - 1)
    apart = colons[_IS_SPACE[before]]
    second = text[apart - 2]
    is_key_apart = _IS_SPACE[second] | ((second == _QUOTE) & ~_is_escaped(text, apart - 2))
    return np.concatenate([colons[is_key], apart[is_key_apart]])


def _is_escaped(text: npt.NDArray[np.uint8], quotes: npt.NDArray[np.intp]) -> npt.NDArray[np.bool_]:
    """Whether exactly one backslash stands before: more of them would have to be counted."""
    escaped: npt.NDArray[np.bool_] = (text[quotes - 1] == _BACKSLASH) & (
        text[quotes - 2] != _BACKSLASH
    )
    return escaped
