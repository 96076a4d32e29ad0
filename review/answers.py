"""Checking a reviewer's answers against the questions they were asked. Pure: no database.

Plain answers are kept for ever; free texts and passages may quote content, so they come back apart
and are stored in a row that can be erased.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput
from review.violations import is_finite_number, possible_answers

MAX_TEXT = 10_000
MAX_QUOTE = 2_000
MAX_SPANS = 100
_MAX_OFFSET = 100_000_000
# A part of the case: its input or output, or one message of either, counted from 0.
_PART = re.compile(r"(input|output)(\.[0-9]{1,4})?")
_SPAN_KEYS = {"start", "end", "part", "quote"}


class Asked(Protocol):
    """The part of a question that its answer is checked against."""

    @property
    def key(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def options(self) -> Any: ...
    @property
    def required(self) -> bool: ...
    @property
    def violation(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Answers:
    """Valid answers by question key; a question that was left out is in neither part.

    Attributes:
        plain: values of boolean, choice, multichoice, scale and number questions.
        texts: texts, and lists of passages `{start, end, part, quote?}`, which may quote content.
    """

    plain: dict[str, Any]
    texts: dict[str, Any]


def check_answers(questions: Iterable[Asked], answers: Any) -> Answers:
    """The answers, checked and in one normal form.

    An answer of None counts as left out. An empty multichoice answer says "none of these" and is an
    answer; an empty text or list of passages is none.

    Raises:
        InvalidInput: with one error per wrong answer, at `answers.<key>`.
    """
    if not isinstance(answers, Mapping):
        raise InvalidInput.at("answers", "an object with one answer per question key")
    codec.check_storable(dict(answers), "answers")
    questions = list(questions)
    plain: dict[str, Any] = {}
    texts: dict[str, Any] = {}
    problems = [
        FieldError(f"answers.{key}", "unknown_question", "there is no such question")
        for key in sorted(set(answers) - {question.key for question in questions})
    ]
    for question in questions:
        answer, path = answers.get(question.key), f"answers.{question.key}"
        if _is_left_out(question, answer):
            if question.required:
                problems.append(FieldError(path, "required", "this question needs an answer"))
            continue
        found = list(_answer_errors(question, answer, path))
        problems += found
        if not found:
            target = texts if question.kind in ("text", "span") else plain
            target[question.key] = _normal(question, answer)
    if problems:
        raise InvalidInput(problems[0].message, errors=problems)
    return Answers(plain, texts)


def _is_left_out(question: Asked, answer: Any) -> bool:
    if question.kind == "text" and isinstance(answer, str):
        return not answer.strip()
    return answer is None or (question.kind == "span" and answer == [])


def _answer_errors(question: Asked, answer: Any, path: str) -> Iterator[FieldError]:
    match question.kind:
        case "boolean":
            if not isinstance(answer, bool):
                yield FieldError(path, "boolean", "true or false")
        case "choice":
            if answer not in possible_answers(question) or not isinstance(answer, str):
                yield FieldError(path, "choice", "one of the question's options")
        case "multichoice":
            yield from _multichoice_errors(question, answer, path)
        case "scale":
            if not _is_whole(answer) or answer not in possible_answers(question):
                low, high = question.options["min"], question.options["max"]
                yield FieldError(path, "scale", f"a whole number from {low} to {high}")
        case "number":
            yield from _number_errors(question, answer, path)
        case "text":
            if not isinstance(answer, str) or len(answer) > MAX_TEXT:
                yield FieldError(path, "text", f"a text of at most {MAX_TEXT:,} characters")
        case "span":
            yield from _span_errors(answer, path)
        case kind:
            raise ValueError(f"a question of an unknown kind: {kind}")


def _multichoice_errors(question: Asked, answer: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(answer, list) or not all(isinstance(value, str) for value in answer):
        yield FieldError(path, "multichoice", "a list of the question's options")
    elif not set(answer) <= set(possible_answers(question)):
        yield FieldError(path, "multichoice", "only options that the question offers")
    elif len(set(answer)) != len(answer):
        yield FieldError(path, "multichoice", "each option at most once")


def _number_errors(question: Asked, answer: Any, path: str) -> Iterator[FieldError]:
    options = question.options or {}
    if not is_finite_number(answer):
        yield FieldError(path, "number", "a number")
    elif answer < options.get("min", answer):
        yield FieldError(path, "number", f"at least {options['min']}")
    elif answer > options.get("max", answer):
        yield FieldError(path, "number", f"at most {options['max']}")


def _span_errors(answer: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(answer, list) or len(answer) > MAX_SPANS:
        yield FieldError(path, "span", f"a list of at most {MAX_SPANS} passages")
        return
    for index, span in enumerate(answer):
        at = f"{path}[{index}]"
        if not isinstance(span, dict) or not {"start", "end", "part"} <= set(span) <= _SPAN_KEYS:
            yield FieldError(at, "span", "a passage is {start, end, part, quote?}")
            continue
        start, end, part, quote = span["start"], span["end"], span["part"], span.get("quote", "")
        if not (_is_whole(start) and _is_whole(end) and 0 <= start < end <= _MAX_OFFSET):
            yield FieldError(f"{at}.start", "span", "whole numbers with 0 <= start < end")
        if not isinstance(part, str) or not _PART.fullmatch(part):
            yield FieldError(f"{at}.part", "span", "input or output, or a message: output.0")
        if not isinstance(quote, str) or len(quote) > MAX_QUOTE:
            yield FieldError(f"{at}.quote", "span", f"at most {MAX_QUOTE:,} characters")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _normal(question: Asked, answer: Any) -> Any:
    if question.kind == "multichoice":  # in the order of the options, so that equal sets are equal
        return [value for value in possible_answers(question) if value in answer]
    if question.kind == "span":
        return sorted(answer, key=lambda span: (span["part"], span["start"], span["end"]))
    return answer
