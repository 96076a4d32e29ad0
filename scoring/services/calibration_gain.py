"""What a calibration is worth beside another one of the same scorer, or beside the base rate.

Two versions that differ in their calibration alone put every record in the same tier, so tiers
cannot tell them apart: the log loss of what they state on unknown verdicts does.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.backtest_reports import LOSS_RULE
from scoring.core.calibration_learning import LossComparison, compare_losses
from scoring.core.scorers.calibration_map_v1 import without_calibration
from scoring.core.state import from_bytes
from scoring.models import ScorerVersion
from scoring.services.calibrating import as_told
from scoring.verified import VerifiedLabels

FloatArray = npt.NDArray[np.float64]


def differ_in_calibration_alone(version: ScorerVersion, reference: ScorerVersion) -> bool:
    """Whether the two give every record the same raw score and tier, by their frozen states."""
    bare = [
        without_calibration(from_bytes(bytes(one.state))).digest() for one in (version, reference)
    ]
    return bare[0] == bare[1]


def told(comparison: LossComparison) -> dict[str, Any]:
    """A comparison of losses with the rule that reads it, and what the rule says."""
    return {"rule": LOSS_RULE, **as_told(comparison), "says": _says(comparison)}


def gain_of(
    version: ScorerVersion,
    reference: ScorerVersion,
    labels: VerifiedLabels,
    stated: tuple[FloatArray, FloatArray],
    fresh: npt.NDArray[np.bool_],
) -> dict[str, Any]:
    """The gain of a version over a reference from which only its calibration sets it apart.

    Args:
        stated: float64 (n,) each, the probabilities of version and reference; NaN everywhere
            where one states none, which then stands for the share of violations that the other
            one was taught.
        fresh: bool (n,), labels that neither was fitted on. Where they are too few, what was said
            out of fold when the version was proposed stands.
    """
    sides = _filled(stated, _base_rate(version, reference))
    rows = fresh & ~np.isnan(sides[0]) & ~np.isnan(sides[1])
    comparison = compare_losses(
        sides[0][rows], sides[1][rows], labels.label[rows], labels.weight[rows]
    )
    proposed = _calibration(version).get("gain")
    if comparison.value is None and proposed and _is_of(version, reference):
        return dict(proposed)
    return told(comparison)


def _filled(stated: tuple[FloatArray, FloatArray], rate: float) -> list[FloatArray]:
    return [np.full(len(p), rate) if np.isnan(p).all() else p for p in stated]


def _base_rate(version: ScorerVersion, reference: ScorerVersion) -> float:
    known = [(_calibration(one).get("base_rate") or {}).get("rate") for one in (version, reference)]
    return float(next((rate for rate in known if rate is not None), np.nan))


def _calibration(version: ScorerVersion) -> Mapping[str, Any]:
    found: Mapping[str, Any] = version.baseline.get("calibration") or {}
    return found


def _is_of(version: ScorerVersion, reference: ScorerVersion) -> bool:
    return bool(version.baseline.get("calibration_of") == reference.number)


def _says(comparison: LossComparison) -> str:
    if comparison.value is None:
        return "undecided"
    if comparison.is_better:
        return "better"
    return "worse" if comparison.low > 0 else "undecided"
