"""Weights: 1/q of the finished part of each round, so that Σ weight·label is unbiased.

A round is served in descending key order. Its finished prefix of k' records is a draw of its own,
whose threshold is the (k'+1)-th key (METHODS 11.2); what was answered beyond it weighs nothing.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from scoring.core import sampling


@dataclass(frozen=True, slots=True)
class FinishedDraw:
    """The finished prefix of a stored round.

    `threshold` and `threshold_exponential` are those of the first unfinished selection; None
    stands for the round's own, where all of it is finished.
    """

    tau: float
    log_normalizer: float
    floor_hazard: float
    n_selected: int
    prefix: int
    threshold: float | None = None
    threshold_exponential: float = math.nan

    @property
    def is_whole(self) -> bool:
        return self.prefix == self.n_selected

    def weights(
        self,
        positions: npt.NDArray[np.int64],
        gains: npt.NDArray[np.float64],
        stored: npt.NDArray[np.float64],
    ) -> npt.NDArray[np.float64]:
        """1/q of selections of this round, 0 beyond the prefix.

        Args:
            positions: in serving order, from 0, int64 (n,).
            gains: quantised, as stored, float64 (n,).
            stored: inclusion probabilities of the whole round, float64 (n,).
        """
        if self.is_whole:
            return np.asarray(1.0 / stored)
        assert self.threshold is not None
        probabilities = sampling.inclusion_probabilities(
            self.tau * gains - self.log_normalizer,
            np.full(gains.size, self.floor_hazard),
            self.threshold,
            self.threshold_exponential,
        )
        inside = positions < self.prefix
        return np.where(inside, 1.0 / np.where(inside, probabilities, 1.0), 0.0)


def finished_draw(row: dict[str, Any], next_selection: dict[str, Any] | None) -> FinishedDraw:
    """A stored round with its first unfinished selection, or None where all are finished."""
    whole = next_selection is None
    key = None if next_selection is None else next_selection["key"]
    return FinishedDraw(
        tau=row["tau"],
        log_normalizer=row["log_normalizer"] or 0.0,
        floor_hazard=row["floor_hazard"],
        n_selected=row["n_selected"],
        prefix=row["n_selected"] if next_selection is None else next_selection["position"],
        # A selection without a key is a floor hit, whose key is +∞.
        threshold=None if whole else math.inf if key is None else key,
        threshold_exponential=(
            math.nan if next_selection is None else next_selection["exponential"]
        ),
    )


def weigh(rows: Iterable[dict[str, Any]], draw: FinishedDraw) -> list[float]:
    """The weights of rows of one round; each has `position`, `gain`, `inclusion_probability`."""
    found = list(rows)
    return draw.weights(
        np.array([row["position"] for row in found], dtype=np.int64),
        np.array([row["gain"] for row in found], dtype=np.float64),
        np.array([row["inclusion_probability"] for row in found], dtype=np.float64),
    ).tolist()
