"""Version 1 of what violated invariants do to a scorer's decision. Frozen: see `__init__`.

Each violation adds its weight to raw, lifts the tier to its severity and the action to its effect.
The score stays the scorer's: it is a rank among records of the baseline, whose false-alarm rate is
controlled, and a check that is true or false has no place in that ranking. The probability is that
of the whole raw, since people judge records with all that was found in them.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers.calibration_map_v1 import p_violation
from scoring.core.scorers.contract import Action, Explanation, Intervention, Reason, ScoredBatch

INVARIANT = "invariant"
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]
_TIER = {"low": 1, "medium": 2, "high": 3, "critical": 4}
_ACTION = {"flag": Action.REVIEW, "block": Action.INTERVENE, "replace": Action.INTERVENE}


class Violated(Protocol):
    """What a judgement needs to know of a violated invariant (`engine.Violation`)."""

    @property
    def key(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def replacement(self) -> str | None: ...
    @property
    def weight(self) -> float: ...
    @property
    def detail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision on one record, explained.

    raw: the scorer's raw plus the weights of violated invariants; the reasons' contributions sum
    to it.  score: in [0, 1].  p_violation: in [0, 1], None where no calibration exists.
    weight: >= 1, business weight of the context.  tier: in 0..4.  intervention: what INTERVENE
    means here, None for weaker actions.
    """

    raw: float
    score: float
    p_violation: float | None
    low: float | None
    high: float | None
    weight: float
    tier: int
    action: Action
    intervention: Intervention | None
    reasons: tuple[Reason, ...]
    violated: tuple[str, ...]
    cold_start: bool


def judgement(
    scored: ScoredBatch,
    i: int,
    found: Sequence[Violated],
    told: Sequence[Explanation],
    calibration: Curve | None = None,
) -> Judgement:
    """The decision on row i of a scored batch, of which the invariants `found` do not hold.

    told: the scorer's reasons, to come after those of the invariants.  calibration: the scorer's
    own, (raw, p), to be read at the raw that the invariants have added to.
    """
    raw = float(scored.raw[i]) + sum(violation.weight for violation in found)
    p = scored.p_violation[i]
    if found and calibration is not None:
        p = p_violation(calibration, np.array([raw]))[0]
    action = Action(int(scored.action[i]))
    own = scored.intervention if action == Action.INTERVENE else None
    reasons = [
        Reason(INVARIANT, violation.key, violation.weight, violation.detail) for violation in found
    ]
    reasons += [Reason(*reason) for reason in told]
    return Judgement(
        raw=raw,
        score=float(scored.score[i]),
        p_violation=_known(float(p)),
        low=_known(scored.low[i]),
        high=_known(scored.high[i]),
        weight=float(scored.weight[i]),
        tier=max([int(scored.tier[i]), *(_TIER[violation.severity] for violation in found)]),
        action=max([action, *(_ACTION[violation.effect] for violation in found)]),
        intervention=_intervention(own, found),
        reasons=tuple(reasons),
        violated=tuple(violation.key for violation in found),
        cold_start=scored.cold_start,
    )


def _intervention(own: Intervention | None, found: Sequence[Violated]) -> Intervention | None:
    """The gravest wins: any block, then the replacement of the gravest invariant, then own."""
    if own is not None and own.kind == "block":
        return own
    if any(violation.effect == "block" for violation in found):
        return Intervention(kind="block")
    replacing = [violation for violation in found if violation.effect == "replace"]
    if not replacing:
        return own
    gravest = max(replacing, key=lambda violation: _TIER[violation.severity])
    return Intervention(kind="replace", replacement=gravest.replacement)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
