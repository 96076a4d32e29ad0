"""Shrunk covariance of a baseline: Ledoit-Wolf and OAS, without the package they come from.

Both shrink the sample covariance S towards μI with μ = tr(S)/d, so that it can be inverted even
where there are fewer records than dimensions.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class ShrunkCovariance:
    """mean: float64 (d,).  covariance: float64 (d, d).  shrinkage: in [0, 1]."""

    mean: NDArray[np.float64]
    covariance: NDArray[np.float64]
    shrinkage: float


def ledoit_wolf(x: NDArray[np.float64]) -> ShrunkCovariance:
    """Ledoit-Wolf estimate from finite records, float64 (n, d), n >= 1, d >= 1.

    shrinkage = min(β, δ)/δ with δ = ‖S - μI‖²/d, β = (Σ_i ‖x_i x_iᵀ - S‖²)/(d n²).

    Source: Ledoit & Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices,
    Journal of Multivariate Analysis 2004.
    """
    mean, centred, sample = _moments(x)
    n, d = x.shape
    mu = np.trace(sample) / d
    norm2 = float(np.sum(sample**2))
    delta = (norm2 - d * mu**2) / d
    # Σ_i ‖x_i x_iᵀ‖² = Σ_i ‖x_i‖⁴, so no d × d matrix per record is needed
    beta = (float(np.sum(np.sum(centred**2, axis=1) ** 2)) / n - norm2) / (d * n)
    shrinkage = 1.0 if delta <= 0 else min(max(beta, 0.0), delta) / delta
    return ShrunkCovariance(mean, _shrink(sample, shrinkage), float(shrinkage))


def oas(x: NDArray[np.float64]) -> ShrunkCovariance:
    """Oracle approximating shrinkage from finite records, float64 (n, d), n >= 1, d >= 1.

    shrinkage = min(1, ((1-2/d) tr(S²) + tr²(S)) / ((n+1-2/d) (tr(S²) - tr²(S)/d))), with the
    terms in 2/d left out as scikit-learn does.

    Source: Chen, Wiesel, Eldar, Hero, Shrinkage Algorithms for MMSE Covariance Estimation, IEEE
    Transactions on Signal Processing 2010.
    """
    mean, _, sample = _moments(x)
    n, d = x.shape
    mu = np.trace(sample) / d
    alpha = float(np.mean(sample**2))
    denominator = (n + 1.0) * (alpha - mu**2 / d)
    shrinkage = 1.0 if denominator <= 0 else min((alpha + mu**2) / denominator, 1.0)
    return ShrunkCovariance(mean, _shrink(sample, shrinkage), float(shrinkage))


def column_scale(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Standard deviation per column, float64 (d,); 1 where a column is constant."""
    # A constant column of large values has rounding noise for a deviation, not zero.
    return np.where(is_constant(x), 1.0, x.std(axis=0))


def is_constant(x: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Which columns, bool (d,), hold one value, up to rounding."""
    constant: NDArray[np.bool_] = np.ptp(x, axis=0) <= 1e-12 * np.abs(x).max(axis=0)
    return constant


def inverse_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """W, float64 (d, d) upper triangular, with W·Wᵀ = covariance⁻¹.

    A jitter of 1e-6·tr/d keeps a singular covariance invertible; tr must be above 0.
    """
    d = len(covariance)
    jitter = 1e-6 * np.trace(covariance) / d
    lower = np.linalg.cholesky(covariance + jitter * np.eye(d))
    # a general inverse leaves rounding noise where a triangular one has zeros
    return np.triu(np.linalg.inv(lower).T)


def whitening(
    x: NDArray[np.float32] | NDArray[np.float64],
    estimator: Callable[[NDArray[np.float64]], ShrunkCovariance] = ledoit_wolf,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """mean, float64 (d,), and W, float64 (d, d), so that ‖(x - mean)·W‖ is Mahalanobis' distance.

    Columns are standardised before shrinking, so that units do not matter; a constant column
    counts with variance 1.
    """
    wide = x.astype(np.float64)
    scale = column_scale(wide)
    estimate = estimator(wide / scale)
    covariance = estimate.covariance
    constant = is_constant(wide)
    covariance[constant, constant] = 1.0
    return estimate.mean * scale, inverse_root(covariance) / scale[:, None]


def _moments(
    x: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    mean = x.mean(axis=0)
    centred = x - mean
    return mean, centred, centred.T @ centred / len(x)


def _shrink(sample: NDArray[np.float64], shrinkage: float) -> NDArray[np.float64]:
    shrunk = (1.0 - shrinkage) * sample
    shrunk.flat[:: len(sample) + 1] += shrinkage * np.trace(sample) / len(sample)
    return shrunk
