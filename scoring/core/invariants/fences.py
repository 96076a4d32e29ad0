"""Markdown code fences: what stands inside them, and one that is never closed (CommonMark 4.5)."""

from __future__ import annotations

import re

WAKE = "```|~~~"
_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)
_FENCE_BYTES = re.compile(rb"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)


def open_fence(text: str) -> tuple[int, int] | None:
    """Offsets of the fence that is opened and never closed, None where all are closed."""
    opener: re.Match[str] | None = None
    for match in _FENCE.finditer(text):
        marks, rest = match.group(1), match.group(2)
        if opener is None:
            # The info string of a backtick fence holds no backtick: a code span is no fence.
            if marks[0] == "~" or "`" not in rest:
                opener = match
        elif _closes(marks, opener.group(1)) and not rest.strip():
            opener = None
    return opener.span(1) if opener is not None else None


def fenced_ranges(data: bytes) -> list[tuple[int, int]]:
    """Byte offsets of the inside of each fenced block; one left open runs to the end."""
    ranges: list[tuple[int, int]] = []
    opener: re.Match[bytes] | None = None
    for match in _FENCE_BYTES.finditer(data):
        marks, rest = match.group(1), match.group(2)
        if opener is None:
            if marks[:1] == b"~" or b"`" not in rest:
                opener = match
        elif _closes(marks, opener.group(1)) and not rest.strip():
            ranges.append((opener.end(), match.start()))
            opener = None
    if opener is not None:
        ranges.append((opener.end(), len(data)))
    return ranges


def _closes(marks: str | bytes, opener: str | bytes) -> bool:
    return marks[:1] == opener[:1] and len(marks) >= len(opener)
