"""Isolation forest in flat arrays: the part that holds up best on contaminated baselines."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import DetectorError

DEPTH = 8  # log2 of the 256 records a tree is grown on
N_SAMPLES = 2**DEPTH
CHUNK_ROWS = 1024


@dataclass(frozen=True, eq=False)
class IsolationForest:
    """score = 2^(-E[path length]/c(256)) in (0, 1); fitted by `fitting.fit_isolation_forest`.

    Trees are stored complete, node i having children 2i+1 (x <= threshold) and 2i+2, so that one
    level of all trees and records is one indexing step; a leaf above the last level is a chain of
    +inf thresholds.
    features: int32 (trees, 255).  thresholds: float32 (trees, 255), not NaN.
    path_lengths: float32 (trees, 256).  n_features: length of a record.  n_samples: records a
    tree was grown on, 2..256.

    Source: Liu, Ting, Zhou, Isolation Forest, ICDM 2008, equations 1 and 2.
    """

    name: ClassVar[str] = "isolation_forest"
    features: NDArray[np.int32]
    thresholds: NDArray[np.float32]
    path_lengths: NDArray[np.float32]
    n_features: int
    n_samples: int

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (n,); raises DetectorError where records have another length."""
        if x.shape[1] != self.n_features:
            raise DetectorError(f"records of {self.n_features} features expected")
        n_trees, n_nodes = self.features.shape
        first_node = (np.arange(n_trees) * n_nodes).astype(np.int32)
        features, thresholds = self.features.ravel(), self.thresholds.ravel()
        lengths = self.path_lengths.ravel()
        first_leaf = (np.arange(n_trees) * (n_nodes + 1)).astype(np.int32)
        out = np.empty(len(x))
        for start in range(0, len(x), CHUNK_ROWS):
            chunk = np.ascontiguousarray(x[start : start + CHUNK_ROWS])
            row = (np.arange(len(chunk)) * chunk.shape[1]).astype(np.int32)[:, None]
            values, node = chunk.ravel(), np.zeros((len(chunk), n_trees), np.int32)
            for _ in range(DEPTH):
                at = first_node + node
                goes_right = values[row + features[at]] > thresholds[at]
                node = 2 * node + 1 + goes_right
            depth = lengths[first_leaf + node - n_nodes].mean(axis=1, dtype=np.float64)
            out[start : start + CHUNK_ROWS] = np.exp2(-depth / average_path_length(self.n_samples))
        return out

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """features, thresholds (NaN-free, infinite for chains), path_lengths and sizes."""
        return {
            "features": self.features,
            "thresholds": self.thresholds,
            "path_lengths": self.path_lengths,
            "sizes": np.array([self.n_features, self.n_samples], np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read `to_arrays`; raises DetectorError for anything else.

        Indices are checked, since they may come from a file.
        """
        if set(arrays) != {"features", "thresholds", "path_lengths", "sizes"}:
            raise DetectorError("features, thresholds, path_lengths and sizes expected")
        features, thresholds = arrays["features"], arrays["thresholds"]
        lengths, sizes = arrays["path_lengths"], arrays["sizes"]
        n_trees = len(features) if features.ndim == 2 else 0
        shapes_fit = (
            n_trees > 0
            and features.shape == thresholds.shape == (n_trees, N_SAMPLES - 1)
            and lengths.shape == (n_trees, N_SAMPLES)
            and sizes.shape == (2,)
        )
        types_fit = features.dtype == sizes.dtype == np.int32
        if not shapes_fit or not types_fit or not thresholds.dtype == lengths.dtype == np.float32:
            raise DetectorError("malformed trees")
        if features.min() < 0 or features.max() >= sizes[0] or not 2 <= sizes[1] <= N_SAMPLES:
            raise DetectorError("a tree asks for a feature that does not exist")
        if np.isnan(thresholds).any() or not np.isfinite(lengths).all():
            raise DetectorError("thresholds or path lengths are not numbers")
        return cls(features, thresholds, lengths, int(sizes[0]), int(sizes[1]))


def average_path_length(n: int) -> float:
    """c(n) = 2H(n-1) - 2(n-1)/n: mean path length of an unsuccessful search among n records."""
    if n <= 2:
        return float(max(n - 1, 0))
    return 2.0 * (math.log(n - 1) + float(np.euler_gamma)) - 2.0 * (n - 1) / n
