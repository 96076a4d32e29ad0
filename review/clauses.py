"""Clauses as people write them: parsed from plain data, checked, and digested. Pure: no database.

A clause's digest covers key, title, text and severity: what a verdict was given under.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput

KEY = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
KEY_RULE = "1 to 63 lower-case letters, digits, hyphens and underscores"
SEVERITIES = ("note", "low", "medium", "high", "critical")
MAX_CLAUSES = 60
MAX_TITLE = 200
MAX_TEXT = 20_000
_FIELDS = {"key", "title", "text", "severity"}


@dataclass(frozen=True, slots=True)
class ClauseForm:
    """One clause; `severity` counts from 0, note, to 4, critical."""

    key: str
    title: str
    text: str
    severity: int

    @property
    def digest(self) -> str:
        return codec.digest(asdict(self))


def parse_clauses(raw: Any, path: str = "clauses") -> list[ClauseForm]:
    """Clauses from plain data.

    Args:
        raw: a list of `{key, title, text, severity}`; a severity is a number or its word.
        path: of the list, for errors.

    Raises:
        InvalidInput: with one error per wrong field, at paths like `clauses[2].title`.
    """
    if not isinstance(raw, list) or len(raw) > MAX_CLAUSES:
        raise InvalidInput.at(path, f"a list of at most {MAX_CLAUSES} clauses")
    codec.check_storable(raw, path)
    problems = list(_list_errors(raw, path))
    if problems:
        raise InvalidInput(problems[0].message, errors=problems)
    return [
        ClauseForm(
            key=item["key"],
            title=item["title"].strip(),
            text=item["text"].replace("\r\n", "\n").strip(),
            severity=_severity(item.get("severity", "medium")),
        )
        for item in raw
    ]


def policy_digest(introduction: str, clauses: Iterable[ClauseForm]) -> str:
    """The digest of a policy version's content, in the order in which it is read."""
    return codec.digest(
        {"introduction": introduction, "clauses": [clause.digest for clause in clauses]}
    )


def key_errors(items: list[Any], path: str) -> Iterator[FieldError]:
    """What is wrong with the keys of a list of objects: their form, and repetition."""
    seen: set[str] = set()
    for index, item in enumerate(items):
        if not isinstance(item, dict):
            continue
        key = item.get("key")
        if not isinstance(key, str) or not KEY.fullmatch(key):
            yield FieldError(f"{path}[{index}].key", "key", KEY_RULE)
        elif key in seen:
            yield FieldError(f"{path}[{index}].key", "repeated", f"the key {key!r} occurs twice")
        else:
            seen.add(key)


def unknown_errors(item: dict[str, Any], known: set[str], at: str) -> Iterator[FieldError]:
    for name in sorted(set(item) - known):
        yield FieldError(f"{at}.{name}", "unknown_field", "there is no such field")


def _list_errors(raw: list[Any], path: str) -> Iterator[FieldError]:
    yield from key_errors(raw, path)
    for index, item in enumerate(raw):
        at = f"{path}[{index}]"
        if not isinstance(item, dict):
            yield FieldError(at, "object", "a clause is {key, title, text, severity}")
            continue
        yield from unknown_errors(item, _FIELDS, at)
        if not _is_text(item.get("title"), MAX_TITLE):
            yield FieldError(f"{at}.title", "text", f"1 to {MAX_TITLE} characters")
        if not _is_text(item.get("text"), MAX_TEXT):
            yield FieldError(f"{at}.text", "text", f"1 to {MAX_TEXT:,} characters")
        if _severity(item.get("severity", "medium")) < 0:
            yield FieldError(f"{at}.severity", "severity", f"one of {', '.join(SEVERITIES)}")


def _is_text(value: Any, limit: int) -> bool:
    return isinstance(value, str) and bool(value.strip()) and len(value) <= limit


def _severity(value: Any) -> int:
    """0 to 4, or -1 where the value is no severity."""
    if isinstance(value, str) and value.lower() in SEVERITIES:
        return SEVERITIES.index(value.lower())
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(SEVERITIES):
        return value
    return -1
