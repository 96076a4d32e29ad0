"""Version 1 of the way from a score to tier and action. Frozen: see `__init__`.

Tiers are chosen on rarity, 1 - p with p the share of the baseline that scores as high. Business
context only ever raises a tier: p is divided by a weight that is at least 1, so that weight 2 lets
a field value reach a tier about twice as often.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers.contract import N_TIERS, Action, Intervention, InvalidConfigError

BLOCK, REPLACE = "block", "replace"


@dataclass(frozen=True)
class DecisionRule:
    """How scores become tiers and actions.

    thresholds: float64 (4,), non-decreasing; tier t is reached at thresholds[t - 1].
    context_weights: field -> value (as text) -> weight >= 1; several fields multiply.
    review_from, intervene_from: the lowest tier with that action, None for never.
    """

    thresholds: NDArray[np.float64]
    context_weights: Mapping[str, Mapping[str, float]]
    review_from: int | None
    intervene_from: int | None
    intervention: Intervention | None


@dataclass(frozen=True, eq=False)
class Decisions:
    """tier, action: int8 (n,); weight: float64 (n,) >= 1."""

    tier: NDArray[np.int8]
    action: NDArray[np.int8]
    weight: NDArray[np.float64]


def read_rule(settings: Mapping[str, Any], thresholds: NDArray[np.float64]) -> DecisionRule:
    """Read and check the decision settings of a scorer.

    Raises InvalidConfigError where a field is malformed, a weight is below 1 or not finite, or an
    intervention is asked for but not described.
    """
    if thresholds.shape != (N_TIERS - 1,) or not (np.diff(thresholds) >= 0).all():
        raise InvalidConfigError(f"{N_TIERS - 1} non-decreasing thresholds expected")
    intervene_from = _tier(settings, "intervene_from_tier")
    intervention = _read_intervention(settings.get("intervention"))
    if intervene_from is not None and intervention is None:
        raise InvalidConfigError("intervene_from_tier needs an intervention")
    return DecisionRule(
        thresholds=thresholds,
        context_weights=_read_weights(settings.get("context_weights", {})),
        review_from=_tier(settings, "review_from_tier"),
        intervene_from=intervene_from,
        intervention=intervention,
    )


def decide(
    rule: DecisionRule, rarity: NDArray[np.float64], context: Sequence[Mapping[str, object]]
) -> Decisions:
    """Tier and action from effective = 1 - (1 - rarity) / weight.

    rarity: float64 (n,) in [0, 1], 1 - p.  context: n mappings, or empty.
    """
    weight = context_weight(rule.context_weights, context, len(rarity))
    # max(): 1 - (1 - r) loses the last bit of r, and a weight must never lower a tier
    effective = np.maximum(rarity, 1.0 - (1.0 - rarity) / weight)
    tier = np.searchsorted(rule.thresholds, effective, side="right").astype(np.int8)
    action = np.full(len(rarity), Action.PASS, np.int8)
    if rule.review_from is not None:
        action[tier >= rule.review_from] = Action.REVIEW
    if rule.intervene_from is not None:
        action[tier >= rule.intervene_from] = Action.INTERVENE
    return Decisions(tier=tier, action=action, weight=weight)


def context_weight(
    weights: Mapping[str, Mapping[str, float]], context: Sequence[Mapping[str, object]], n: int
) -> NDArray[np.float64]:
    """Product of the weights of a record's context values; 1 where none is configured."""
    weight = np.ones(n)
    if not context:
        return weight
    for name, by_value in weights.items():
        values = [record.get(name) for record in context]
        texts = [value if type(value) is str else context_text(value) for value in values]
        weight *= [by_value.get(text, 1.0) for text in texts]
    return weight


def context_text(value: object) -> str:
    """A context value as it is written in the settings: `true`, `3`, `2.5`, `EU`."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "" if value is None else str(value)


def thresholds_at(rates: Sequence[float]) -> NDArray[np.float64]:
    """Thresholds on 1 - p that let p <= rate through, whatever the last bit of either says."""
    return 1.0 - np.asarray(rates, np.float64) - 1e-12


def _read_weights(weights: Any) -> dict[str, dict[str, float]]:
    if not isinstance(weights, Mapping) or not all(
        isinstance(by_value, Mapping) for by_value in weights.values()
    ):
        raise InvalidConfigError("context_weights: {field: {value: weight}} expected")
    for name, by_value in weights.items():
        for value, weight in by_value.items():
            if not _is_number(weight) or not 1.0 <= weight < math.inf:
                raise InvalidConfigError(
                    f"context weight of {name}={value} is below 1 or no number"
                )
    return {name: {k: float(w) for k, w in by.items()} for name, by in weights.items()}


def _read_intervention(value: Any) -> Intervention | None:
    if value is None:
        return None
    if not isinstance(value, Mapping) or value.get("kind") not in (BLOCK, REPLACE):
        raise InvalidConfigError("intervention: {kind: block|replace, replacement?} expected")
    replacement = value.get("replacement")
    if (value["kind"] == REPLACE) != isinstance(replacement, str):
        raise InvalidConfigError("an intervention has a replacement text exactly if it replaces")
    return Intervention(kind=value["kind"], replacement=replacement)


def _tier(settings: Mapping[str, Any], name: str) -> int | None:
    value = settings.get(name)
    if value is None:
        return None
    if type(value) is not int or not 1 <= value < N_TIERS:
        raise InvalidConfigError(f"{name}: a tier from 1 to {N_TIERS - 1} expected")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
