"""Version 1 of reading the parts that scorer states share. Frozen: see `__init__`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers.contract import InvalidConfigError
from scoring.core.scorers.rank_v1 import MAX_KNOTS, Knots
from scoring.core.state import ScorerState


def knot_arrays(prefix: str, knots: Knots) -> dict[str, NDArray[Any]]:
    """A baseline distribution as arrays of a state; `n` belongs in its config."""
    arrays = {"values": knots.values, "below": knots.below, "upto": knots.upto}
    return {f"{prefix}/{name}": array for name, array in arrays.items()}


def knot_names(prefix: str) -> set[str]:
    """The names `knot_arrays` gives."""
    return {f"{prefix}/{name}" for name in ("values", "below", "upto")}


def read_knots(state: ScorerState, prefix: str, n: Any) -> Knots:
    """Read `knot_arrays`; raises InvalidConfigError or KeyError for anything else."""
    values, below, upto = (state.arrays[f"{prefix}/{part}"] for part in ("values", "below", "upto"))
    sizes_fit = values.ndim == 1 and 0 < values.size <= MAX_KNOTS
    if not sizes_fit or not values.shape == below.shape == upto.shape:
        raise InvalidConfigError(f"{prefix}: malformed knots")
    if not values.dtype == below.dtype == upto.dtype == np.float64:
        raise InvalidConfigError(f"{prefix}: malformed knots")
    counts = np.stack([below, upto], axis=1).ravel()  # 0 <= below < upto <= next below <= n
    ordered = np.isfinite(values).all() and (np.diff(values) > 0).all()
    if type(n) is not int or not ordered or counts[0] < 0 or counts[-1] > n:
        raise InvalidConfigError(f"{prefix}: malformed knots")
    if not (np.diff(counts) >= 0).all() or not (upto > below).all():
        raise InvalidConfigError(f"{prefix}: malformed knots")
    return Knots(n=n, values=values, below=below, upto=upto)
