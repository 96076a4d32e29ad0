"""A window's records as arrays: what a sampling round chooses from."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt
from django.db.models import Q

from scoring.models import InferenceRecord, Window

_CHUNK = 10_000


@dataclass(frozen=True, slots=True)
class Candidates:
    """Records in the order of their ids.

    Attributes:
        ids: n ids, ascending.
        score: float64 (n,), in [0, 1].
        weight: float64 (n,), business weight of the context, at least 1.
    """

    ids: Sequence[UUID]
    score: npt.NDArray[np.float64]
    weight: npt.NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.ids)

    def digest(self) -> str:
        """SHA-256 over the ids: what a round was drawn from."""
        hashed = hashlib.sha256()
        for record in self.ids:
            hashed.update(record.bytes)
        return hashed.hexdigest()


def of_window(window: Window, rule: Q) -> Candidates:
    """The window's reviewable records that a rule admits.

    Args:
        window: a closed window.
        rule: a condition on InferenceRecord.
    """
    batches = list(window.batches.values_list("pk", flat=True))
    rows = (
        InferenceRecord.objects.filter(
            project=window.project_id, batch__in=batches, may_review=True, erased_at=None
        )
        .filter(rule)
        .order_by("id")
        .values_list("id", "score", "weight")
    )
    ids: list[UUID] = []
    numbers: list[tuple[float, float]] = []
    for record, score, weight in rows.iterator(chunk_size=_CHUNK):
        ids.append(record)
        numbers.append((score, weight))
    table = np.array(numbers, dtype=np.float64).reshape(-1, 2)
    return Candidates(ids=ids, score=table[:, 0].copy(), weight=table[:, 1].copy())
