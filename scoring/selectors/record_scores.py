"""Reads of what a scorer version says of given records: its own scores, and later ones."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import numpy as np
import numpy.typing as npt

from oversight.tenancy.models import Project
from scoring.models import InferenceRecord, RecordScore, ScorerVersion

_CHUNK = 5_000
_COLUMNS = ("raw", "score", "p_violation", "tier")


@dataclass(frozen=True, eq=False)
class Scores:
    """A version's scores, row by row in the order of the ids asked for.

    Attributes:
        found: bool (n,); rows that are False are NaN, tier -1.
        raw, score: float64 (n,).
        p_violation: float64 (n,), NaN where the version has no calibration.
        tier: int8 (n,).
    """

    found: npt.NDArray[np.bool_]
    raw: npt.NDArray[np.float64]
    score: npt.NDArray[np.float64]
    p_violation: npt.NDArray[np.float64]
    tier: npt.NDArray[np.int8]


def scores_of(project: Project, version: ScorerVersion, record_ids: Sequence[UUID]) -> Scores:
    """What a version says of records of a project, as far as it has scored them."""
    told: dict[UUID, tuple[float | None, ...]] = {}
    wanted = sorted(set(record_ids))
    for start in range(0, len(wanted), _CHUNK):
        part = wanted[start : start + _CHUNK]
        later = RecordScore.objects.filter(scorer_version=version, record_id__in=part)
        own = InferenceRecord.objects.of(project).filter(pk__in=part, scorer_version=version)
        for rows in (later.values_list("record_id", *_COLUMNS), own.values_list("id", *_COLUMNS)):
            told |= {row[0]: row[1:] for row in rows}
    unknown = (None, None, None, -1)
    table = np.array([told.get(record, unknown) for record in record_ids], dtype=np.float64)
    table = table.reshape(-1, len(_COLUMNS))
    return Scores(
        found=table[:, 3] >= 0,
        raw=table[:, 0],
        score=table[:, 1],
        p_violation=table[:, 2],
        tier=table[:, 3].astype(np.int8),
    )
