"""Since when: change points of a series of signals or fingerprints, by kernel CUSUM.

The series is mapped to features in which a change of distribution is a change of mean; the split
that separates the means best is the estimate.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.drift.contract import DriftError, Floats

N_STEPS = 16  # thresholds of a single signal
N_AXES = 16  # principal axes of a vector that are kept, at equal variance
N_WAVES = 64  # random Fourier features of these
N_GRID = 256  # splits tried in shuffled series, and in unshuffled ones they are compared with
N_BOOTSTRAP = 100
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

    The leading principal axes are first brought to equal variance, since a few (short refusals
    against long answers, say) would drown the rest; the bandwidth is the median distance of 200
    random pairs. The axes come from all of x, so shuffling its rows shuffles the features.

    Source: Rahimi & Recht, Random Features for Large-Scale Kernel Machines, 2007.
    """
    x = whitened(x)
    first, second = rng.integers(len(x), size=(2, 200))
    bandwidth = float(np.median(np.linalg.norm(x[first] - x[second], axis=1))) or 1.0
    phase = x @ (rng.normal(size=(x.shape[1], N_WAVES)) / bandwidth)
    return np.asarray(np.hstack([np.cos(phase), np.sin(phase)]) / np.sqrt(N_WAVES))


def whitened(x: Floats) -> Floats:
    """Coordinates on at most N_AXES principal axes with unit variance, float64 (n, k), k >= 1."""
    centred = x - x.mean(axis=0)
    variance, axes = np.linalg.eigh(centred.T @ centred / len(x))
    kept = np.flatnonzero(variance > 1e-9 * max(float(variance[-1]), 1e-300))[-N_AXES:]
    if not kept.size:
        return np.zeros((len(x), 1))
    return np.asarray(centred @ (axes[:, kept] / np.sqrt(variance[kept])))


def joined(blocks: Sequence[Floats]) -> Floats:
    """Features side by side, each block of equal total variance; constant blocks are dropped."""
    totals = [float(block.var(axis=0).sum()) for block in blocks]
    varying = [b / np.sqrt(t) for b, t in zip(blocks, totals, strict=True) if t > 0]
    return np.hstack(varying) if varying else np.zeros((len(blocks[0]), 1))


def cusum(features: Floats) -> Floats:
    """(k (n-k)/n)·‖mean of the first k - mean of the rest‖², k = 1..n-1: float64 (n - 1,)."""
    n = len(features)
    k = np.arange(1, n, dtype=np.float64)
    sums = np.cumsum(features - features.mean(axis=0), axis=0)[:-1]
    return np.asarray(np.einsum("ij,ij->i", sums, sums) * n / (k * (n - k)))


def locate(
    features: Floats, rng: np.random.Generator, *, min_size: int = MIN_SIZE
) -> tuple[int, int, int]:
    """The best split, and a range that held the true one in 91-93 % of simulated series.

    The range is that of the middle 96 % of the splits of series resampled within each side: the
    percentiles of a split are a little too narrow (90 % covered 85 %).

    Raises DriftError below 2·min_size records.
    """
    split = _best(features, min_size)
    replicas = []
    for _ in range(N_BOOTSTRAP):
        left = rng.integers(0, split, split)
        right = rng.integers(split, len(features), len(features) - split)
        replicas.append(_best(features[np.concatenate([left, right])], min_size))
    low, high = np.quantile(replicas, [0.02, 0.98])
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
        edges = np.unique(np.linspace(min_size, len(part) - min_size, N_GRID).astype(np.intp))
        light = part.astype(np.float32)
        observed = _greatest(light, edges)
        exceeding = 0
        for _ in range(n_permutations):
            exceeding += _greatest(rng.permutation(light), edges) >= observed
            if (exceeding + 1) / (n_permutations + 1) > alpha:
                break
        else:
            split, low, high = locate(part, rng, min_size=min_size)
            p = (exceeding + 1) / (n_permutations + 1)
            found.append(ChangePoint(start + split, start + low, start + high, p))
            pending += [(start, start + split), (start + split, stop)]
    return sorted(found, key=lambda point: point.index)


def _best(features: Floats, min_size: int) -> int:
    n = len(features)
    if n < 2 * min_size:
        raise DriftError(f"{n} records, at least {2 * min_size} are needed to locate a change")
    return int(np.argmax(cusum(features)[min_size - 1 : n - min_size])) + min_size


def _greatest(features: NDArray[np.float32], edges: NDArray[np.intp]) -> float:
    """The largest CUSUM over splits at the given edges."""
    n = len(features)
    starts = np.concatenate([[0], edges])
    blocks = np.add.reduceat(features, starts, axis=0)
    sums = np.cumsum(blocks[:-1], axis=0) - np.outer(edges / n, blocks.sum(axis=0))
    statistic = np.einsum("ij,ij->i", sums, sums) * n / (edges * (n - edges))
    return float(statistic.max())


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
