"""Weights of rows: what each stands for in the estimate of its stratum, over all its rounds."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from review.selectors.finished_rounds import FinishedRound

NO_ROUND = 0  # ids of rounds start at 1


def weigh(
    round_ids: npt.NDArray[np.int64],
    positions: npt.NDArray[np.int64],
    gains: npt.NDArray[np.float64],
    stored: npt.NDArray[np.float64],
    *,
    is_certain: npt.NDArray[np.bool_],
    is_certain_too: npt.NDArray[np.bool_],
    draws: Mapping[int, FinishedRound],
) -> npt.NDArray[np.float64]:
    """The weights of cases, float64 (n,), as all arrays here are of shape (n,).

    Args:
        round_ids: `NO_ROUND` where nothing was drawn; rows of one round stand together.
        positions, gains, stored: as `FinishedRound.weights` takes them, of any value where
            nothing was drawn.
        is_certain: a person chose the case: it weighs 1.
        is_certain_too: a person also chose the drawn record, in another case: that one weighs 1
            in the stratum certain, and once is enough.
    """
    found = is_certain.astype(np.float64)
    ends = [*(np.flatnonzero(np.diff(round_ids)) + 1).tolist(), round_ids.size]
    for start, end in zip([0, *ends[:-1]], ends, strict=True):
        if start < end and round_ids[start] != NO_ROUND:
            part = slice(start, end)
            draw = draws[int(round_ids[start])]
            found[part] = draw.weights(positions[part], gains[part], stored[part])
    found[is_certain_too & (round_ids != NO_ROUND)] = 0.0
    return found
