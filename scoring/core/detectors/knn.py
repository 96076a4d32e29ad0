"""Distance to the nearest baseline records: the density part of the ensemble."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import check_baseline, take
from scoring.core.detectors.projection import PcaProjection, fit_pca_projection

N_NEIGHBOURS = 10
MAX_DIMENSIONS = 64
MAX_REFERENCES = 2000
CHUNK_ROWS = 512
FLOOR = 1e-6  # of a distance, so that a copy of ten references has a logarithm


@dataclass(frozen=True, eq=False)
class NearestNeighbours:
    """score = log of the mean distance to the 10 nearest references, standardised and in PCA64.

    references: float32 (m, k), m >= 10.
    Source: Ramaswamy, Rastogi, Shim, Efficient Algorithms for Mining Outliers from Large Data
    Sets, SIGMOD 2000, with the mean of Angiulli & Pizzuti, PKDD 2002.
    """

    name: ClassVar[str] = "knn"
    projection: PcaProjection
    references: NDArray[np.float32]

    @classmethod
    def fit(cls, x: NDArray[np.float32], *, rng: np.random.Generator) -> Self:
        """Fit to a baseline (n, d), n >= 10; more than 2,000 records are sampled down to that."""
        check_baseline(x, minimum=N_NEIGHBOURS)
        projection = fit_pca_projection(x, MAX_DIMENSIONS, whiten=False)
        if len(x) > MAX_REFERENCES:
            x = x[np.sort(rng.choice(len(x), MAX_REFERENCES, replace=False))]
        return cls(projection, projection.apply(x))

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (n,).

        ‖a - b‖² = ‖a‖² + ‖b‖² - 2ab turns the distances into one matrix product.
        """
        out = np.empty(len(x))
        reference_norms = np.einsum("ij,ij->i", self.references, self.references)
        turned = np.ascontiguousarray(self.references.T)
        for start in range(0, len(x), CHUNK_ROWS):
            z = self.projection.apply(x[start : start + CHUNK_ROWS])
            squared = z @ turned
            squared *= np.float32(-2.0)
            squared += reference_norms
            nearest = np.partition(squared, N_NEIGHBOURS - 1, axis=1)[:, :N_NEIGHBOURS]
            nearest = nearest.astype(np.float64) + np.einsum("ij,ij->i", z, z)[:, None]
            mean = np.sqrt(np.maximum(nearest, 0.0)).mean(axis=1)
            out[start : start + CHUNK_ROWS] = np.log(mean + FLOOR)
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """mean, weights and references."""
        return {
            "mean": self.projection.mean,
            "weights": self.projection.weights,
            "references": self.references,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read `to_arrays`; raises DetectorError for anything else."""
        shapes = {"mean": ("d",), "weights": ("d", "k"), "references": ("m", "k")}
        mean, weights, references = take(arrays, shapes)
        check_baseline(references, minimum=N_NEIGHBOURS)
        return cls(PcaProjection(mean, weights), references)
