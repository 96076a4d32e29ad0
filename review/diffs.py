"""What changed between two versions, part by part and word by word. Pure: no database."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

_WORDS = re.compile(r"\s+|[\w'’]+|[^\w\s]")
# Word matching is quadratic at worst: longer texts are compared line by line.
_MAX_WORDS = 2_000
# Texts less alike than this share words by accident: they read better one after the other.
_ALIKE = 0.4


@dataclass(frozen=True, slots=True)
class Run:
    """A run of text that was kept (`equal`), added (`insert`) or taken away (`delete`)."""

    op: str
    text: str


@dataclass(frozen=True, slots=True)
class Change:
    """One part (a clause, a question) under its key.

    Attributes:
        change: same | changed | added | removed.
        texts: the runs of each text field, by name.
        fields: before and after of each other field that differs, by name.
    """

    key: str
    change: str
    texts: dict[str, list[Run]]
    fields: dict[str, tuple[Any, Any]]


def word_diff(before: str, after: str) -> list[Run]:
    """The runs that turn `before` into `after`; those not inserted spell `before` again."""
    old, new = _tokens(before), _tokens(after)
    if max(len(old), len(new)) > _MAX_WORDS:
        old, new = before.splitlines(keepends=True), after.splitlines(keepends=True)
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    if before and after and _likeness(old, new) < _ALIKE:
        return [Run("delete", before), Run("insert", after)]
    runs = []
    for op, i, j, k, m in matcher.get_opcodes():
        if op == "equal":
            runs.append(Run("equal", "".join(old[i:j])))
            continue
        if i < j:
            runs.append(Run("delete", "".join(old[i:j])))
        if k < m:
            runs.append(Run("insert", "".join(new[k:m])))
    return runs


def part_changes(
    before: Sequence[Mapping[str, Any]], after: Sequence[Mapping[str, Any]], texts: Sequence[str]
) -> list[Change]:
    """Changes of keyed parts: in the order of `after`, then those that were removed.

    Args:
        before: plain parts, each with `key`.
        after: likewise.
        texts: the fields to compare word by word; others are compared as values.
    """
    old = {part["key"]: part for part in before}
    new = {part["key"]: part for part in after}
    return [
        _change(key, old.get(key), new.get(key), texts)
        for key in [*new, *(key for key in old if key not in new)]
    ]


def _change(
    key: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, texts: Sequence[str]
) -> Change:
    before, after = old or {}, new or {}
    runs = {name: word_diff(before.get(name, ""), after.get(name, "")) for name in texts}
    names = sorted((set(before) | set(after)) - {"key", *texts})
    fields = {
        name: (before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    }
    if old is None or new is None:
        change = "added" if old is None else "removed"
    else:
        touched = fields or any(run.op != "equal" for field in runs.values() for run in field)
        change = "changed" if touched else "same"
    return Change(key, change, runs, fields)


def _likeness(old: list[str], new: list[str]) -> float:
    """0 to 1; blanks between words do not count."""
    left, right = ([token for token in tokens if token.strip()] for tokens in (old, new))
    return SequenceMatcher(None, left, right, autojunk=False).ratio() if left and right else 1.0


def _tokens(text: str) -> list[str]:
    return _WORDS.findall(text)
