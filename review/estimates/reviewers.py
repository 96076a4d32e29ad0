"""How reviewers err, all of them pooled: what an error-corrected figure rests on."""

from collections.abc import Mapping
from dataclasses import dataclass

from review.estimates.ask import Ask
from scoring.core.agreement.gold import GoldAccuracy

LEAST_SINGLE = 0.9
NOT_SINGLE = (
    "Most answers here are majorities or adjudicated; the error of a single answer does not "
    "describe them."
)
_NO_GOLD = "No gold items say yet how often reviewers err."


@dataclass(frozen=True, slots=True)
class Pooled:
    """The pooled reviewers' sensitivity and specificity, or the reason why they are not known."""

    accuracy: GoldAccuracy | None
    method: str
    reason: str | None = None


def pooled(ask: Ask) -> Pooled:
    """What gold items say of single answers to the question asked."""
    return Pooled(None, "gold", _NO_GOLD)


def describes(rules: Mapping[str, int]) -> bool:
    """Whether nearly all answers are single ones, whose errors gold measures."""
    return rules.get("single", 0) >= LEAST_SINGLE * sum(rules.values())
