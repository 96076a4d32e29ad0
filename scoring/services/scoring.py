"""From a project's released scorer to one decision per record.

Records are scored in groups of one model, since a fingerprint's meaning and length are its
model's. Scores are computed from the stored form of the fingerprint: whoever loads the same
scorer version and the stored record gets the same score.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from scoring.core.judgement import Judge
from scoring.core.scorers.batches import without_fingerprints
from scoring.core.scorers.contract import Action as CoreAction
from scoring.core.scorers.contract import Intervention, InvalidBatchError, Reason, RecordBatch
from scoring.core.scorers.guard_v1 import Judgement
from scoring.decisions import Decision
from scoring.intake import wire
from scoring.models import Action, ScorerVersion
from scoring.services import scorers


@dataclass(frozen=True, slots=True)
class Subject:
    """What a scorer sees of one record; `record` is what its invariants look at."""

    model: str
    signals: Mapping[str, float]
    context: Mapping[str, str | float | bool]
    fingerprint: npt.NDArray[np.float32] | None
    record: wire.Record | None = None


def decide(version: ScorerVersion, subjects: Sequence[Subject], *, top: int = 5) -> list[Decision]:
    """Score, check the version's invariants and decide, in the order given.

    Args:
        top: terms that the reasons tell apart; 0 where nobody reads them.
    """
    judge = scorers.load(version.pk)
    return [_decision(version.pk, judgement) for judgement in judge_all(judge, subjects, top=top)]


def judge_all(judge: Judge, subjects: Sequence[Subject], *, top: int) -> list[Judgement]:
    """The judgement on each subject, in the order given; for versions that are not stored yet too.

    Args:
        top: terms that the reasons tell apart; 0 where nobody reads them.
    """
    found: dict[int, Judgement] = {}
    groups: dict[str, list[int]] = {}
    for index, subject in enumerate(subjects):
        groups.setdefault(subject.model, []).append(index)
    for model, indices in groups.items():
        members = [subjects[i] for i in indices]
        records = [_said(subject) if judge.has_invariants else {} for subject in members]
        judged = _judged(judge, batch_of(model, members), records, top)
        found |= dict(zip(indices, judged, strict=True))
    return [found[index] for index in range(len(subjects))]


def _judged(
    judge: Judge, batch: RecordBatch, records: Sequence[Mapping[str, Any]], top: int
) -> list[Judgement]:
    """Judge a batch; fingerprints the scorer cannot compare are told and reviewed, not refused."""
    try:
        return judge.judge(batch, records, top=top)
    except InvalidBatchError as error:
        detail = str(error)
    judged = judge.judge(without_fingerprints(batch), records, top=top)
    return [
        replace(
            judgement,
            action=max(judgement.action, CoreAction.REVIEW),
            reasons=(*judgement.reasons, Reason("unscorable", "fingerprint", 0.0, detail)),
        )
        if has_fingerprint
        else judgement
        for judgement, has_fingerprint in zip(judged, batch.fingerprint_rows, strict=True)
    ]


def _said(subject: Subject) -> dict[str, Any]:
    """The record as a client sends it, for invariants to look at."""
    said: dict[str, Any] = {"signals": subject.signals, "context": subject.context}
    if subject.record is not None:
        record = subject.record
        said |= {
            "input": msgspec.to_builtins(record.input),
            "output": msgspec.to_builtins(record.output),
            "model": {"name": record.model.name, "version": record.model.version},
        }
    return said


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


def _decision(version_id: int, judgement: Judgement) -> Decision:
    return Decision(
        scorer_version=version_id,
        raw=judgement.raw,
        score=judgement.score,
        p_violation=judgement.p_violation,
        weight=judgement.weight,
        tier=judgement.tier,
        action=Action(judgement.action),
        reasons=tuple(
            {
                "kind": reason.kind,
                "name": reason.name,
                "contribution": reason.contribution,
                "detail": reason.detail,
            }
            for reason in judgement.reasons
        ),
        intervention=_intervention(judgement.intervention),
    )


def _intervention(asked: Intervention | None) -> dict[str, str] | None:
    if asked is None:
        return None
    if asked.replacement is None:
        return {"kind": asked.kind}
    return {"kind": asked.kind, "replacement": asked.replacement}
