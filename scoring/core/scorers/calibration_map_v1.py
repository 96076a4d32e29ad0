"""Version 1 of a frozen map from raw to the probability of a violation. Frozen: see `__init__`.

Whatever was fitted on verdicts (Platt, beta, isotonic) is stored as points of a non-decreasing,
piecewise linear curve, so that scoring does not depend on how it was fitted.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers.contract import InvalidConfigError
from scoring.core.state import ScorerState

RAW, P = "calibration/raw", "calibration/p"
MAX_POINTS = 4096


def with_calibration(
    state: ScorerState, *, raw: NDArray[np.float64], p: NDArray[np.float64]
) -> ScorerState:
    """A copy of a state that also gives `p_violation`.

    raw: float64 (k,), strictly increasing, 1 <= k <= 4096.  p: float64 (k,) in [0, 1],
    non-decreasing.  Raises InvalidConfigError for anything else.
    """
    arrays = {**state.arrays, RAW: raw, P: p}
    read_calibration(arrays)
    return ScorerState(config=state.config, arrays=arrays)


def without_calibration(state: ScorerState) -> ScorerState:
    """A copy of a state that gives no `p_violation`: what decides raw scores and tiers."""
    arrays = {name: values for name, values in state.arrays.items() if name not in (RAW, P)}
    return ScorerState(config=state.config, arrays=arrays)


def read_calibration(
    arrays: Mapping[str, NDArray[Any]],
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """The curve's points (raw, p), or None where the state has none."""
    if RAW not in arrays and P not in arrays:
        return None
    raw, p = arrays.get(RAW), arrays.get(P)
    if raw is None or p is None or raw.ndim != 1 or raw.shape != p.shape:
        raise InvalidConfigError("calibration: two arrays of one length expected")
    sizes_fit = 0 < raw.size <= MAX_POINTS and raw.dtype == p.dtype == np.float64
    finite = sizes_fit and bool(np.isfinite(raw).all() and np.isfinite(p).all())
    if not finite or not (np.diff(raw) > 0).all() or not (np.diff(p) >= 0).all():
        raise InvalidConfigError("calibration: raw must increase and p must not decrease")
    if p[0] < 0 or p[-1] > 1:
        raise InvalidConfigError("calibration: p lies outside [0, 1]")
    return raw, p


def p_violation(
    calibration: tuple[NDArray[np.float64], NDArray[np.float64]] | None, raw: NDArray[np.float64]
) -> NDArray[np.float64]:
    """float64 (n,) in [0, 1]; NaN everywhere without a calibration. Constant beyond its ends."""
    if calibration is None:
        return np.full(raw.shape, np.nan)
    return np.interp(raw, *calibration)
