"""Version 1 of how far a value lies from its baseline, in words. Frozen: see `__init__`."""

import numpy as np
from numpy.typing import NDArray

_TENTHS = tuple(f"{number // 10}.{number % 10}" for number in range(1_000))


def told(squashed: NDArray[np.float64]) -> list[str]:
    """How many spreads log(1 + |z|) stands for, to a tenth; from a table, since all records ask.

    Args:
        squashed: float64 (n,), as `robust.squash` gives it; of NaN, what is told means nothing.
    """
    with np.errstate(over="ignore"):
        tenths = np.expm1(np.abs(squashed)) * 10.0 + 0.5
    is_small = tenths < len(_TENTHS)  # NaN, which says nothing, is not
    words = [_TENTHS[i] for i in np.where(is_small, tenths, 0.0).astype(np.intp).tolist()]
    for place in np.flatnonzero(~is_small).tolist():
        words[place] = f"{tenths[place] / 10.0:.0f}"
    return words
