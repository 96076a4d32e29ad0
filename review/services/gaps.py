"""The proxy gap of a project: what the score says of judged records against what people said."""

import math
from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.core.proxy_gap import Gap, expected_by_bin, proxy_gaps
from scoring.models import ScorerVersion
from scoring.verified import VerifiedLabels

CALIBRATION, BINS = "calibration", "score_bins"
MAX_RECORDS = 20_000  # the newest: bounds what a look costs


def report_of(
    labels: VerifiedLabels,
    raw: npt.NDArray[np.float64],
    p: npt.NDArray[np.float64],
    version: ScorerVersion,
) -> dict[str, Any]:
    """The gaps as plain JSON; `overall` is null, with a reason, where there is nothing to compare.

    Args:
        raw: float64 (n,), what the version in use gives the labelled records; NaN where gone.
        p: float64 (n,), the probability it states; NaN everywhere where it states none, and then
            a segment is compared with what people say of records that score alike.
    """
    rows = np.flatnonzero(
        np.isfinite(raw) & ~np.isnan(labels.label) & (labels.weight > 0) & ~labels.positives_only
    )
    rows = rows[np.argsort(labels.sequence[rows], kind="stable")][-MAX_RECORDS:]
    told: dict[str, Any] = {"version": version.number, "n_labels": len(rows)}
    if not len(rows):
        return {**told, "basis": None, "overall": None, "segments": [], "reason": "no verdict yet"}
    label, weight = labels.label[rows], labels.weight[rows]
    basis = CALIBRATION if np.isfinite(p[rows]).all() else BINS
    calibration = version.baseline.get("calibration") or {}
    stated = p[rows] if basis == CALIBRATION else expected_by_bin(raw[rows], label, weight)
    places = rows.tolist()
    found = proxy_gaps(
        stated,
        label,
        weight,
        {name: [values[i] for i in places] for name, values in labels.segments.items()},
        rng=np.random.default_rng([version.pk, labels.last]),
        stated_effective_size=calibration.get("effective_size") if basis == CALIBRATION else None,
    )
    return {
        **told,
        "basis": basis,
        "n_tested": found.n_tested,
        "overall": _told(found.overall) if basis == CALIBRATION else None,
        "reason": "" if basis == CALIBRATION else "the version in use states no probabilities yet",
        "segments": [_told(gap) for gap in found.segments],
    }


def _told(gap: Gap) -> dict[str, Any]:
    told = {**asdict(gap), "gap": gap.gap}
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in told.items()
    }
