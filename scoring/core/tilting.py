"""Giving records a larger or smaller share of a softmax than their gain alone would.

The tilt enters the gain before the draw, so inclusion probabilities stay exact whatever it is, as
long as it depends on the candidates alone and not on their random numbers.
"""

import math

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


def tilted_gains(gains: FloatArray, log_factors: FloatArray, tau: float) -> FloatArray:
    """Gains whose softmax weights ``exp(τI)`` are multiplied by ``exp(log_factors)``.

    ``I' = I + log f / τ``; `discount_near_duplicates` is the case ``f = 1/m``.

    Parameters
    ----------
    gains : float64 (n,)
        NaN stays NaN.
    log_factors : float64 (n,)
        Natural logarithms of the factors.
    tau : float > 0

    Returns
    -------
    float64 (n,)
        May be negative; only differences matter to the sampler.

    Raises
    ------
    ValueError
        On a factor that is not finite, or a τ at which no gain can tilt a draw.
    """
    if not (math.isfinite(tau) and tau > 0.0):
        raise ValueError("tau must be finite and positive")
    if not np.isfinite(log_factors).all():
        raise ValueError("log_factors must be finite")
    return np.asarray(gains + log_factors / tau)
