"""Permutation tests that share one set of shuffles, so that all of them together err at alpha.

Under no drift, which of the records of one season fell into the window is chance; shuffling that
label within seasons gives every statistic its null distribution, exactly, with ties, with gaps
and with dependence between the statistics.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Labels = NDArray[np.bool_]
Contrasts = NDArray[np.float32]

_TIE = 1e-5  # float32 sums of one arrangement in two orders differ by less, relative to the largest


def shuffled_labels(
    in_window: Labels, strata: NDArray[np.int64], n_permutations: int, rng: np.random.Generator
) -> Labels:
    """The labels themselves, then shuffles within strata: bool (n_permutations + 1, n)."""
    labels = np.empty((n_permutations + 1, in_window.size), np.bool_)
    labels[0] = in_window
    for value in np.unique(strata):
        rows = np.flatnonzero(strata == value)
        tiled = np.tile(in_window[rows], (n_permutations, 1))
        labels[1:, rows] = rng.permuted(tiled, axis=1)
    return labels


def contrasts(labels: Labels, strata: NDArray[np.int64]) -> Contrasts:
    """Weights whose dot product with x is mean(window) - mean(reference matched on season).

    Window records of comparable strata weigh 1/m; reference records weigh -(m_h/m)/n_h, so that
    the reference has the window's mix of seasons. Strata with only one side weigh 0.

    labels: bool (n_arrangements, n).  strata: int64 (n,).  Returns float32, labels' shape.
    """
    _, index = np.unique(strata, return_inverse=True)
    member = np.zeros((index.size, int(index.max(initial=-1)) + 1), np.float32)
    member[np.arange(index.size), index] = 1.0
    window = labels.astype(np.float32)
    m = window @ member
    n = member.sum(axis=0) - m
    m = np.where(n > 0, m, 0.0)
    total = np.maximum(m.sum(axis=1, keepdims=True), 1.0)
    own = np.where(m > 0, 1.0 / total, 0.0).astype(np.float32)
    other = (m / total / np.maximum(n, 1.0)).astype(np.float32)
    taken = np.take(own + other, index, axis=1)
    return np.asarray(window * taken - np.take(other, index, axis=1), np.float32)


def kolmogorov_smirnov(weights: Contrasts, x: Floats) -> Floats:
    """max_t |F_window(t) - F_reference(t)| of each arrangement, in [0, 1]: float64 (n_arr,).

    x: float64 (n,), finite.  Source: Smirnov 1939; here with weights and permuted.
    """
    order = np.argsort(x, kind="stable")
    # At the last value both functions are 1; a rounded gap there would order constant numbers.
    steps = np.flatnonzero(np.diff(x[order]) > 0)
    gaps = np.cumsum(weights[:, order], axis=1)[:, steps]
    return np.asarray(np.abs(gaps).max(axis=1, initial=0.0), np.float64)


def energy(weights: Contrasts, distance: NDArray[np.float32]) -> Floats:
    """2E|X-Y| - E|X-X'| - E|Y-Y'| = -wᵀDw of each arrangement, >= 0: float64 (n_arr,).

    distance: float32 (n, n).  Source: Székely & Rizzo, Energy Statistics, 2013, equation 5.
    """
    between: Floats = np.einsum("ij,ij->i", weights @ distance, weights, dtype=np.float64)
    return -between


def mix(weights: Contrasts, codes: NDArray[np.intp]) -> Floats:
    """Σ_c (share_window - share_reference)²/share of each arrangement: float64 (n_arr,).

    codes: category of each record, 0..n_categories-1.
    """
    member = np.zeros((codes.size, int(codes.max(initial=-1)) + 1), np.float32)
    member[np.arange(codes.size), codes] = 1.0
    share = np.maximum(member.mean(axis=0), 1e-12)
    return np.asarray(((weights @ member) ** 2 / share).sum(axis=1), np.float64)


def euclidean(x: Floats) -> NDArray[np.float32]:
    """Pairwise distances, float32 (n, n), of rows of x, float64 (n, d)."""
    centred = x - x.mean(axis=0)
    square = np.einsum("ij,ij->i", centred, centred)
    product = square[:, None] + square[None, :] - 2.0 * centred @ centred.T
    distance = np.sqrt(np.maximum(product, 0.0))
    np.fill_diagonal(distance, 0.0)
    return np.asarray(distance, np.float32)


def p_values(statistics: Floats) -> tuple[Floats, Floats]:
    """Raw and step-down maxT adjusted p-values of tests, float64 (n_tests, n_arrangements).

    statistics: >= 0, larger is more extreme; column 0 is what was observed. Adjusted p-values
    control the family-wise error rate. They compare cube roots (nearly normal for statistics that
    are quadratic in the data: Wilson & Hilferty 1931) in units of their own spread; comparing
    p-values instead would need n_tests times as many shuffles to resolve the same level.

    Source: Westfall & Young, Resampling-Based Multiple Testing, 1993; Ge, Dudoit, Speed,
    Resampling-based Multiple Testing for Microarray Data Analysis, 2003, Box 2.
    """
    n_tests = len(statistics)
    scale = np.maximum(statistics.max(axis=1, keepdims=True), 1e-300)
    rounded = np.round(np.maximum(statistics, 0.0) / scale / _TIE) * _TIE
    raw = np.mean(rounded >= rounded[:, :1], axis=1)
    roots = np.cbrt(rounded)
    spread = roots.std(axis=1, keepdims=True)
    z = (roots - roots.mean(axis=1, keepdims=True)) / np.where(spread > 1e-9, spread, np.inf)
    adjusted = np.ones(n_tests)
    largest = np.full(statistics.shape[1], -np.inf)
    order = np.argsort(z[:, 0], kind="stable")
    for test in order:
        largest = np.maximum(largest, z[test])
        adjusted[test] = float(np.mean(largest >= z[test, 0]))
    adjusted[order[::-1]] = np.maximum.accumulate(adjusted[order[::-1]])
    return np.asarray(raw, np.float64), adjusted
