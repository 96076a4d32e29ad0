"""Mahalanobis distance under a shrunk covariance: the statistical part of the ensemble."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.covariance import ShrunkCovariance, ledoit_wolf, whitening
from scoring.core.detectors.contract import check_baseline, take

CHUNK_ROWS = 1024  # a chunk of 256-dimensional float32 rows stays in the cache


@dataclass(frozen=True, eq=False)
class Mahalanobis:
    """score = ‖(x - mean)·root‖₂.  mean: float32 (d,).  root: float32 (d, d)."""

    name: ClassVar[str] = "mahalanobis"
    mean: NDArray[np.float32]
    root: NDArray[np.float32]

    @classmethod
    def fit(
        cls,
        x: NDArray[np.float32],
        estimator: Callable[[NDArray[np.float64]], ShrunkCovariance] = ledoit_wolf,
    ) -> Self:
        """Fit to a baseline (n, d), n >= 2, with `ledoit_wolf` or `oas`."""
        check_baseline(x, minimum=2)
        mean, root = whitening(x, estimator)
        return cls(mean.astype(np.float32), root.astype(np.float32))

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Distances, float64 (n,); one matrix product is nearly all of the cost."""
        out = np.empty(len(x))
        for start in range(0, len(x), CHUNK_ROWS):
            z = (x[start : start + CHUNK_ROWS] - self.mean) @ self.root
            out[start : start + CHUNK_ROWS] = np.einsum("ij,ij->i", z, z)
        return np.sqrt(out)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """mean and root."""
        return {"mean": self.mean, "root": self.root}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read `to_arrays`; raises DetectorError for anything else."""
        return cls(*take(arrays, {"mean": ("d",), "root": ("d", "d")}))
