"""Answers that say "violation" or "no violation" under any rubric."""

from collections.abc import Iterable
from typing import Any

from review.models import Question
from review.violations import possible_answers, violation_of


def answer(questions: Iterable[Question], is_violation: bool) -> dict[str, Any]:
    """Valid answers to the required questions whose verdict is `is_violation`.

    Raises:
        ValueError: no answer of the rubric says so.
    """
    asked = list(questions)
    given: dict[str, Any] = {}
    for question in asked:
        if question.violation is not None:
            fitting = [
                value
                for value in possible_answers(question)
                if violation_of([question], {question.key: value}) is is_violation
            ]
            if not fitting:
                raise ValueError(f"no answer to {question.key!r} says {is_violation}")
            given[question.key] = fitting[0]
        elif question.required:
            given[question.key] = _plain(question)
    return given


def _plain(question: Question) -> Any:
    match question.kind:
        case Question.Kind.TEXT:
            return "as expected"
        case Question.Kind.SPAN:
            return [{"part": "output", "start": 0, "end": 1}]
        case Question.Kind.NUMBER:
            return (question.options or {}).get("min", 0)
        case _:
            return possible_answers(question)[0]
