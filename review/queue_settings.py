"""A queue's settings as people give them: an allow-list of names, each with its check."""

from collections.abc import Callable, Mapping
from typing import Any

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput
from review.filters import MAX_TEXT, check_filter
from review.models import ReviewQueue
from review.models.queues import BudgetRule
from review.naming import check_name
from review.violations import is_finite_number
from scoring.core import queue_profiles

# Draws that exist; a new one gets a new name, and the old one stays (docs/decisions).
STRATEGIES = ("hybrid_v1", "hybrid_fast_v1", "uniform_v1")
# Settings that were measured together (docs/learning-figures.md), by name.
PROFILES = {
    profile.name: {
        "strategy": profile.strategy,
        "floor": profile.floor,
        "effective_size": profile.size_in_budgets,
    }
    for profile in queue_profiles.PROFILES
}
MAX_SEGMENT_TERMS = 4
MAX_BUDGET = 100_000
MAX_TAU = 1_000


def check_settings(raw: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, checked, as the model stores them.

    Args:
        raw: any of `SETTINGS`, others are refused; `tau` is a number or "auto". `profile` stands
            for the settings of that name in `PROFILES`, which others beside it override.

    Raises:
        InvalidInput: with one error per wrong setting, at its name.
    """
    problems: list[FieldError] = []
    checked: dict[str, Any] = {}
    for name, value in _spelt_out(raw, problems).items():
        check = SETTINGS.get(name)
        if check is None:
            problems.append(FieldError(name, "unknown_field", "a queue has no such setting"))
            continue
        try:
            checked[name] = check(name, value)
        except InvalidInput as error:
            problems += error.errors
    if problems:
        raise InvalidInput(problems[0].message, errors=problems)
    return checked


def _spelt_out(raw: Mapping[str, Any], problems: list[FieldError]) -> dict[str, Any]:
    """The settings with those that a profile stands for in its place."""
    own = dict(raw)
    name = own.pop("profile", None)
    if name is None:
        return own
    if not isinstance(name, str) or name not in PROFILES:
        problems.append(FieldError("profile", "choice", f"one of {', '.join(PROFILES)}"))
        return own
    return {**PROFILES[name], **own}


def _number(low: float, high: float) -> Callable[[str, Any], float]:
    def check(name: str, value: Any) -> float:
        if not is_finite_number(value) or not low <= value <= high:
            raise InvalidInput.at(name, f"a number from {low:g} to {high:g}", "range")
        return float(value)

    return check


def _whole(low: int, high: int) -> Callable[[str, Any], int]:
    def check(name: str, value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise InvalidInput.at(name, f"a whole number from {low:,} to {high:,}", "range")
        return value

    return check


def _one_of(*words: str) -> Callable[[str, Any], str]:
    def check(name: str, value: Any) -> str:
        if not isinstance(value, str) or value not in words:
            raise InvalidInput.at(name, f"one of {', '.join(words)}", "choice")
        return value

    return check


def _tau(name: str, value: Any) -> float | None:
    if value is None or value == "auto":
        return None
    if not is_finite_number(value) or not 0 <= value <= MAX_TAU:
        raise InvalidInput.at(name, f'"auto", or a number from 0 to {MAX_TAU:,}', "range")
    return float(value)


def _segment_terms(name: str, value: Any) -> list[str]:
    if not isinstance(value, list) or len(value) > MAX_SEGMENT_TERMS:
        raise InvalidInput.at(name, f"a list of at most {MAX_SEGMENT_TERMS} fields", "list")
    codec.check_storable(value, name)
    if not all(isinstance(one, str) and 0 < len(one) <= MAX_TEXT for one in value):
        raise InvalidInput.at(name, "`region`, or names of context fields", "text")
    return list(dict.fromkeys(value))


def _overlap(name: str, value: Any) -> float:
    number = _number(0, 9)(name, value)
    if number > 1 and number != int(number):
        raise InvalidInput.at(name, "a share up to 1, or a whole number of reviewers", "range")
    return number


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput.at(name, "true or false", "boolean")
    return value


SETTINGS: dict[str, Callable[[str, Any], Any]] = {
    "name": lambda _, value: check_name(value, ""),
    "filter": lambda name, value: check_filter(value, name),
    "strategy": _one_of(*STRATEGIES),
    "tau": _tau,
    "effective_size": _number(1.2, 100),
    "segment_terms": _segment_terms,
    "floor": _number(0.01, 1),
    "budget": _whole(1, MAX_BUDGET),
    "evaluation_budget": _whole(0, MAX_BUDGET),
    "intervened_budget": _whole(0, MAX_BUDGET),
    "budget_rule": _one_of(*BudgetRule.values),
    "max_age_hours": _whole(1, 8_760),
    "overlap": _overlap,
    "gold_share": _number(0, 0.5),
    "evidence": _one_of(*ReviewQueue.Evidence.values),
    "lease_seconds": _whole(30, 86_400),
    "is_paused": _boolean,
}
