"""Shrinkage against scikit-learn and against the formula with one outer product per record."""

import numpy as np
import pytest
from sklearn.covariance import OAS, LedoitWolf

from scoring.core.covariance import column_scale, inverse_root, ledoit_wolf, oas, whitening


def naive_ledoit_wolf_shrinkage(x):
    n, d = x.shape
    centred = x - x.mean(axis=0)
    sample = centred.T @ centred / n
    target = np.trace(sample) / d * np.eye(d)
    delta = np.sum((sample - target) ** 2) / d
    beta = sum(np.sum((np.outer(row, row) - sample) ** 2) for row in centred) / (d * n**2)
    return min(beta, delta) / delta


@pytest.mark.parametrize(("n", "d"), [(20, 3), (50, 40), (10, 60), (500, 7)])
def test_agrees_with_scikit_learn(n, d):
    rng = np.random.default_rng(n)
    x = rng.normal(size=(n, d)) * rng.uniform(0.1, 5, d) + 3.0
    for ours, theirs in ((ledoit_wolf(x), LedoitWolf().fit(x)), (oas(x), OAS().fit(x))):
        assert ours.shrinkage == pytest.approx(theirs.shrinkage_, rel=1e-9)
        np.testing.assert_allclose(ours.covariance, theirs.covariance_, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(ours.mean, theirs.location_, rtol=1e-12)


def test_agrees_with_the_paper():
    x = np.random.default_rng(1).normal(size=(30, 8)) @ np.diag(np.arange(1, 9))
    assert ledoit_wolf(x).shrinkage == pytest.approx(naive_ledoit_wolf_shrinkage(x), rel=1e-10)


@pytest.mark.parametrize("estimate", [ledoit_wolf, oas])
def test_constant_and_single_records_are_defined(estimate):
    for x in (np.full((5, 3), 2.0), np.ones((1, 4)), np.zeros((3, 1))):
        result = estimate(x)
        assert 0.0 <= result.shrinkage <= 1.0
        mean, root = whitening(x, estimate)
        np.testing.assert_allclose(mean, x.mean(axis=0))
        np.testing.assert_allclose(root, np.eye(x.shape[1]), rtol=1e-5)


def test_inverse_root_factors_the_precision():
    x = np.random.default_rng(2).normal(size=(200, 6))
    covariance = ledoit_wolf(x).covariance
    root = inverse_root(covariance)
    assert (np.tril(root, -1) == 0).all()
    np.testing.assert_allclose(root @ root.T, np.linalg.inv(covariance), rtol=1e-4, atol=1e-5)


def test_scale_of_a_constant_column_is_one():
    x = np.column_stack([np.full(9, 1e9) + 1e-4 * 0, np.arange(9.0)])
    assert column_scale(x)[0] == 1.0
    assert column_scale(x)[1] == pytest.approx(x[:, 1].std())


def test_whitened_records_are_spherical_whatever_their_units():
    rng = np.random.default_rng(5)
    x = rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 3)) * [1e-3, 1.0, 1e5] + 7.0
    mean, root = whitening(x)
    np.testing.assert_allclose(np.cov((x - mean) @ root, rowvar=False), np.eye(3), atol=0.05)
