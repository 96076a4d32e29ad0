"""The common first step of the detectors that need few dimensions: standardise, then PCA."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.covariance import column_scale


@dataclass(frozen=True, eq=False)
class PcaProjection:
    """z = (x - mean)·weights.  mean: float32 (d,).  weights: float32 (d, k)."""

    mean: NDArray[np.float32]
    weights: NDArray[np.float32]

    def apply(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """float32 (n, d) -> (n, k)."""
        projected: NDArray[np.float32] = np.matmul(x - self.mean, self.weights)
        return projected


def fit_pca_projection(
    x: NDArray[np.float32], max_dimensions: int, *, whiten: bool
) -> PcaProjection:
    """Projection of a finite baseline (n, d) on its top principal directions.

    Keeps min(max_dimensions, d) directions. With `whiten` each has variance 1, those without
    variance staying unscaled; else distances in the kept directions are those of the standardised
    records.
    """
    wide = x.astype(np.float64)
    scale, mean = column_scale(wide), wide.mean(axis=0)
    standardised = (wide - mean) / scale
    values, vectors = np.linalg.eigh(standardised.T @ standardised / len(x))
    values, vectors = values[::-1][:max_dimensions], vectors[:, ::-1][:, :max_dimensions]
    largest = np.abs(vectors).argmax(axis=0)
    vectors = vectors * np.where(vectors[largest, np.arange(vectors.shape[1])] < 0, -1.0, 1.0)
    if whiten:
        used = values > 1e-6 * max(values[0], 1e-12)
        vectors = vectors / np.sqrt(np.where(used, values, 1.0))
    weights = vectors / scale[:, None]
    return PcaProjection(mean.astype(np.float32), weights.astype(np.float32))
