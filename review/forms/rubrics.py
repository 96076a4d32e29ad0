"""Forms of rubrics: questions as fields that people can fill in, and as plain data."""

from collections.abc import Iterable
from typing import Any

from django import forms

from review.clauses import KEY_RULE
from review.models import PolicyVersion, Question
from review.questions import MAX_OPTIONS, MAX_QUESTIONS, MAX_TEXT

# The form field that shows an error of the plain data's field.
ALIASES = {"violation": "violation_in"}


class RubricForm(forms.Form):
    policy = forms.ChoiceField(
        label="Rests on", help_text="The published version of this policy, when you save."
    )
    changelog = forms.CharField(
        label="What is new", required=False, widget=forms.Textarea(attrs={"rows": 2})
    )
    seen_digest = forms.CharField(required=False, max_length=64, widget=forms.HiddenInput)

    def __init__(self, *args: Any, policies: Iterable[PolicyVersion], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["policy"].choices = [  # type: ignore[attr-defined]  # a ChoiceField
            (version.policy.slug, str(version)) for version in policies
        ]


class QuestionForm(forms.Form):
    text = forms.CharField(label="Question", max_length=MAX_TEXT)
    key = forms.CharField(max_length=63, help_text=f"Names the answer in exports: {KEY_RULE}.")
    kind = forms.ChoiceField(choices=Question.Kind.choices)
    options = forms.CharField(
        required=False,
        help_text=f"One a line as “value: label”, at most {MAX_OPTIONS}. For a scale: labels of "
        "its steps, as “1: not at all”.",
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    minimum = forms.FloatField(required=False, help_text="Of a scale or number.")
    maximum = forms.FloatField(required=False)
    required = forms.BooleanField(label="Needs an answer", required=False, initial=True)
    clauses = forms.MultipleChoiceField(
        label="Rests on clauses", required=False, widget=forms.CheckboxSelectMultiple
    )
    violation_in = forms.CharField(
        label="Answers that say “violation”",
        required=False,
        max_length=400,
        help_text="Separated by commas: yes, or values of options, or steps of a scale. Just one "
        "question of a rubric has this or the next field.",
    )
    violation_at_least = forms.FloatField(label="“Violation” from this number on", required=False)

    def __init__(self, *args: Any, clauses: list[tuple[str, str]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["clauses"].choices = clauses  # type: ignore[attr-defined]  # a ChoiceField

    def plain(self) -> dict[str, Any]:
        """The question as `parse_questions` takes it."""
        given = self.cleaned_data
        return {
            "key": given["key"],
            "text": given["text"],
            "kind": given["kind"],
            "options": _options(given),
            "required": given["required"],
            "clauses": given["clauses"],
            "violation": _rule(given),
        }


QuestionFormSet = forms.formset_factory(
    QuestionForm, extra=0, max_num=MAX_QUESTIONS, absolute_max=MAX_QUESTIONS + 1
)


def as_fields(question: dict[str, Any]) -> dict[str, Any]:
    """A plain question as initial values of its form."""
    options, rule = question["options"], question["violation"] or {}
    bounds = options if isinstance(options, dict) else {}
    return {
        **{name: question[name] for name in ("key", "text", "kind", "required", "clauses")},
        "options": "\n".join(_lines(options)),
        "minimum": bounds.get("min"),
        "maximum": bounds.get("max"),
        "violation_in": ", ".join(_word(value) for value in rule.get("in", [])),
        "violation_at_least": rule.get("at_least"),
    }


def _lines(options: Any) -> list[str]:
    if isinstance(options, list):
        return [f"{option['value']}: {option['label']}" for option in options]
    labels = options.get("labels", {}) if isinstance(options, dict) else {}
    return [f"{step}: {label}" for step, label in sorted(labels.items(), key=_step)]


def _step(pair: tuple[str, str]) -> int:
    return int(pair[0])


def _options(given: dict[str, Any]) -> Any:
    lines = [line.strip() for line in given["options"].splitlines() if line.strip()]
    pairs = [
        (value.strip(), label.strip() or value.strip()) for value, _, label in map(_cut, lines)
    ]
    bounds = {
        name: _whole(given[field])
        for name, field in (("min", "minimum"), ("max", "maximum"))
        if given[field] is not None
    }
    match given["kind"]:
        case "choice" | "multichoice":
            return [{"value": value, "label": label} for value, label in pairs]
        case "scale":
            return {**bounds, "labels": dict(pairs)}
        case "number":
            return bounds or None
    return [{"value": value, "label": label} for value, label in pairs] or None


def _cut(line: str) -> tuple[str, str, str]:
    return line.partition(":")


def _whole(number: float) -> float | int:
    return int(number) if number == int(number) else number


def _rule(given: dict[str, Any]) -> Any:
    words = [word.strip() for word in given["violation_in"].split(",") if word.strip()]
    rule: dict[str, Any] = {}
    if words:
        rule["in"] = [_answer(given["kind"], word) for word in words]
    if given["violation_at_least"] is not None:
        rule["at_least"] = _whole(given["violation_at_least"])
    return rule or None


def _answer(kind: str, word: str) -> Any:
    if kind == "boolean":
        return {"yes": True, "true": True, "no": False, "false": False}.get(word.lower(), word)
    if kind == "scale":
        return int(word) if word.lstrip("-").isdecimal() and len(word) < 8 else word
    return word


def _word(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
