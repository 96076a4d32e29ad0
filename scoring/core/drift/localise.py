"""Since when: change points of a series of signals or fingerprints, by kernel CUSUM.

The series is mapped to features in which a change of distribution is a change of mean; the split
that separates the means best is the estimate.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.drift.contract import DriftError, Floats

N_STEPS = 16  # thresholds of a single signal
N_WAVES = 128  # random Fourier features of a vector
MIN_SIZE = 20


@dataclass(frozen=True, slots=True)
class ChangePoint:
    """index: first record after the change.  low, high: 90 % bootstrap range.  p: in (0, 1]."""

    index: int
    low: int
    high: int
    p: float


def step_features(x: Floats) -> Floats:
    """Indicators 1{x <= quantile}: any change of a signal's distribution, float64 (n, N_STEPS)."""
    knots = np.unique(np.quantile(x, np.arange(1, N_STEPS + 1) / (N_STEPS + 1)))
    return np.asarray(x[:, None] <= knots[None, :], np.float64)


def fourier_features(x: Floats, rng: np.random.Generator) -> Floats:
    """Random Fourier features of a Gaussian kernel, float64 (n, 2·N_WAVES), for x (n, d).

    The bandwidth is the median distance of 200 random pairs.

    Source: Rahimi & Recht, Random Features for Large-Scale Kernel Machines, 2007.
    """
    first, second = rng.integers(len(x), size=(2, 200))
    bandwidth = float(np.median(np.linalg.norm(x[first] - x[second], axis=1))) or 1.0
    phase = x @ (rng.normal(size=(x.shape[1], N_WAVES)) / bandwidth)
    return np.asarray(np.hstack([np.cos(phase), np.sin(phase)]) / np.sqrt(N_WAVES))


def cusum(features: Floats) -> Floats:
    """(k (n-k)/n)·‖mean of the first k - mean of the rest‖², k = 1..n-1: float64 (n - 1,)."""
    n = len(features)
    k = np.arange(1, n, dtype=np.float64)
    sums = np.cumsum(features - features.mean(axis=0), axis=0)[:-1]
    return np.asarray(np.einsum("ij,ij->i", sums, sums) * n / (k * (n - k)))


def locate(
    features: Floats, rng: np.random.Generator, *, min_size: int = MIN_SIZE, n_bootstrap: int = 60
) -> tuple[int, int, int]:
    """The best split and the range that holds 90 % of the splits of resampled series.

    Each side is resampled within itself. Raises DriftError below 2·min_size records.
    """
    split, _ = _best(features, min_size)
    replicas = []
    for _ in range(n_bootstrap):
        left = rng.integers(0, split, split)
        right = rng.integers(split, len(features), len(features) - split)
        replicas.append(_best(features[np.concatenate([left, right])], min_size)[0])
    low, high = np.quantile(replicas, [0.05, 0.95]) if replicas else (split, split)
    return split, min(split, int(low)), max(split, int(np.ceil(high)))


def change_points(
    features: Floats,
    rng: np.random.Generator,
    *,
    alpha: float = 0.01,
    min_size: int = 2 * MIN_SIZE,
    n_permutations: int = 199,
) -> list[ChangePoint]:
    """All change points, by bisection as long as a permutation test finds one at level alpha.

    Without any change, the chance that even one is reported is at most alpha.

    Source: Matteson & James, A Nonparametric Approach for Multiple Change Point Analysis of
    Multivariate Data, 2014 (the hierarchy); Harchaoui & Cappé, Retrospective Multiple
    Change-Point Estimation with Kernels, 2007 (the statistic).
    """
    if n_permutations + 1 < 1.0 / alpha:
        raise DriftError("too few permutations to reach alpha")
    found: list[ChangePoint] = []
    pending = [(0, len(features))]
    while pending:
        start, stop = pending.pop()
        part = features[start:stop]
        if len(part) < 2 * min_size:
            continue
        _, observed = _best(part, min_size)
        exceeding = 0
        for _ in range(n_permutations):
            exceeding += _best(rng.permutation(part), min_size)[1] >= observed
            if (exceeding + 1) / (n_permutations + 1) > alpha:
                break
        else:
            split, low, high = locate(part, rng, min_size=min_size)
            p = (exceeding + 1) / (n_permutations + 1)
            found.append(ChangePoint(start + split, start + low, start + high, p))
            pending += [(start, start + split), (start + split, stop)]
    return sorted(found, key=lambda point: point.index)


def _best(features: Floats, min_size: int) -> tuple[int, float]:
    n = len(features)
    if n < 2 * min_size:
        raise DriftError(f"{n} records, at least {2 * min_size} are needed to locate a change")
    statistic = cusum(features)[min_size - 1 : n - min_size]
    best = int(np.argmax(statistic))
    return best + min_size, float(statistic[best])


def remove_seasons(
    features: Floats, strata: NDArray[np.int64], in_reference: NDArray[np.bool_]
) -> Floats:
    """Features less the reference's mean of their stratum (its overall mean where it has none)."""
    overall = features[in_reference].mean(axis=0) if in_reference.any() else 0.0
    centred = np.asarray(features - overall)
    for value in np.unique(strata[in_reference]):
        rows = strata == value
        centred[rows] = features[rows] - features[rows & in_reference].mean(axis=0)
    return centred
