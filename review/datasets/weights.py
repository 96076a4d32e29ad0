"""Weights of rows: what each stands for in the estimate of its stratum, over all its rounds."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from review.selectors.finished_rounds import FinishedRound


def weigh(
    round_ids: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    gains: npt.NDArray[np.float64],
    stored: npt.NDArray[np.float64],
    draws: Mapping[int, FinishedRound],
) -> npt.NDArray[np.float64]:
    """The weights of selections in file order, each by its round; all shapes are (n,).

    Args:
        round_ids: rows of one round stand together.
    """
    found = np.empty(round_ids.size)
    ends = [*(np.flatnonzero(np.diff(round_ids)) + 1).tolist(), round_ids.size]
    start = 0
    for end in ends if round_ids.size else []:
        part = slice(start, end)
        draw = draws[int(round_ids[start])]
        found[part] = draw.weights(positions[part], gains[part], stored[part])
        start = end
    return found
