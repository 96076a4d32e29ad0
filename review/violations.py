"""What answers say about "violation or not": one rule, on one question of a rubric version.

A rule is `{"in": [values]}` (boolean, choice, multichoice, scale) or `{"at_least": number}` (scale,
number). Of a multichoice question one chosen value in the list is enough. Pure: no database.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from oversight.lib.errors import FieldError

_IN_KINDS = ("boolean", "choice", "multichoice", "scale")
_AT_LEAST_KINDS = ("scale", "number")


class Ruled(Protocol):
    """The part of a question that a rule needs; models and parsed forms both have it."""

    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def options(self) -> Any: ...
    @property
    def violation(self) -> Any: ...


def violation_of(questions: Iterable[Ruled], answers: Mapping[str, Any]) -> bool | None:
    """Whether the answers say "violation".

    Args:
        questions: of one rubric version; the one that has a rule decides.
        answers: valid answers by question key.

    Returns:
        None where no question has a rule, or the one that has was not answered.
    """
    for question in questions:
        if question.violation is not None:
            answer = answers.get(question.key)
            return None if answer is None else _says_violation(question.violation, answer)
    return None


def _says_violation(rule: Mapping[str, Any], answer: Any) -> bool:
    if "at_least" in rule:
        return bool(answer >= rule["at_least"])
    chosen = answer if isinstance(answer, list) else [answer]
    return any(_same(value, one) for value in rule["in"] for one in chosen)


def _same(left: Any, right: Any) -> bool:
    # True == 1 in Python, and "yes" is not the number one.
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def normal_rule(kind: str, rule: Any) -> Any:
    """The rule in full: `true` or `false` alone is short for that answer of a boolean question."""
    return {"in": [rule]} if kind == "boolean" and isinstance(rule, bool) else rule


def rule_errors(question: Ruled, path: str) -> Iterator[FieldError]:
    """What is wrong with a question's rule, which must be in its full form.

    Args:
        question: its kind and options are valid already.
        path: of the rule, such as `questions[0].violation`.
    """
    rule, kind = question.violation, question.kind
    if rule is None:
        return
    if not isinstance(rule, dict) or len(rule) != 1 or not {"in", "at_least"} & set(rule):
        yield FieldError(path, "rule", 'a rule is {"in": [values]} or {"at_least": number}')
    elif "in" in rule:
        yield from _in_errors(question, rule["in"], f"{path}.in")
    elif kind not in _AT_LEAST_KINDS:
        yield FieldError(f"{path}.at_least", "rule", f'a {kind} question takes no "at_least"')
    elif not _reachable(question, rule["at_least"]):
        yield FieldError(f"{path}.at_least", "rule", "not a number within the question's bounds")


def _in_errors(question: Ruled, values: Any, path: str) -> Iterator[FieldError]:
    if question.kind not in _IN_KINDS:
        yield FieldError(path, "rule", f'a {question.kind} question takes no "in"')
        return
    if not isinstance(values, list) or not values:
        yield FieldError(path, "rule", "a list of at least one answer")
        return
    possible = possible_answers(question)
    for index, value in enumerate(values):
        if not any(_same(value, one) for one in possible):
            yield FieldError(f"{path}[{index}]", "rule", "not an answer that the question offers")


def possible_answers(question: Ruled) -> list[Any]:
    """The answers that a question with few of them offers; empty for the other kinds."""
    match question.kind:
        case "boolean":
            return [True, False]
        case "choice" | "multichoice":
            return [option["value"] for option in question.options]
        case "scale":
            return list(range(question.options["min"], question.options["max"] + 1))
    return []


def _reachable(question: Ruled, bound: Any) -> bool:
    if not is_finite_number(bound):
        return False
    options = question.options or {}
    return bool(options.get("min", bound) <= bound <= options.get("max", bound))


def is_finite_number(value: Any) -> bool:
    """Whether a value is a number that a 64-bit float can stand for; a boolean is none."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond a float's range
        return False
