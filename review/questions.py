"""Questions as people write them: parsed from plain data, checked, digested. Pure: no database."""

import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput
from review.clauses import key_errors, unknown_errors
from review.violations import normal_rule, rule_errors

KINDS = ("boolean", "choice", "multichoice", "scale", "number", "text", "span")
MAX_QUESTIONS = 9
MAX_OPTIONS = 9  # one key of the keyboard each
MAX_TEXT = 400
_MAX_VALUE = 63
_MAX_LABEL = 120
_FIELDS = {"key", "text", "kind", "options", "required", "clauses", "violation"}


@dataclass(frozen=True, slots=True)
class QuestionForm:
    """One question, its options in full form: `[{value, label}]`, `{min, max, labels}` or None."""

    key: str
    text: str
    kind: str
    options: Any
    required: bool
    clauses: tuple[str, ...]
    violation: Any

    def as_plain(self) -> dict[str, Any]:
        return {**asdict(self), "clauses": list(self.clauses)}


def parse_questions(
    raw: Any, clause_keys: Collection[str], path: str = "questions"
) -> list[QuestionForm]:
    """Questions from plain data.

    Args:
        raw: a list of `{key, text, kind, options?, required?, clauses?, violation?}`.
        clause_keys: the clauses that questions may rest on.
        path: of the list, for errors.

    Raises:
        InvalidInput: with one error per wrong field, at paths like `questions[2].options`.
    """
    if not isinstance(raw, list) or len(raw) > MAX_QUESTIONS:
        raise InvalidInput.at(path, f"a list of at most {MAX_QUESTIONS} questions")
    codec.check_storable(raw, path)
    problems = list(key_errors(raw, path))
    questions = []
    for index, item in enumerate(raw):
        at = f"{path}[{index}]"
        if not isinstance(item, dict):
            problems.append(FieldError(at, "object", "a question is an object"))
            continue
        found = list(_question_errors(item, clause_keys, at))
        if not found:
            question = _normal(item)
            found = list(rule_errors(question, f"{at}.violation"))
            questions.append(question)
        problems += found
    if problems:
        raise InvalidInput(problems[0].message, errors=problems)
    return questions


def completeness_errors(questions: Iterable[QuestionForm]) -> Iterator[FieldError]:
    """What keeps questions from being published: a form says "violation or not" exactly once."""
    ruled = [(i, question) for i, question in enumerate(questions) if question.violation]
    if not ruled:
        yield FieldError(
            "questions", "no_violation_rule", "one question has to say what counts as a violation"
        )
    for index, _ in ruled[1:]:
        yield FieldError(
            f"questions[{index}].violation",
            "second_violation_rule",
            "another question says already what counts as a violation",
        )
    for index, question in ruled[:1]:
        if not question.required:
            yield FieldError(
                f"questions[{index}].required",
                "violation_optional",
                "the question that says what counts as a violation needs an answer",
            )
        if not question.clauses:
            yield FieldError(
                f"questions[{index}].clauses",
                "no_clauses",
                "the question that says what counts as a violation rests on at least one clause",
            )


def rubric_digest(policy_digest: str, questions: Iterable[QuestionForm]) -> str:
    """The digest of a rubric version: the questions as shown, and the policy they rest on."""
    return codec.digest(
        {"policy": policy_digest, "questions": [question.as_plain() for question in questions]}
    )


def _question_errors(
    item: dict[str, Any], clause_keys: Collection[str], at: str
) -> Iterator[FieldError]:
    yield from unknown_errors(item, _FIELDS, at)
    text, kind = item.get("text"), item.get("kind")
    if not isinstance(text, str) or not text.strip() or len(text) > MAX_TEXT:
        yield FieldError(f"{at}.text", "text", f"1 to {MAX_TEXT} characters")
    if kind not in KINDS:
        yield FieldError(f"{at}.kind", "kind", f"one of {', '.join(KINDS)}")
    else:
        yield from _option_errors(kind, item.get("options"), f"{at}.options")
    if not isinstance(item.get("required", True), bool):
        yield FieldError(f"{at}.required", "boolean", "true or false")
    clauses = item.get("clauses", [])
    if not isinstance(clauses, list) or len(clauses) > len(clause_keys):
        yield FieldError(f"{at}.clauses", "clauses", "a list of clause keys, each once")
        return
    for index, key in enumerate(clauses):
        if not isinstance(key, str) or key not in clause_keys:
            yield FieldError(
                f"{at}.clauses[{index}]", "unknown_clause", "the policy version has no such clause"
            )
        elif key in clauses[:index]:
            yield FieldError(f"{at}.clauses[{index}]", "repeated", "this clause is named twice")


def _option_errors(kind: str, options: Any, path: str) -> Iterator[FieldError]:
    if kind in ("choice", "multichoice"):
        yield from _choice_errors(kind, options, path)
    elif kind == "scale":
        yield from _scale_errors(options, path)
    elif kind == "number":
        yield from _number_errors(options, path)
    elif options not in (None, [], {}):
        yield FieldError(path, "options", f"a {kind} question has no options")


def _choice_errors(kind: str, options: Any, path: str) -> Iterator[FieldError]:
    least = 2 if kind == "choice" else 1
    if not isinstance(options, list) or not least <= len(options) <= MAX_OPTIONS:
        yield FieldError(path, "options", f"a list of {least} to {MAX_OPTIONS} options")
        return
    seen = set()
    for index, option in enumerate(options):
        value, label = _value_and_label(option)
        if not isinstance(value, str) or not 0 < len(value.strip()) <= len(value) <= _MAX_VALUE:
            yield FieldError(f"{path}[{index}]", "options", "{value, label}, or a value alone")
        elif not isinstance(label, str) or not 0 < len(label.strip()) <= len(label) <= _MAX_LABEL:
            yield FieldError(
                f"{path}[{index}].label", "options", f"1 to {_MAX_LABEL} characters of text"
            )
        elif value in seen:
            yield FieldError(f"{path}[{index}]", "repeated", f"the value {value!r} occurs twice")
        else:
            seen.add(value)


def _value_and_label(option: Any) -> tuple[Any, Any]:
    if isinstance(option, dict) and set(option) <= {"value", "label"}:
        return option.get("value"), option.get("label", option.get("value"))
    return option, option


def _scale_errors(options: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(options, dict) or not {"min", "max"} <= set(options) <= {
        "min",
        "max",
        "labels",
    }:
        yield FieldError(path, "options", "{min, max, labels?}")
        return
    low, high = options["min"], options["max"]
    if not (_is_whole(low) and _is_whole(high) and 0 < high - low < MAX_OPTIONS):
        yield FieldError(path, "options", f"whole numbers, min < max, at most {MAX_OPTIONS} steps")
        return
    labels = options.get("labels") or {}
    if not isinstance(labels, dict) or not all(
        isinstance(text, str) and len(text) <= _MAX_LABEL for text in labels.values()
    ):
        yield FieldError(f"{path}.labels", "options", "an object from steps to texts")
    elif not set(labels) <= {str(step) for step in range(low, high + 1)}:
        yield FieldError(f"{path}.labels", "options", "labels are for steps of the scale")


def _number_errors(options: Any, path: str) -> Iterator[FieldError]:
    if options is None:
        return
    if not isinstance(options, dict) or not set(options) <= {"min", "max"}:
        yield FieldError(path, "options", "{min?, max?}")
    elif not all(_is_number(bound) for bound in options.values()):
        yield FieldError(path, "options", "bounds are numbers")
    elif len(options) == 2 and options["min"] >= options["max"]:
        yield FieldError(path, "options", "min is less than max")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1_000_000


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e15 and math.isfinite(value)


def _normal(item: dict[str, Any]) -> QuestionForm:
    kind: str = item["kind"]
    options: Any = item.get("options")
    if kind in ("choice", "multichoice"):
        pairs = [_value_and_label(option) for option in options]
        options = [{"value": value, "label": label} for value, label in pairs]
    elif kind == "scale":
        options = {**options, "labels": options.get("labels") or {}}
    else:
        options = options or None
    return QuestionForm(
        key=item["key"] if isinstance(item.get("key"), str) else "",
        text=item["text"].strip(),
        kind=kind,
        options=options,
        required=item.get("required", True),
        clauses=tuple(item.get("clauses", [])),
        violation=normal_rule(kind, item.get("violation")),
    )
