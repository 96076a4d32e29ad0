"""How far a coefficient of agreement would move with other cases: the Bayesian bootstrap."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from scoring.core.agreement.ratings import Agreement

FloatArray = NDArray[np.float64]


def agreement_interval(
    coefficient: Callable[[FloatArray], Agreement],
    n_units: int,
    *,
    rng: np.random.Generator,
    weights: FloatArray | None = None,
    level: float = 0.95,
    n_draws: int = 500,
) -> tuple[float, float] | None:
    """Credible limits of any weighted coefficient, units being the sample.

    Parameters
    ----------
    coefficient : callable
        From unit weights, float64 (n_units,), to the coefficient, e.g.
        ``lambda w: krippendorff_alpha(table, weights=w)``.
    n_units : int
    rng : numpy.random.Generator
    weights : float64 (n_units,), >= 0, optional
        Of the units, such as ``1/q``.
    level : float, in (0, 1)
    n_draws : int >= 1

    Returns
    -------
    tuple of 2 floats, or None
        None when the coefficient is undefined as it stands, or in most draws.

    Raises
    ------
    ValueError
        If weights have another length.

    Notes
    -----
    Every draw multiplies the weights by independent standard exponentials (Rubin, *The Bayesian
    Bootstrap*, 1981). Unlike resampling it drops no unit, so rare answers do not vanish.
    """
    base = np.ones(n_units) if weights is None else np.asarray(weights, dtype=np.float64)
    if base.shape != (n_units,):
        raise ValueError("weights must be one number per unit")
    if coefficient(base).value is None:
        return None
    drawn = [coefficient(base * rng.exponential(size=n_units)).value for _ in range(n_draws)]
    values = np.array([value for value in drawn if value is not None])
    if 2 * values.size < n_draws:
        return None
    low, high = np.quantile(values, [(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    return float(low), float(high)
