"""Learnt weights: their optimum, their shrinkage, and that they are adopted only if they help."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, special
from sklearn.metrics import average_precision_score

from scoring.core.weighting import average_precision, fit_simplex_logistic, propose_weights

EQUAL = np.full(3, 1 / 3)


def labelled(n, strengths, seed=0, rate=-2.0):
    """Terms of which only the strong ones say something about the label."""
    rng = np.random.default_rng(seed)
    terms = rng.normal(size=(n, len(strengths)))
    labels = (rng.random(n) < special.expit(rate + terms @ np.array(strengths))).astype(float)
    return terms, labels, rng.uniform(1, 20, n)


def naive_objective(parameters, terms, labels, sampling_weights, shrinkage):
    """The docstring's formula, one record at a time."""
    intercept, slope = parameters[0], np.exp(parameters[1])
    weights = np.exp(parameters[2:]) / np.exp(parameters[2:]).sum()
    scale = sampling_weights.sum() / np.sum(sampling_weights**2)
    loss = 0.0
    for t, y, s in zip(terms, labels, sampling_weights, strict=True):
        p = 1 / (1 + np.exp(-(intercept + slope * (t @ weights))))
        loss -= s * scale * (y * np.log(p) + (1 - y) * np.log(1 - p))
    divergence = sum((1 / len(weights)) * np.log(1 / len(weights) / w) for w in weights)
    return loss + shrinkage * divergence + slope**2 / 50


def test_reaches_the_minimum_of_its_objective():
    data = labelled(80, [2.0, 0.5, 0.0])
    best = optimize.minimize(
        naive_objective,
        np.zeros(5),
        args=(*data, 5.0),
        method="Nelder-Mead",
        options={"maxiter": 20_000, "maxfev": 20_000, "xatol": 1e-8, "fatol": 1e-10},
    )
    expected = special.softmax(best.x[2:])
    np.testing.assert_allclose(fit_simplex_logistic(*data, 5.0), expected, atol=2e-3)


@given(st.integers(0, 10_000), st.integers(2, 5), st.floats(0.1, 1000))
def test_weights_lie_on_the_simplex(seed, m, shrinkage):
    weights = fit_simplex_logistic(*labelled(40, [1.0] * m, seed), shrinkage)
    assert weights.shape == (m,)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1.0)


def test_finds_the_term_that_matters_and_shrinks_with_few_labels():
    many = fit_simplex_logistic(*labelled(3000, [2.0, 0.0, 0.0]))
    few = fit_simplex_logistic(*labelled(15, [2.0, 0.0, 0.0]))
    assert many[0] > 0.8
    assert abs(few[0] - 1 / 3) < abs(many[0] - 1 / 3) / 2
    np.testing.assert_allclose(
        fit_simplex_logistic(*labelled(15, [2.0, 0, 0]), 1e6), EQUAL, atol=1e-3
    )


def test_does_not_depend_on_the_scale_of_sampling_weights_or_the_order():
    terms, labels, weights = labelled(200, [1.0, 0.0, 0.5])
    plain = fit_simplex_logistic(terms, labels, weights)
    order = np.random.default_rng(1).permutation(200)
    np.testing.assert_allclose(fit_simplex_logistic(terms, labels, weights * 1e6), plain, atol=1e-6)
    mixed = fit_simplex_logistic(terms[order], labels[order], weights[order])
    np.testing.assert_allclose(mixed, plain, atol=1e-4)


def test_sampling_weights_matter():
    """Term 0 is right about heavy records, term 1 about light ones."""
    rng = np.random.default_rng(2)
    labels = (rng.random(2000) < 0.3).astype(float)
    heavy = rng.random(2000) < 0.5
    signal, noise = labels * 2 + rng.normal(size=2000), rng.normal(size=2000)
    terms = np.column_stack([np.where(heavy, signal, noise), np.where(heavy, noise, signal)])
    assert fit_simplex_logistic(terms, labels, np.where(heavy, 10.0, 1.0))[0] > 0.6
    assert fit_simplex_logistic(terms, labels, np.where(heavy, 1.0, 10.0))[0] < 0.4


def test_better_weights_are_adopted():
    data = labelled(800, [2.5, 0.0, 0.0])
    proposal = propose_weights(*data, EQUAL, rng=np.random.default_rng(0))
    assert proposal.adopted
    assert proposal.weights[0] > 0.7
    assert proposal.learnt_precision > proposal.current_precision
    assert proposal.probability_better >= 0.9


def test_current_weights_stay_where_nothing_is_gained():
    adopted = []
    for seed in range(12):
        data = labelled(150, [1.0, 1.0, 1.0], seed)
        proposal = propose_weights(*data, EQUAL, rng=np.random.default_rng(seed))
        adopted.append(proposal.adopted)
        if not proposal.adopted:
            np.testing.assert_array_equal(proposal.weights, EQUAL)
    assert np.mean(adopted) <= 0.25


def test_too_few_labels_change_nothing():
    terms, _, weights = labelled(50, [1.0, 1.0, 1.0])
    labels = np.repeat([1.0, 0.0], [9, 41])
    proposal = propose_weights(terms, labels, weights, EQUAL, rng=np.random.default_rng(0))
    assert not proposal.adopted
    assert "9 labels" in proposal.reason
    one = propose_weights(terms[:, :1], labels, weights, np.ones(1), rng=np.random.default_rng(0))
    assert "one term" in one.reason


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 9)), min_size=1))
def test_average_precision_equals_scikit_learn(rows):
    score, positive, weights = (np.array(column) for column in zip(*rows, strict=True))
    ours = average_precision(score.astype(float), positive, weights.astype(float))
    if not positive.any():
        assert np.isnan(ours)
    else:
        theirs = average_precision_score(positive, score, sample_weight=weights)
        assert ours == pytest.approx(theirs)


@pytest.mark.parametrize(
    "broken",
    [
        {"labels": np.array([0.0, 2.0])},
        {"labels": np.zeros(3)},
        {"sampling_weights": np.array([0.0, 1.0])},
        {"sampling_weights": np.ones(3)},
        {"terms": np.full((2, 2), np.nan)},
        {"current": np.array([0.7, 0.7])},
        {"current": np.ones(1)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(broken):
    good = {
        "terms": np.zeros((2, 2)),
        "labels": np.array([0.0, 1.0]),
        "sampling_weights": np.ones(2),
        "current": np.array([0.5, 0.5]),
    }
    with pytest.raises(ValueError, match=r"expected|finite|lie in|simplex"):
        propose_weights(**{**good, **broken}, rng=np.random.default_rng(0))
