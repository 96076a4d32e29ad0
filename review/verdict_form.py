"""The form of a rubric version: what a reviewer is asked on a page, and what they send back.

Pure: no database. Everything a person entered is kept as text until it is read, so that a form
that is refused comes back as it was sent.
"""

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from oversight.lib.errors import FieldError, InvalidInput
from review.answers import MAX_QUOTE
from review.violations import possible_answers, violation_of

PREFIX = "q-"
NONE_OF_THESE = ""  # the choice that tells "none of these" from a question left out
# A passage by its place: `[output.0 15-40] the quote, for the reader alone`.
_PLACED = re.compile(r"\[((?:input|output)(?:\.\d{1,4})?) (\d{1,9})[-–](\d{1,9})\](.*)", re.DOTALL)

Entered = dict[str, list[str]]


class Asked(Protocol):
    key: str
    text: str
    kind: str
    options: Any
    required: bool
    clauses: list[str]
    violation: Any


class Posted(Protocol):
    """What Django's QueryDict offers."""

    def getlist(self, key: str) -> list[str]: ...


@dataclass(frozen=True, slots=True)
class ShownOption:
    value: str
    label: str
    number: int  # the key that picks it, 1 to 9; 0 for "none of these"
    is_chosen: bool

    @property
    def has_badge(self) -> bool:
        """Whether the key must be shown beside the option: not where the option is its digit."""
        return self.value != str(self.number)


@dataclass(frozen=True, slots=True)
class ShownQuestion:
    """A question on the page; `no_value` and `yes_value` serve the keys for a binary verdict."""

    number: int
    key: str
    text: str
    kind: str
    required: bool
    options: tuple[ShownOption, ...]
    bounds: Mapping[str, Any]
    clauses: tuple[str, ...]
    entered: str
    error: str
    no_value: str = ""
    yes_value: str = ""

    @property
    def name(self) -> str:
        return PREFIX + self.key


def show(
    questions: Iterable[Asked], entered: Mapping[str, Sequence[str]], wrong: Mapping[str, str]
) -> list[ShownQuestion]:
    """The questions, with what was entered so far and what was wrong with it."""
    shown = []
    for number, question in enumerate(questions, start=1):
        values = list(entered.get(question.key, ()))
        no_value, yes_value = _binary(question)
        shown.append(
            ShownQuestion(
                number=number,
                key=question.key,
                text=question.text,
                kind=question.kind,
                required=question.required,
                options=tuple(_options(question, values)),
                bounds=question.options or {} if question.kind in ("scale", "number") else {},
                clauses=tuple(question.clauses),
                entered="\n".join(values) if question.kind in ("text", "number", "span") else "",
                error=wrong.get(question.key, ""),
                no_value=no_value,
                yes_value=yes_value,
            )
        )
    return shown


def _options(question: Asked, values: list[str]) -> list[ShownOption]:
    labels: dict[str, str] = {}
    if question.kind == "boolean":
        labels = {"true": "Yes", "false": "No"}
    elif question.kind in ("choice", "multichoice"):
        labels = {option["value"]: option["label"] for option in question.options}
    elif question.kind == "scale":
        names = question.options.get("labels") or {}
        for step in map(str, possible_answers(question)):
            labels[step] = f"{step} · {names[step]}" if names.get(step) else step
    options = [
        ShownOption(value, label, number, value in values)
        for number, (value, label) in enumerate(labels.items(), start=1)
    ]
    if question.kind == "multichoice":
        options.append(ShownOption(NONE_OF_THESE, "None of these", 0, NONE_OF_THESE in values))
    return options


def _binary(question: Asked) -> tuple[str, str]:
    """(no violation, violation) as entered values, where a question's two answers say just that."""
    if question.violation is None or question.kind not in ("boolean", "choice"):
        return "", ""
    told = {
        _as_text(answer): violation_of([question], {question.key: answer})
        for answer in possible_answers(question)
    }
    if sorted(told.values(), key=bool) != [False, True]:
        return "", ""
    return next(k for k, v in told.items() if not v), next(k for k, v in told.items() if v)


def _as_text(value: Any) -> str:
    return ("true" if value else "false") if isinstance(value, bool) else str(value)


def entered_in(questions: Iterable[Asked], post: Posted) -> Entered:
    """What was sent for each question, as text; line breaks in one form."""
    return {
        question.key: [value.replace("\r\n", "\n") for value in post.getlist(PREFIX + question.key)]
        for question in questions
    }


def entered_before(
    questions: Iterable[Asked], answers: Mapping[str, Any], texts: Mapping[str, Any]
) -> Entered:
    """A stored verdict's answers as they would be entered, to correct them."""
    entered: Entered = {}
    for question in questions:
        value = answers.get(question.key, texts.get(question.key))
        match value:
            case None:
                continue
            case [] if question.kind == "multichoice":
                entered[question.key] = [NONE_OF_THESE]
            case list() if question.kind == "span":
                entered[question.key] = ["\n".join(_placed_line(span) for span in value)]
            case list():
                entered[question.key] = [str(one) for one in value]
            case _:
                entered[question.key] = [_as_text(value)]
    return entered


def _placed_line(span: Mapping[str, Any]) -> str:
    quote = " ".join(str(span.get("quote", "")).split())
    return f"[{span['part']} {span['start']}-{span['end']}] {quote}".rstrip()


def read_answers(
    questions: Iterable[Asked], entered: Mapping[str, list[str]], parts: Mapping[str, str]
) -> dict[str, Any]:
    """The answers that an entered form gives; whether they fit is for review.answers to say.

    Args:
        parts: the raw text of each part of the conversation, for passages.

    Raises:
        InvalidInput: a quoted passage is not in the conversation, at `answers.<key>`.
    """
    answers: dict[str, Any] = {}
    problems: list[FieldError] = []
    for question in questions:
        values = entered.get(question.key, [])
        if not values:
            continue
        try:
            answer = _read(question.kind, values, parts)
        except InvalidInput as error:
            problems.append(FieldError(f"answers.{question.key}", error.code, error.message))
            continue
        if answer is not None:
            answers[question.key] = answer
    if problems:
        raise InvalidInput(problems[0].message, errors=problems)
    return answers


def _read(kind: str, values: list[str], parts: Mapping[str, str]) -> Any:
    match kind:
        case "boolean":
            return {"true": True, "false": False}.get(values[0], values[0])
        case "multichoice":
            return [value for value in values if value != NONE_OF_THESE]
        case "scale" | "number":
            return _number(values[0]) if values[0].strip() else None
        case "span":
            lines = [line.strip() for value in values for line in value.split("\n")]
            return [_passage(line, parts) for line in lines if line]
        case _:
            return values[0]


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _passage(line: str, parts: Mapping[str, str]) -> dict[str, Any]:
    """The passage that a line names by its place, or else quotes."""
    if match := _PLACED.fullmatch(line):
        part, start, end = match[1], int(match[2]), int(match[3])
        if not start < end <= len(parts.get(part, "")):
            raise InvalidInput(f"there is no passage at {part} {start}-{end}")
    else:
        part, start, end = _find_quote(line, parts)
    return {"part": part, "start": start, "end": end, "quote": parts[part][start:end][:MAX_QUOTE]}


def _find_quote(quote: str, parts: Mapping[str, str]) -> tuple[str, int, int]:
    """Where a quote stands, whatever its spaces; outputs are what is judged, so they come first."""
    pattern = re.compile(r"\s+".join(re.escape(word) for word in quote.split()))
    for part in sorted(parts, key=lambda name: not name.startswith("output")):
        if match := pattern.search(parts[part]):
            return part, match.start(), match.end()
    raise InvalidInput(f"this passage is not in the conversation: “{quote[:80]}”", code="no_quote")


def wrong_fields(error: InvalidInput) -> dict[str, str]:
    """{question key: what is wrong} of an error of the answers; other fields by their own name."""
    wrong: dict[str, str] = {}
    for field in error.errors:
        head, _, rest = field.path.partition(".")
        key = re.split(r"[.\[]", rest)[0] if head == "answers" and rest else head
        wrong.setdefault(key, field.message)
    return wrong


def read_seconds(text: str) -> float | None:
    """Seconds as the page measured them; None where it could not, or where they make no sense."""
    try:
        seconds = float(text)
    except ValueError:
        return None
    return seconds if 0 <= seconds <= 86_400 else None
