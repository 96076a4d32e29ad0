"""A decision: what a scorer made of one record, with its reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scoring.models import Action


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one record, and why; what a duplicate is answered with again."""

    scorer_version: int
    raw: float
    score: float
    p_violation: float | None
    weight: float
    tier: int
    action: Action
    reasons: Sequence[Mapping[str, Any]] = field(default=())
    intervention: Mapping[str, Any] | None = None
