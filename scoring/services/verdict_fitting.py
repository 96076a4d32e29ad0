"""Fitting an ensemble with what people verified: violations teach its contrast, labels its weights.

The labels of two folds are kept out, for backtests. Of the rest, weights are learnt on other folds
than the contrast they weigh was fitted on, since a contrast knows its own violations too well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from oversight.lib import errors
from oversight.tenancy.models import Project
from scoring.core.detectors.fitting import MIN_VIOLATIONS
from scoring.core.scorers.contract import RecordBatch, ScorerError
from scoring.core.scorers.ensemble_fit import fit_ensemble
from scoring.core.scorers.ensemble_weights import Judged, Weighing, weigh_terms
from scoring.core.state import ScorerState
from scoring.models import InferenceRecord
from scoring.services import subjects
from scoring.services.scoring import Subject, batch_of
from scoring.verified import CONTRAST, WEIGHING, VerifiedLabels, as_source

LEARNING = (*CONTRAST, *WEIGHING)
WITH_CONTRAST = ["mahalanobis", "contrastive"]  # where the settings name no detectors
_CHUNK = 1_000


@dataclass(frozen=True, eq=False)
class _Known:
    """Judged records that may be learnt from: subjects with label, weight and fold."""

    subjects: Sequence[Subject]
    label: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    fold: npt.NDArray[np.int8]
    positives_only: npt.NDArray[np.bool_]


def violations_to_leave_out(labels: VerifiedLabels) -> set[UUID]:
    """Records verified as violations, which have no place in a baseline of what is usual."""
    rows = (labels.label == 1.0) & ~labels.held_out & np.isin(labels.fold, LEARNING)
    return {labels.record_ids[i] for i in np.flatnonzero(rows).tolist()}


def fit(
    project: Project,
    batches: Sequence[RecordBatch],
    settings: Mapping[str, Any],
    labels: VerifiedLabels,
) -> tuple[ScorerState, dict[str, Any]]:
    """An ensemble that has learnt from verified labels, and what its baseline says of that.

    Args:
        batches: the baseline window.
        settings: of the ensemble.

    Raises:
        InvalidInput: the window is too small, or cannot be fitted.
    """
    known = _known(project, labels)
    settings = dict(settings)
    all_violations = _violations(known, LEARNING)
    if all_violations and settings.keys().isdisjoint({"profile", "detectors"}):
        settings["detectors"] = WITH_CONTRAST
    try:
        first = fit_ensemble(batches, config=settings, violations=_violations(known, CONTRAST))
        weighing = weigh_terms(
            first,
            _judged(known, WEIGHING),
            rng=np.random.default_rng(first.config["settings"]["seed"]),
        )
        state = fit_ensemble(batches, config=weighing.settings, violations=all_violations)
    except ScorerError as error:
        raise errors.InvalidInput(f"no scorer could be fitted: {error}", code="no_fit") from error
    used = {part["model"] for part in state.config["models"] if _has_contrast(part)}
    return state, {
        "contrast": {
            **as_source(labels, LEARNING),
            "violations": {model: len(rows) for model, rows in sorted(all_violations.items())},
            "models": sorted(used),
            "needed": MIN_VIOLATIONS,
        },
        "weights": _told(weighing),
    }


def _has_contrast(part: Mapping[str, Any]) -> bool:
    return any(detector["name"] == "contrastive" for detector in part["detectors"])


def _told(weighing: Weighing) -> dict[str, Any]:
    proposal = weighing.proposal
    return {
        "adopted": proposal.adopted,
        "reason": proposal.reason,
        "weights": dict(zip(weighing.names, proposal.weights.tolist(), strict=True)),
        "current_precision": _finite(proposal.current_precision),
        "learnt_precision": _finite(proposal.learnt_precision),
        "probability_better": _finite(proposal.probability_better),
    }


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def _known(project: Project, labels: VerifiedLabels) -> _Known:
    usable = ~np.isnan(labels.label) & ~labels.held_out & (labels.weight > 0)
    usable |= (labels.label == 1.0) & ~labels.held_out  # a violation shows itself at any weight
    usable &= np.isin(labels.fold, LEARNING)
    rising = np.argsort(labels.weight, kind="stable")  # of a record's two rows, the heavier
    places = {labels.record_ids[i]: i for i in rising[usable[rising]].tolist()}
    found: list[Subject] = []
    rows: list[int] = []
    wanted = sorted(places)
    for start in range(0, len(wanted), _CHUNK):
        stored = (
            InferenceRecord.objects.of(project)
            .filter(pk__in=wanted[start : start + _CHUNK], erased_at=None, may_review=True)
            .order_by("id")
            .prefetch_related("model_version")
        )
        chunk = list(stored)
        found += subjects.of_records(chunk)
        rows += [places[record.pk] for record in chunk]
    index = np.array(rows, dtype=np.int64)
    return _Known(
        subjects=found,
        label=labels.label[index],
        weight=labels.weight[index],
        fold=labels.fold[index],
        positives_only=labels.positives_only[index],
    )


def _violations(known: _Known, folds: Sequence[int]) -> dict[str, npt.NDArray[np.float32]]:
    """Fingerprints verified as violations, by model, in given folds."""
    by_model: dict[str, list[npt.NDArray[np.float32]]] = {}
    for row in np.flatnonzero((known.label == 1.0) & np.isin(known.fold, folds)).tolist():
        subject = known.subjects[row]
        if subject.fingerprint is not None:
            by_model.setdefault(subject.model, []).append(subject.fingerprint)
    stacked = {}
    for model, rows in by_model.items():
        # A model's versions share a length, but not by force: the usual one counts.
        lengths = [row.size for row in rows]
        usual = max(set(lengths), key=lengths.count)
        stacked[model] = np.stack([row for row in rows if row.size == usual])
    return stacked


def _judged(known: _Known, folds: Sequence[int]) -> list[Judged]:
    rows = np.isin(known.fold, folds) & (known.weight > 0) & ~known.positives_only
    by_model: dict[str, list[int]] = {}
    for row in np.flatnonzero(rows).tolist():
        by_model.setdefault(known.subjects[row].model, []).append(row)
    return [
        Judged(
            batch=batch_of(model, [known.subjects[row] for row in members]),
            label=known.label[members],
            weight=known.weight[members],
        )
        for model, members in sorted(by_model.items())
    ]
