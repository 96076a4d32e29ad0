"""Verified labels as they are handed down: arrays and ids, since scoring knows no cases."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

N_FOLDS = 10
TESTING = (0, 1)  # folds that backtests keep for themselves: nothing that moves tiers learns there
CONTRAST = (2, 3, 4, 5)  # folds whose violations a contrast is fitted on while weights are learnt
WEIGHING = (6, 7, 8, 9)  # folds on which its weight is learnt then


@dataclass(frozen=True, eq=False)
class VerifiedLabels:
    """What people said about records, one row per judged case.

    Attributes:
        source: whose labels, "queue" or "queue/question".
        record_ids: n ids.
        label: float64 (n,), 1 violation, 0 none, NaN looked at without an answer.
        weight: float64 (n,), >= 0, inverse inclusion probability; 0 stands for nothing.
        seconds: float64 (n,), when the records occurred, since 1970.
        held_out: bool (n,): for evaluation alone.
        positives_only: bool (n,): teaches what violations look like, never their share.
        fold: int8 (n,), in [0, N_FOLDS), by the record's group: a prompt and every conversation
            that begins with it are in one fold.
        sequence: int64 (n,), grows with the time of the answer.
        episode: n names of the failure a violation belongs to, "" for none.
        segments: field -> n values.
        left_out: how many answers were not read, by reason.
    """

    source: str
    record_ids: Sequence[UUID]
    label: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]
    seconds: npt.NDArray[np.float64]
    held_out: npt.NDArray[np.bool_]
    positives_only: npt.NDArray[np.bool_]
    fold: npt.NDArray[np.int8]
    sequence: npt.NDArray[np.int64]
    episode: Sequence[str]
    segments: Mapping[str, Sequence[str]] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)

    @property
    def last(self) -> int:
        """The latest answer's place, 0 where there is none."""
        return int(self.sequence.max(initial=0))


def learnt_from(
    labels: VerifiedLabels, baseline: Mapping[str, Any], what: str
) -> npt.NDArray[np.bool_]:
    """bool (n,): the labels that a version with this baseline may have been fitted on.

    Args:
        what: "contrast" (what moves tiers) or "calibration" (what moves probabilities).
    """
    told = baseline.get(what)
    if not told or told.get("source") != labels.source:
        # Another question's labels rest on other answers, but on the same records at worst.
        return np.zeros(len(labels.label), dtype=np.bool_)
    of_fold = np.isin(labels.fold, told["folds"])
    return of_fold & (labels.sequence <= told["until"]) & ~labels.held_out


def as_source(labels: VerifiedLabels, folds: Sequence[int]) -> dict[str, Any]:
    """What a version's baseline says about the labels it was fitted on; see `learnt_from`."""
    return {"source": labels.source, "folds": list(folds), "until": labels.last}
