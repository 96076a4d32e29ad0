"""Weights of rows: what each stands for in the estimate of its stratum, over all its rounds."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from review.selectors.finished_rounds import FinishedRound


def weigh(rows: Iterable[dict[str, Any]], draw: FinishedRound) -> list[float]:
    """The weights of rows of one round; each has `position`, `gain`, `inclusion_probability`."""
    found = list(rows)
    return draw.weights(
        np.array([row["position"] for row in found], dtype=np.int64),
        np.array([row["gain"] for row in found], dtype=np.float64),
        np.array([row["inclusion_probability"] for row in found], dtype=np.float64),
    ).tolist()
