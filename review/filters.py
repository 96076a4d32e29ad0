"""Which records may enter a queue: a small, allow-listed language over a record's fields.

    {"model": "assistant", "version": ["3", "4"], "region": "eu", "action": "review",
     "tier_min": 2, "score_min": 0.5, "score_max": 1,
     "context": {"language": ["en", "de"], "is_minor": true}}

A list says "one of"; all conditions hold together. Names come from here, never from the caller, so
a filter cannot reach another column or table.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from django.db.models import Q

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput
from oversight.tenancy.models import Project
from review.violations import is_finite_number
from scoring.models import Action, ModelVersion

MAX_VALUES = 50
MAX_TEXT = 200
MAX_CONTEXT = 32
TIERS = range(5)

_MODEL = {"model": "name__in", "version": "version__in"}  # columns of ModelVersion
_TEXTS = {*_MODEL, "region"}
_ACTIONS = {action.label: int(action) for action in Action}
_KNOWN = {*_TEXTS, "action", "tier_min", "score_min", "score_max", "context"}


def check_filter(raw: Any, path: str = "filter") -> dict[str, Any]:
    """A filter, checked, as it is stored.

    Raises:
        InvalidInput: at paths such as `filter.context.region[1]`.
    """
    if not isinstance(raw, Mapping):
        raise InvalidInput.at(path, "an object of conditions")
    codec.check_storable(dict(raw), path)
    problems = list(_errors(raw, path))
    if problems:
        raise InvalidInput(problems[0].message, errors=problems)
    return {name: raw[name] for name in sorted(raw)}


def to_q(project: Project, record_filter: Mapping[str, Any]) -> Q:
    """The query condition of a checked filter, over the project's InferenceRecords."""
    condition = Q()
    model = {
        _MODEL[name]: _listed(value) for name, value in record_filter.items() if name in _MODEL
    }
    if model:
        # As literals: a join would be planned over all partitions of the records.
        versions = ModelVersion.objects.filter(project=project, **model)
        condition &= Q(model_version__in=list(versions.values_list("pk", flat=True)))
    for name, value in record_filter.items():
        if name in _MODEL:
            continue
        if name == "region":
            condition &= Q(region__in=_listed(value))
        elif name == "action":
            condition &= Q(action__in=[_ACTIONS[word] for word in _listed(value)])
        elif name == "tier_min":
            condition &= Q(tier__gte=value)
        elif name == "score_min":
            condition &= Q(score__gte=value)
        elif name == "score_max":
            condition &= Q(score__lte=value)
        elif name == "context":
            condition &= _context(value)
        else:
            raise ValueError(f"an unchecked filter: {name!r}")
    return condition


def _context(conditions: Mapping[str, Any]) -> Q:
    both = Q()
    for name, value in conditions.items():
        one_of = Q()
        for single in _listed(value):
            one_of |= Q(context__contains={name: single})
        both &= one_of
    return both


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _errors(raw: Mapping[str, Any], path: str) -> Iterator[FieldError]:
    for name, value in raw.items():
        at = f"{path}.{name}"
        if name not in _KNOWN:
            yield FieldError(at, "unknown_filter", f"one of {', '.join(sorted(_KNOWN))}")
        elif name in _TEXTS:
            yield from _value_errors(value, at, _is_text, f"text of at most {MAX_TEXT} characters")
        elif name == "action":
            yield from _value_errors(value, at, _is_action, f"one of {', '.join(_ACTIONS)}")
        elif name == "tier_min":
            if isinstance(value, bool) or not isinstance(value, int) or value not in TIERS:
                yield FieldError(at, "tier", f"a whole number from 0 to {TIERS[-1]}")
        elif name == "context":
            yield from _context_errors(value, at)
        elif not is_finite_number(value) or not 0 <= value <= 1:
            yield FieldError(at, "score", "a number from 0 to 1")
    low, high = raw.get("score_min", 0), raw.get("score_max", 1)
    if is_finite_number(low) and is_finite_number(high) and low > high:
        yield FieldError(f"{path}.score_max", "score", "not less than score_min")


def _context_errors(raw: Any, path: str) -> Iterator[FieldError]:
    if not isinstance(raw, Mapping) or len(raw) > MAX_CONTEXT:
        yield FieldError(path, "context", f"an object of at most {MAX_CONTEXT} conditions")
        return
    for name, value in raw.items():
        yield from _value_errors(value, f"{path}.{name}", _is_scalar, "a text, number or boolean")


def _value_errors(value: Any, path: str, fits: Any, rule: str) -> Iterator[FieldError]:
    if not isinstance(value, list):
        if not fits(value):
            yield FieldError(path, "value", f"{rule}, or a list of such")
        return
    if not 0 < len(value) <= MAX_VALUES:
        yield FieldError(path, "value", f"a list of 1 to {MAX_VALUES} values")
        return
    for index, single in enumerate(value):
        if not fits(single):
            yield FieldError(f"{path}[{index}]", "value", rule)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= MAX_TEXT


def _is_action(value: Any) -> bool:
    return isinstance(value, str) and value in _ACTIONS


def _is_scalar(value: Any) -> bool:
    return isinstance(value, bool) or _is_text(value) or is_finite_number(value)
