"""Carrying a calibration inside a scorer's state, learnt from labels that are not held out.

Held-out labels are looked at afterwards, for figures alone: they choose nothing here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from oversight.tenancy.models import Project
from scoring.core.calibration_learning import (
    LearntCalibration,
    LossComparison,
    TooFewLabelsError,
    compare_losses,
    learn_calibration,
    smoothed_rate,
)
from scoring.core.judgement import Judge
from scoring.core.reliability import reliability
from scoring.core.scorers.calibration_map_v1 import with_calibration
from scoring.core.state import ScorerState
from scoring.models import InferenceRecord
from scoring.services import subjects
from scoring.services.scoring import judge_all
from scoring.verified import N_FOLDS, VerifiedLabels, as_source

COLD_START = "cold_start"
_CHUNK = 200


@dataclass(frozen=True, eq=False)
class Calibrated:
    """A state with its calibration, and what the labels say about it.

    Attributes:
        state: unchanged where the labels do not support a calibration; `facts` says why.
        facts: for the version's baseline.
        rows: int64 (k,), the labels it was fitted on.
        learnt: None where none was fitted.
    """

    state: ScorerState
    facts: Mapping[str, Any]
    rows: npt.NDArray[np.int64]
    learnt: LearntCalibration | None


def calibrated(
    state: ScorerState, labels: VerifiedLabels, raw: npt.NDArray[np.float64]
) -> Calibrated:
    """Fit the curve from the raw score of a state to the probability of a violation.

    Args:
        state: of any scorer; one that has a calibration gets another.
        raw: float64 (n,), what the state gives the labelled records; see `raw_scores`.
    """
    if state.config["kind"] == COLD_START:
        return _none(state, "a scorer without a baseline gives every record the same score")
    usable = np.isfinite(raw) & ~np.isnan(labels.label) & (labels.weight > 0)
    usable &= ~labels.positives_only
    rows = np.flatnonzero(usable & ~labels.held_out)
    try:
        learnt = learn_calibration(
            raw[rows], labels.label[rows], labels.weight[rows], labels.fold[rows]
        )
    except TooFewLabelsError as error:
        return _none(state, str(error))
    points, p = learnt.calibration.to_points(raw[rows])
    evaluated = np.flatnonzero(usable & labels.held_out)
    rate = smoothed_rate(labels.label[rows], labels.weight[rows])
    facts = {
        **as_source(labels, range(N_FOLDS)),
        "fitted": True,
        "method": learnt.calibration.method,
        "n_labels": learnt.n_labels,
        "n_violations": learnt.n_violations,
        "effective_size": learnt.effective_size,
        "out_of_fold": proper_scores(learnt.out_of_fold, labels, rows),
        "base_rate": {"rate": rate, **proper_scores(learnt.base_rate, labels, rows)},
        **_held_out(np.interp(raw[evaluated], points, p), rate, labels, evaluated),
    }
    return Calibrated(with_calibration(state, raw=points, p=p), facts, rows, learnt)


def _held_out(
    p: npt.NDArray[np.float64], rate: float, labels: VerifiedLabels, rows: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """The curve and the base rate alone on verdicts that taught neither; told, decides nothing."""
    known = np.full(len(rows), rate)
    return {
        "held_out": proper_scores(p, labels, rows),
        "held_out_base_rate": proper_scores(known, labels, rows),
        "held_out_gain": as_told(compare_losses(p, known, labels.label[rows], labels.weight[rows])),
    }


def versus(
    made: Calibrated,
    labels: VerifiedLabels,
    *,
    baseline: Mapping[str, Any],
    p_reference: npt.NDArray[np.float64],
) -> LossComparison:
    """The new calibration against that of the version in use, both on labels unknown to them.

    Args:
        baseline: of the version in use; it says which labels its calibration knows.
        p_reference: float64 (n,), its probability of each label's record; NaN everywhere where it
            states none, and then the share of violations alone is what there is to beat.
    """
    assert made.learnt is not None
    label, weight = labels.label[made.rows], labels.weight[made.rows]
    reference = p_reference[made.rows]
    if np.isnan(reference).all():
        return compare_losses(made.learnt.out_of_fold, made.learnt.base_rate, label, weight)
    until = (baseline.get("calibration") or {}).get("until", 0)
    fresh = (labels.sequence[made.rows] > until) & ~np.isnan(reference)
    return compare_losses(
        made.learnt.out_of_fold[fresh], reference[fresh], label[fresh], weight[fresh]
    )


def as_told(comparison: LossComparison) -> dict[str, Any]:
    """A comparison as plain JSON: a null says why it is one."""
    told = asdict(comparison)
    if comparison.value is None:
        del told["low"], told["high"]
    else:
        del told["reason"]
    return told


def raw_scores(
    project: Project, state: ScorerState, record_ids: Sequence[UUID]
) -> npt.NDArray[np.float64]:
    """The raw score that a state gives stored records, float64 (n,); NaN where one is gone."""
    judge = Judge(state)
    found: dict[UUID, float] = {}
    wanted = sorted(set(record_ids))
    for start in range(0, len(wanted), _CHUNK):
        rows = list(
            InferenceRecord.objects.of(project)
            .filter(pk__in=wanted[start : start + _CHUNK], erased_at=None, may_review=True)
            .prefetch_related("model_version")
        )
        read = subjects.of_records(rows, with_content=judge.has_invariants)
        judged = judge_all(judge, read, top=0)
        found |= {row.pk: one.raw for row, one in zip(rows, judged, strict=True)}
    return np.array([found.get(record, np.nan) for record in record_ids], dtype=np.float64)


def proper_scores(
    p: npt.NDArray[np.float64], labels: VerifiedLabels, rows: npt.NDArray[np.int64]
) -> dict[str, Any]:
    """Log loss, Brier score and calibration error of probabilities of some labels."""
    known = ~np.isnan(p)
    if not known.any():
        return {"value": None, "reason": "no label", "n_labels": 0}
    kept = rows[known]
    found = reliability(p[known], labels.label[kept], weights=labels.weight[kept])
    return {
        "log_loss": found.log_loss,
        "brier": found.brier,
        "calibration_error": found.calibration_error,
        "n_labels": len(kept),
    }


def _none(state: ScorerState, reason: str) -> Calibrated:
    return Calibrated(state, {"fitted": False, "reason": reason}, np.empty(0, np.int64), None)
