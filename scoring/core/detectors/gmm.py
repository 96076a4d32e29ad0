"""Gaussian mixture: the other density part, for baselines that fall into few clusters."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import take
from scoring.core.detectors.projection import PcaProjection


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """score = -log Σ_c π_c N(z; μ_c, Σ_c) in whitened PCA; fitted by `fitting.fit_gmm`.

    log_weights: float32 (c,).  means: float32 (c, k).
    roots: float32 (c, k, k), upper triangular with roots·rootsᵀ the precision.
    """

    name: ClassVar[str] = "gmm"
    projection: PcaProjection
    log_weights: NDArray[np.float32]
    means: NDArray[np.float32]
    roots: NDArray[np.float32]

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Negative log-likelihood in nats, float64 (n,)."""
        z = self.projection.apply(x)
        log_densities = np.empty((len(x), len(self.means)))
        for c, (mean, root) in enumerate(zip(self.means, self.roots, strict=True)):
            y = (z - mean) @ root
            log_determinant = float(np.log(np.diagonal(root).astype(np.float64)).sum())
            constant = log_determinant - 0.5 * len(mean) * math.log(2 * math.pi)
            log_densities[:, c] = constant - 0.5 * np.einsum("ij,ij->i", y, y)
        log_densities += self.log_weights
        # log space: densities of far records underflow
        top = log_densities.max(axis=1)
        summed: NDArray[np.float64] = -top - np.log(
            np.exp(log_densities - top[:, None]).sum(axis=1)
        )
        return summed

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """mean, weights, log_weights, means and roots."""
        return {
            "mean": self.projection.mean,
            "weights": self.projection.weights,
            "log_weights": self.log_weights,
            "means": self.means,
            "roots": self.roots,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read `to_arrays`; raises DetectorError for anything else."""
        shapes: dict[str, tuple[int | str, ...]] = {
            "mean": ("d",),
            "weights": ("d", "k"),
            "log_weights": ("c",),
            "means": ("c", "k"),
            "roots": ("c", "k", "k"),
        }
        mean, weights, log_weights, means, roots = take(arrays, shapes)
        return cls(PcaProjection(mean, weights), log_weights, means, roots)
