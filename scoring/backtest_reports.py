"""Backtests as plain JSON: figures with their intervals, and nulls that say why they are null."""

from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.core.backtest import LEVEL, Comparison, Detection, Figure, Metrics, Report
from scoring.core.reliability import reliability

TIER_RULE = "tier_gain_v1"
LOSS_RULE = "log_loss_interval_v1"
MIN_LABELS_OF_SEGMENT = 10
MIN_LABELS_OF_CALIBRATION = 20
MIN_EFFECTIVE = 10.0  # records that a gain rests on once weighted; fewer decide nothing
_WHY = {
    "precision": "no judged record is an alarm at this tier",
    "recall": "no judged record is a violation",
    "dismissed": "no judged record is an alarm at this tier",
    "recall_gain": "no judged record is a violation",
}
NO_REFERENCE = "no version was in use before this one"


def tier_part(report: Report, *, has_reference: bool) -> dict[str, Any]:
    """Tiers and segments of a report of `scoring.core.backtest`."""
    return {
        "level": LEVEL,
        "tiers": [
            {"tier": number, **_comparison(compared, has_reference)}
            for number, compared in enumerate(report.by_tier, start=1)
        ],
        "segment_tier": report.segment_tier,
        "segments": [
            {"field": field, "value": value, **_comparison(compared, has_reference)}
            for (field, value), compared in report.by_segment.items()
            if _n_labels(compared) >= MIN_LABELS_OF_SEGMENT
        ],
    }


def calibration_part(
    candidate: npt.NDArray[np.float64],
    previous: npt.NDArray[np.float64] | None,
    label: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    *,
    why_none: str,
) -> dict[str, Any]:
    """What the stated probabilities are worth on labels that neither version's were fitted on.

    Args:
        candidate, previous: float64 (n,), NaN where none is stated; no previous one: None.
        label, weight: float64 (n,), as `JudgedRecords` has them.
        why_none: what to say where there are no labels at all.
    """
    return {
        "candidate": _proper(candidate, label, weight, why_none),
        "previous": {"value": None, "reason": NO_REFERENCE}
        if previous is None
        else _proper(previous, label, weight, why_none),
    }


def verdict_of(report: dict[str, Any], has_reference: bool) -> dict[str, Any]:
    """better, worse or undecided: the one verdict on a version, by what sets it apart.

    A version with a `calibration_gain` differs in its calibration alone; its tiers are those of
    the other, and the interval of its log loss decides. Any other is judged by its tiers.
    """
    gain = report["calibration_gain"]
    if gain:
        reason = gain.get("reason", "")
        if not reason and gain["says"] == "undecided":
            reason = "the interval of the difference in log loss holds 0"
        return {"rule": gain["rule"], "says": gain["says"], "reason": reason}
    return _tier_verdict(report, has_reference)


def _tier_verdict(report: dict[str, Any], has_reference: bool) -> dict[str, Any]:
    """By the intervals of the two gains at the segments' tier.

    Better: one gain's interval lies above 0 and the other's not below; worse the other way round.
    """
    told = {"rule": TIER_RULE, "tier": report["segment_tier"]}
    if not has_reference:
        return {**told, "says": "undecided", "reason": NO_REFERENCE}
    at = report["tiers"][report["segment_tier"] - 1]
    gains = [at["recall_gain"], at["precision_gain"]]
    known = [gain for gain in gains if gain["value"] is not None]
    if not known:
        same = at["n_records"] and not at["n_different"]
        reason = _same(at["n_records"], at["n_labels"]) if same else gains[0]["reason"]
        return {**told, "says": "undecided", "reason": reason}
    known = [gain for gain in known if gain["n_effective"] >= MIN_EFFECTIVE]
    if not known:
        reason = f"weighted, the labels count for fewer than {MIN_EFFECTIVE:.0f} records"
        return {**told, "says": "undecided", "reason": reason}
    up = any(gain["low"] > 0 for gain in known)
    down = any(gain["high"] < 0 for gain in known)
    if up == down:
        reason = "one gain is up and the other down" if up else "both intervals hold 0"
        return {**told, "says": "undecided", "reason": reason}
    return {**told, "says": "better" if up else "worse", "reason": ""}


def _n_labels(compared: Comparison) -> int:
    """Records that speak at all: alarms of the candidate or violations."""
    candidate = compared.candidate
    return max(candidate.dismissed.n_records, candidate.recall.n_records)


def _comparison(compared: Comparison, has_reference: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "n_records": compared.n_records,
        "n_labels": compared.n_labels,
        "n_different": compared.n_different if has_reference else None,
        "candidate": _metrics(compared.candidate),
    }
    if not has_reference:
        unknown = {"value": None, "reason": NO_REFERENCE}
        return {**told, "previous": None, "precision_gain": unknown, "recall_gain": unknown}
    return {
        **told,
        "previous": _metrics(compared.previous),
        "precision_gain": _gain(compared.precision_gain, _why_no_precision_gain(compared)),
        "recall_gain": _gain(compared.recall_gain, _why_no_recall_gain(compared)),
    }


def _why_no_precision_gain(compared: Comparison) -> str:
    sides = (compared.candidate.precision, compared.previous.precision)
    if not compared.n_different:
        return _same(compared.n_records, compared.n_labels)
    if any(side.value is None for side in sides):
        return "one of the two raises no alarm on the judged records"
    return f"both raise the same {sides[0].n_records} alarms among the records with a label"


def _why_no_recall_gain(compared: Comparison) -> str:
    n = compared.candidate.recall.n_records
    if not n:
        return _WHY["recall_gain"]
    if not compared.n_different:
        return _same(compared.n_records, compared.n_labels)
    return f"none of the {n} judged violations is decided differently"


def _same(n_records: int, n_labels: int) -> str:
    """Why two versions that decide alike have no gain to tell."""
    return f"no record is decided differently: {n_records} compared, {n_labels} with a label"


def _gain(figure: Figure, why_none: str) -> dict[str, Any]:
    if figure.value is None:
        return {"value": None, "reason": why_none, "n_records": figure.n_records}
    return _told(figure)


def _metrics(metrics: Metrics) -> dict[str, Any]:
    return {
        "precision": _figure("precision", metrics.precision),
        "recall": _figure("recall", metrics.recall),
        "dismissed": _figure("dismissed", metrics.dismissed),
        "detection": _detection(metrics.detection),
    }


def _figure(name: str, figure: Figure) -> dict[str, Any]:
    if figure.value is None:
        return {"value": None, "reason": _WHY[name], "n_records": figure.n_records}
    return _told(figure)


def _told(figure: Figure) -> dict[str, Any]:
    return {
        "value": figure.value,
        "low": figure.low,
        "high": figure.high,
        "n_records": figure.n_records,
        "n_effective": figure.n_effective,
    }


def _detection(found: Detection) -> dict[str, Any]:
    told = {"n_episodes": found.n_episodes, "n_detected": found.n_detected}
    if found.median_seconds is None:
        reason = "no episode" if not found.n_episodes else "no episode was noticed"
        return {**told, "median_seconds": None, "reason": reason}
    return {**told, "median_seconds": found.median_seconds}


def _proper(
    p: npt.NDArray[np.float64],
    label: npt.NDArray[np.float64],
    weight: npt.NDArray[np.float64],
    why_none: str,
) -> dict[str, Any]:
    rows = ~np.isnan(p) & ~np.isnan(label)
    if not len(label):
        return {"value": None, "reason": why_none}
    if not rows.any():
        return {"value": None, "reason": "it states no probabilities"}
    n = int(rows.sum())
    if n < MIN_LABELS_OF_CALIBRATION:
        reason = f"{n} labels, at least {MIN_LABELS_OF_CALIBRATION} are needed"
        return {"value": None, "reason": reason}
    found = reliability(p[rows], label[rows], weights=weight[rows])
    return {
        "log_loss": found.log_loss,
        "brier": found.brier,
        "calibration_error": found.calibration_error,
        "n_labels": n,
    }
