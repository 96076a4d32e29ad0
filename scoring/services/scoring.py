"""From a project's released scorer to one decision per record.

Records are scored in groups of one model, since a fingerprint's meaning and length are its
model's. Scores are computed from the stored form of the fingerprint: whoever loads the same
scorer version and the stored record gets the same score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isnan

import numpy as np
import numpy.typing as npt

from scoring.core.scorers.contract import RecordBatch, ScoredBatch
from scoring.decisions import Decision
from scoring.models import Action, ScorerVersion
from scoring.services import scorers


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scorer sees of one record."""

    model: str
    signals: Mapping[str, float]
    context: Mapping[str, str | float | bool]
    fingerprint: npt.NDArray[np.float32] | None


def decide(version: ScorerVersion, subjects: Sequence[Subject]) -> list[Decision]:
    """Score and decide, in the order given."""
    scorer = scorers.load(version.pk)
    decisions: list[Decision | None] = [None] * len(subjects)
    groups: dict[str, list[int]] = {}
    for index, subject in enumerate(subjects):
        groups.setdefault(subject.model, []).append(index)
    for model, indices in groups.items():
        scored = scorer.score(batch_of(model, [subjects[i] for i in indices]))
        for row, index in enumerate(indices):
            decisions[index] = _decision(version.pk, scored, row)
    return [decision for decision in decisions if decision is not None]


def batch_of(model: str, subjects: Sequence[Subject]) -> RecordBatch:
    """Records of one model as columns."""
    n = len(subjects)
    names = sorted({name for subject in subjects for name in subject.signals})
    signals = {
        name: np.array([s.signals.get(name, np.nan) for s in subjects], dtype=np.float64)
        for name in names
    }
    # A model's versions share a length, but not by force: the odd ones are scored without.
    lengths = [s.fingerprint.size for s in subjects if s.fingerprint is not None]
    matrix = None
    present = np.zeros(n, dtype=bool)
    if lengths:
        dimension = max(set(lengths), key=lengths.count)
        matrix = np.zeros((n, dimension), dtype=np.float32)
        for row, subject in enumerate(subjects):
            if subject.fingerprint is not None and subject.fingerprint.size == dimension:
                matrix[row] = subject.fingerprint
                present[row] = True
    return RecordBatch(
        model=model,
        n=n,
        signals=signals,
        fingerprints=matrix,
        has_fingerprint=present,
        context=[subject.context for subject in subjects],
    )


def _decision(version_id: int, scored: ScoredBatch, row: int) -> Decision:
    p_violation = float(scored.p_violation[row])
    action = Action(int(scored.action[row]))
    return Decision(
        scorer_version=version_id,
        raw=float(scored.raw[row]),
        score=float(scored.score[row]),
        p_violation=None if isnan(p_violation) else p_violation,
        weight=float(scored.weight[row]),
        tier=int(scored.tier[row]),
        action=action,
        reasons=tuple(
            {
                "kind": reason.kind,
                "name": reason.name,
                "contribution": reason.contribution,
                "detail": reason.detail,
            }
            for reason in scored.reasons(row)
        ),
        intervention=_intervention(scored, action),
    )


def _intervention(scored: ScoredBatch, action: Action) -> dict[str, str] | None:
    if action is not Action.INTERVENE or scored.intervention is None:
        return None
    asked = scored.intervention
    if asked.replacement is None:
        return {"kind": asked.kind}
    return {"kind": asked.kind, "replacement": asked.replacement}
