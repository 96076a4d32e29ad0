"""From a project's released scorer to one decision per record.

Records are scored in groups of one model, since a fingerprint's meaning and length are its
model's. Scores are computed from the stored form of the fingerprint: whoever loads the same
scorer version and the stored record gets the same score.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import repeat
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from scoring.core.judgement import Judge
from scoring.core.scorers.batches import without_fingerprints
from scoring.core.scorers.contract import Action as CoreAction
from scoring.core.scorers.contract import InvalidBatchError, Reason, RecordBatch
from scoring.core.scorers.guard_v1 import Judgement, judgement
from scoring.decisions import Decision, ToldReason, encode_intervention, encode_reasons
from scoring.intake import fingerprints, wire
from scoring.models import Action
from scoring.services import scorers

N_REASONS = 5  # of a scorer's terms, told one by one


@dataclass(slots=True)
class Subject:
    """What a scorer sees of one record; `record` is what its invariants look at.

    fingerprint: as stored, with its dimension.
    """

    model: str
    signals: Mapping[str, float]
    context: Mapping[str, str | float | bool]
    fingerprint: bytes | None
    dimension: int | None
    record: wire.Record | None = None


def decide(version_id: int, subjects: Sequence[Subject]) -> list[Decision]:
    """Score by a released version, check its invariants and decide, in the order given."""
    judge = scorers.load(version_id)
    decisions: list[Decision | None] = [None] * len(subjects)
    groups: dict[str, list[int]] = {}
    for index, subject in enumerate(subjects):
        groups.setdefault(subject.model, []).append(index)
    for model, indices in groups.items():
        members = [subjects[i] for i in indices]
        records = [_said(subject) for subject in members] if judge.has_invariants else None
        decided = _decide_group(version_id, judge, batch_of(model, members), records)
        for index, decision in zip(indices, decided, strict=True):
            decisions[index] = decision
    return [decision for decision in decisions if decision is not None]


def _decide_group(
    version_id: int,
    judge: Judge,
    batch: RecordBatch,
    records: Sequence[Mapping[str, Any]] | None,
) -> list[Decision]:
    """Decide on records of one model.

    Fingerprints that the scorer cannot compare are told and reviewed, not refused.
    """
    said: Sequence[Mapping[str, Any]] = [{}] * batch.n if records is None else records
    unscorable = None
    try:
        scored, violated = judge.examine(batch, said)
    except InvalidBatchError as error:
        unscorable = Reason("unscorable", "fingerprint", 0.0, str(error))
        scored, violated = judge.examine(without_fingerprints(batch), said)
    # The columns are the decisions, but for records that violate an invariant: those are judged.
    rows = zip(
        scored.raw.tolist(),
        scored.score.tolist(),
        [None if p != p else p for p in scored.p_violation.tolist()],  # NaN is unlike itself
        scored.weight.tolist(),
        scored.tier.tolist(),
        scored.action.tolist(),
        scored.explanations(N_REASONS),
        violated,
        repeat(False) if unscorable is None else batch.fingerprint_rows.tolist(),
        strict=False,
    )
    decisions: list[Decision] = []
    for i, (raw, score, p, weight, tier, action, reasons, found, is_unscorable) in enumerate(rows):
        asked = scored.intervention if action == Action.INTERVENE else None
        if found:
            judged = judgement(scored, i, found, reasons, judge.calibration)
            raw, p, tier, action = judged.raw, judged.p_violation, judged.tier, int(judged.action)
            reasons, asked = [*judged.reasons], judged.intervention
        if is_unscorable and unscorable is not None:
            action, reasons = max(action, Action.REVIEW), [*reasons, unscorable]
        decisions.append(
            Decision(
                version_id,
                raw,
                score,
                p,
                weight,
                tier,
                _ACTIONS[action],
                encode_reasons([ToldReason(*reason) for reason in reasons]),
                None if asked is None else encode_intervention(asked.kind, asked.replacement),
            )
        )
    return decisions


_ACTIONS = tuple(Action(number) for number in sorted(Action.values))


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
    matrix, present = _fingerprint_matrix(subjects)
    return RecordBatch(
        model=model,
        n=n,
        signals={
            name: np.array([s.signals.get(name, np.nan) for s in subjects], dtype=np.float64)
            for name in names
        },
        fingerprints=matrix,
        has_fingerprint=present,
        context=[subject.context for subject in subjects],
    )


def _fingerprint_matrix(
    subjects: Sequence[Subject],
) -> tuple[npt.NDArray[np.float32] | None, npt.NDArray[np.bool_]]:
    # A model's versions share a length, but not by force: the odd ones are scored without.
    lengths = Counter(s.dimension for s in subjects if s.fingerprint is not None)
    present = np.zeros(len(subjects), dtype=bool)
    if not lengths:
        return None, present
    ((dimension, n_present),) = lengths.most_common(1)
    assert dimension is not None
    present[:] = [s.fingerprint is not None and s.dimension == dimension for s in subjects]
    stored = [s.fingerprint for s, is_in in zip(subjects, present, strict=True) if is_in]
    rows = fingerprints.unpack_batch([one for one in stored if one is not None], dimension)
    if n_present == len(subjects):
        return rows, present
    matrix = np.zeros((len(subjects), dimension), dtype=np.float32)
    matrix[present] = rows
    return matrix, present
