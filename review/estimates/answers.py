"""What an answer says as a yes or no: the rubric's violation rule, a question, or one option of it.

`""` names the violation rule; `key` a yes-or-no question or one with a rule; `key:option` an answer
of a question that offers a choice.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from review.datasets import labels
from review.models import Question, RubricVersion
from review.violations import possible_answers, violation_of


@dataclass(frozen=True, slots=True)
class Asked:
    """A yes-or-no figure's question: the key and, for a choice, the option that counts as yes."""

    key: str = ""
    option: str | None = None

    def __str__(self) -> str:
        return self.key if self.option is None else f"{self.key}:{self.option}"

    @classmethod
    def parse(cls, text: str) -> "Asked":
        key, colon, option = text.partition(":")
        return cls(key, option if colon else None)


@dataclass(frozen=True, slots=True)
class Reading:
    """How the answers given under each rubric version read as yes or no.

    A version that does not ask the question says nothing, and neither does an old "no" where
    clauses were added since.
    """

    asked: Asked
    questions: Mapping[int, Question | None]
    positives_only: frozenset[int]

    def asks(self, version: int) -> bool:
        """Whether reviewers were asked this under a version that counts."""
        return self.questions.get(version) is not None

    def of(self, resolution: Mapping[str, Any] | None) -> float:
        """What a case came to; NaN without a resolution."""
        if resolution is None:
            return math.nan
        return self.says(
            resolution["rubric_version_id"], resolution["violation"], resolution["answers"]
        )

    def says(self, version: int, violation: bool | None, answers: Mapping[str, Any]) -> float:
        """1 for yes, 0 for no, NaN where the answers do not say."""
        question = self.questions.get(version)
        if question is None:
            return math.nan
        value = violation if not self.asked.key else _says(question, self.asked.option, answers)
        if value is None or (not value and version in self.positives_only):
            return math.nan
        return float(value)


class _Live:
    """Reads as `Snapshot.rows` does, on the request's own connection."""

    def rows(self, found: QuerySet[Any], *names: str) -> Iterable[dict[str, Any]]:
        yield from found.values(*names)


def read(asked: Asked, used: Iterable[int], rubric_version: int | None) -> Reading:
    """How to read the answers of the rubric versions in use.

    Args:
        used: ids of the rubric versions under which the answers were given.
        rubric_version: number of the only version that counts, or None.

    Raises:
        InvalidInput: the versions are not comparable; the message names the clauses.
    """
    versions = set(used)
    forms = labels.read_forms(_Live(), RubricVersion.objects.filter(pk__in=versions), asked.key)
    wanted = [
        version
        for version in versions
        if rubric_version is None or forms[version].number == rubric_version
    ]
    settled = labels.settle(
        forms, asked.key, wanted, at="question", remedy="name one of them by rubric_version"
    )
    return Reading(
        asked, {version: forms[version].question for version in wanted}, settled.positives_only
    )


def check(asked: Asked, questions: Iterable[Question]) -> None:
    """Whether a figure can be made of it.

    Args:
        questions: of the versions of the queue's rubric, newest first.

    Raises:
        InvalidInput: no such question or option, or it has no yes and no.
    """
    known = list(questions)
    if not asked.key:
        if not any(question.violation is not None for question in known):
            raise errors.InvalidInput.at("question", "the rubric has no rule that says violation")
        return
    question = next((one for one in known if one.key == asked.key), None)
    if question is None:
        keys = ", ".join(dict.fromkeys(one.key for one in known))
        raise errors.InvalidInput.at(
            "question", f"the rubric has no such question; it has {keys}", "unknown_question"
        )
    if asked.option is not None:
        if asked.option not in [str(answer) for answer in _options(question)]:
            raise errors.InvalidInput.at(
                "question", f"{asked.key} has no such option", "unknown_option"
            )
    elif question.kind != "boolean" and question.violation is None:
        raise errors.InvalidInput.at(
            "question",
            f"{asked.key} is not answered by yes or no: name the answer that counts, key:answer",
            "not_binary",
        )


def offered(questions: Iterable[Question]) -> list[tuple[Asked, str]]:
    """The figures that a rubric version allows, each with its words."""
    found: list[tuple[Asked, str]] = []
    for question in questions:
        if question.violation is not None:
            found.insert(0, (Asked(), f"Violation: {question.text}"))
        if question.kind == "boolean" and question.violation is None:
            found.append((Asked(question.key), question.text))
        elif question.kind in ("choice", "multichoice"):
            found += [
                (Asked(question.key, option["value"]), f"{question.text} {option['label']}")
                for option in question.options or ()
            ]
    return found


def _options(question: Question) -> list[Any]:
    return [] if question.kind == "boolean" else possible_answers(question)


def _says(question: Question, option: str | None, answers: Mapping[str, Any]) -> bool | None:
    answer = answers.get(question.key)
    if option is not None and question.kind == "multichoice":
        # Nothing ticked is an answer; a form that was sent without the field says the same.
        return option in (answer or [])
    if answer is None:
        return None
    if option is not None:
        return str(answer) == option
    if question.violation is not None:
        return violation_of([question], answers)
    return bool(answer)
