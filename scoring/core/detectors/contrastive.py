"""A discriminator of baseline against violations, or against synthetic outliers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import take
from scoring.core.detectors.projection import PcaProjection


@dataclass(frozen=True, eq=False)
class Contrastive:
    """score = logit of "not baseline": linear in whitened PCA and in random Fourier features.

    frequencies: float32 (k, f).  phases: float32 (f,).  linear: float32 (k,).
    fourier: float32 (f,).  intercept: float32 (1,).  Fitted by `fitting.fit_contrastive`.

    Source of the features: Rahimi & Recht, Random Features for Large-Scale Kernel Machines, NIPS
    2007; of the idea: Gutmann & Hyvärinen, Noise-contrastive Estimation, AISTATS 2010.
    """

    name: ClassVar[str] = "contrastive"
    projection: PcaProjection
    frequencies: NDArray[np.float32]
    phases: NDArray[np.float32]
    linear: NDArray[np.float32]
    fourier: NDArray[np.float32]
    intercept: NDArray[np.float32]

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """float64 (n,), in logits."""
        z = self.projection.apply(x)
        waves = np.cos(z @ self.frequencies + self.phases)
        linear = np.matmul(z, self.linear).astype(np.float64)
        logit: NDArray[np.float64] = linear + waves @ self.fourier + self.intercept[0]
        return logit

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """mean, weights, frequencies, phases, linear, fourier and intercept."""
        return {
            "mean": self.projection.mean,
            "weights": self.projection.weights,
            "frequencies": self.frequencies,
            "phases": self.phases,
            "linear": self.linear,
            "fourier": self.fourier,
            "intercept": self.intercept,
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read `to_arrays`; raises DetectorError for anything else."""
        shapes: dict[str, tuple[int | str, ...]] = {
            "mean": ("d",),
            "weights": ("d", "k"),
            "frequencies": ("k", "f"),
            "phases": ("f",),
            "linear": ("k",),
            "fourier": ("f",),
            "intercept": (1,),
        }
        mean, weights, *rest = take(arrays, shapes)
        return cls(PcaProjection(mean, weights), *rest)
