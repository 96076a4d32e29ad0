"""Mahalanobis distance under a shrunk covariance: the statistical part of the ensemble."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.covariance import ShrunkCovariance, ledoit_wolf, whitening
from scoring.core.detectors.contract import DetectorError, check_baseline, take

N_BLOCKS, MIN_BLOCK = 4, 64  # five eighths of a full product, in blocks BLAS still likes
CHUNK_ROWS = 1024  # a chunk of 256-dimensional float32 rows stays in the cache


@dataclass(frozen=True, eq=False)
class Mahalanobis:
    """score = ‖(x - mean)·root‖₂.  mean: float32 (d,).  root: float32 (d, d), upper
    triangular."""

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
        out = np.zeros(len(x))
        d = len(self.mean)
        width = max(MIN_BLOCK, -(-d // N_BLOCKS))
        for start in range(0, len(x), CHUNK_ROWS):
            centred = x[start : start + CHUNK_ROWS] - self.mean
            for low in range(0, d, width):
                # root is upper triangular: columns below `high` need only rows below `high`
                high = min(low + width, d)
                z = centred[:, :high] @ self.root[:high, low:high]
                out[start : start + CHUNK_ROWS] += np.einsum("ij,ij->i", z, z)
        return np.sqrt(out)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """mean and root."""
        return {"mean": self.mean, "root": self.root}

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read `to_arrays`; raises DetectorError for anything else."""
        mean, root = take(arrays, {"mean": ("d",), "root": ("d", "d")})
        if np.tril(root, -1).any():
            raise DetectorError("root is not upper triangular")
        return cls(mean, root)
