"""Fits the detectors that need scikit-learn, and hands their state to the numpy scorers."""

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest as SklearnIsolationForest
from sklearn.linear_model import LogisticRegression
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from scoring.core.detectors.contract import DetectorError, check_baseline
from scoring.core.detectors.contrastive import Contrastive
from scoring.core.detectors.gmm import GaussianMixture
from scoring.core.detectors.isolation_forest import (
    DEPTH,
    N_SAMPLES,
    IsolationForest,
    average_path_length,
)
from scoring.core.detectors.projection import fit_pca_projection

MAX_GMM_DIMENSIONS = 32
MAX_COMPONENTS = 4
N_TREES = 100
MAX_CONTRAST_DIMENSIONS = 32
N_FOURIER = 256
MIN_VIOLATIONS = 20


def fit_gmm(x: NDArray[np.float32], *, rng: np.random.Generator) -> GaussianMixture:
    """Mixture of 1 to 4 full Gaussians in whitened PCA32, the number chosen by BIC.

    x: finite baseline (n, d), n >= 10; components need ten records per dimension each.
    """
    check_baseline(x, minimum=10)
    projection = fit_pca_projection(x, MAX_GMM_DIMENSIONS, whiten=True)
    z = projection.apply(x).astype(np.float64)
    most = min(len(z) // (10 * z.shape[1]), len(np.unique(z, axis=0)), MAX_COMPONENTS)
    seed = int(rng.integers(2**31))
    fits = [
        SklearnGaussianMixture(n, reg_covar=1e-3, random_state=seed, max_iter=200, tol=1e-2).fit(z)
        for n in range(1, max(most, 1) + 1)
    ]
    best = min(fits, key=lambda fit: fit.bic(z))
    return GaussianMixture(
        projection=projection,
        log_weights=np.log(np.maximum(best.weights_, 1e-12)).astype(np.float32),
        means=best.means_.astype(np.float32),
        roots=best.precisions_cholesky_.astype(np.float32),
    )


def fit_isolation_forest(x: NDArray[np.float32], *, rng: np.random.Generator) -> IsolationForest:
    """100 trees on up to 256 records each.  x: finite baseline (n, d), n >= 2."""
    check_baseline(x, minimum=2)
    n_samples = min(N_SAMPLES, len(x))
    forest = SklearnIsolationForest(
        n_estimators=N_TREES, max_samples=n_samples, random_state=int(rng.integers(2**31))
    ).fit(x)
    n_nodes = N_SAMPLES - 1
    features = np.zeros((N_TREES, n_nodes), np.int32)
    thresholds = np.full((N_TREES, n_nodes), np.inf, np.float32)
    lengths = np.zeros((N_TREES, N_SAMPLES), np.float32)
    for t, estimator in enumerate(forest.estimators_):
        tree = estimator.tree_
        stack = [(0, 0, 0)]  # node of the fitted tree, its place in the complete tree, its depth
        while stack:
            node, place, depth = stack.pop()
            if tree.children_left[node] < 0:
                # down the chain of +inf thresholds to the last level
                leaf = (place + 1) * 2 ** (DEPTH - depth) - 1 - n_nodes
                lengths[t, leaf] = depth + average_path_length(int(tree.n_node_samples[node]))
                continue
            features[t, place] = tree.feature[node]
            thresholds[t, place] = _round_down(tree.threshold[node])
            stack.append((tree.children_left[node], 2 * place + 1, depth + 1))
            stack.append((tree.children_right[node], 2 * place + 2, depth + 1))
    return IsolationForest(features, thresholds, lengths, x.shape[1], n_samples)


def fit_contrastive(
    x: NDArray[np.float32],
    *,
    rng: np.random.Generator,
    violations: NDArray[np.float32] | None = None,
) -> Contrastive:
    """Logistic discriminator of a baseline (n, d), n >= 20, from what it is not.

    violations: float32 (m, d), verified by people. With 20 or more they are the contrast, and
    carry as much weight as the baseline; with fewer, synthetic outliers are: records whose columns
    are shuffled independently, and normal noise twice as wide.
    """
    check_baseline(x, minimum=20)
    projection = fit_pca_projection(x, MAX_CONTRAST_DIMENSIONS, whiten=True)
    z = projection.apply(x).astype(np.float64)
    if violations is not None and len(violations) >= MIN_VIOLATIONS:
        check_baseline(violations, minimum=MIN_VIOLATIONS)
        contrast = projection.apply(violations).astype(np.float64)
    else:
        contrast = _synthetic_outliers(z, rng)
    k = z.shape[1]
    # Median distance of whitened records is about √(2k): the kernel's usual bandwidth.
    frequencies = rng.normal(size=(k, N_FOURIER)) / np.sqrt(2.0 * k)
    phases = rng.uniform(0.0, 2.0 * np.pi, N_FOURIER)
    records = np.concatenate([z, contrast])
    design = np.hstack([records, np.cos(records @ frequencies + phases)])
    target = np.repeat([0, 1], [len(z), len(contrast)])
    weight = np.repeat([1.0, len(z) / len(contrast)], [len(z), len(contrast)])
    model = LogisticRegression(C=0.1, max_iter=500, tol=1e-3).fit(design, target, weight)
    coefficients = model.coef_[0].astype(np.float32)
    return Contrastive(
        projection=projection,
        frequencies=frequencies.astype(np.float32),
        phases=phases.astype(np.float32),
        linear=coefficients[:k],
        fourier=coefficients[k:],
        intercept=model.intercept_.astype(np.float32),
    )


def _synthetic_outliers(z: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    if len(z) < 2:
        raise DetectorError("two records are needed to shuffle columns")
    shuffled = rng.permuted(z, axis=0)
    noise = rng.normal(scale=2.0, size=z.shape)
    half = len(z) // 2
    return np.concatenate([shuffled[:half], noise[half:]])


def _round_down(threshold: float) -> np.float32:
    """The largest float32 that sends each float32 record the way the float64 threshold does."""
    rounded = np.float32(threshold)
    return rounded if rounded <= threshold else np.nextafter(rounded, np.float32(-np.inf))
