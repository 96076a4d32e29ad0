import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from scoring.core.posterior import (
    GaussianPrior,
    fit_posterior,
    posterior_from_arrays,
    prior_posterior,
    update_posterior,
)


def some_verdicts(n=120, d=6, seed=0):
    rng = np.random.default_rng(seed)
    features = np.column_stack([np.ones(n), rng.normal(size=(n, d - 1))])
    truth = rng.normal(size=d)
    return features, (rng.random(n) < expit(features @ truth)).astype(float)


def some_prior(d=6):
    return GaussianPrior(np.linspace(-1, 1, d), np.linspace(0.5, 2, d))


def naive_loss(theta, features, targets, weights, prior):
    logits = features @ theta
    likelihood = weights * (np.log1p(np.exp(logits)) - targets * logits)
    return likelihood.sum() + (prior.precision * (theta - prior.mean) ** 2).sum() / 2


@pytest.mark.parametrize("kind", ["hard", "soft"])
@pytest.mark.parametrize("weighted", [False, True])
def test_mode_and_curvature_agree_with_a_general_optimiser(kind, weighted):
    features, targets = some_verdicts()
    rng = np.random.default_rng(3)
    if kind == "soft":
        targets = np.clip(targets + rng.normal(0, 0.2, targets.size), 0, 1)
    weights = rng.uniform(0, 3, targets.size) if weighted else np.ones(targets.size)
    prior = some_prior()
    posterior = fit_posterior(features, targets, prior, weights=weights if weighted else None)
    found = optimize.minimize(
        naive_loss, np.zeros(6), args=(features, targets, weights, prior), options={"gtol": 1e-9}
    )
    assert posterior.converged
    np.testing.assert_allclose(posterior.mean, found.x, atol=1e-5)
    p = expit(features @ posterior.mean)
    hessian = features.T @ np.diag(weights * p * (1 - p)) @ features + np.diag(prior.precision)
    np.testing.assert_allclose(posterior.covariance, np.linalg.inv(hessian), rtol=1e-8)


def test_standard_prior_is_ridge_logistic_regression():
    features, targets = some_verdicts(d=4)
    prior = GaussianPrior(np.zeros(4), np.ones(4))
    ridge = LogisticRegression(C=1.0, fit_intercept=False, tol=1e-10, max_iter=1000)
    ridge.fit(features, targets)
    posterior = fit_posterior(features, targets, prior)
    np.testing.assert_allclose(posterior.mean, ridge.coef_[0], atol=1e-5)


def test_no_verdicts_leave_the_prior():
    prior = some_prior()
    posterior = fit_posterior(np.empty((0, 6)), np.empty(0), prior)
    expected = prior_posterior(prior)
    np.testing.assert_allclose(posterior.mean, expected.mean)
    np.testing.assert_allclose(posterior.covariance, expected.covariance)
    assert posterior.n_verdicts == 0


@pytest.mark.parametrize(
    "case", ["one class", "separable", "constant feature", "huge features", "mixed"]
)
def test_awkward_verdicts_have_a_finite_posterior(case):
    features, targets = some_verdicts()
    if case == "one class":
        targets = np.ones_like(targets)
    elif case == "separable":
        targets = (features[:, 1] > 0).astype(float)
    elif case == "constant feature":
        features[:, 2:] = 1.0
    elif case == "huge features":
        features = features * 1e4
    else:
        features = features * np.array([1.0, 1e5, 1e-5, 1e5, 1.0, 0.0])
    posterior = fit_posterior(features, targets, some_prior())
    mean, variance = posterior.moments(features)
    assert posterior.converged
    assert np.isfinite(mean).all()
    assert (variance >= 0).all()
    assert np.linalg.eigvalsh(posterior.covariance).min() > 0


def test_moments_are_those_of_the_coefficients_in_any_chunking():
    features, targets = some_verdicts(n=60)
    posterior = fit_posterior(features, targets, some_prior())
    many = np.tile(features, (200, 1))
    mean, variance = posterior.moments(many)
    np.testing.assert_allclose(mean, many @ posterior.mean)
    np.testing.assert_allclose(variance[:60], np.diag(features @ posterior.covariance @ features.T))
    np.testing.assert_allclose(variance, np.tile(variance[:60], 200))
    broken = features.copy()
    broken[3, 2] = np.nan
    assert np.flatnonzero(np.isnan(posterior.moments(broken)[0])).tolist() == [3]


def test_integer_weights_repeat_a_verdict():
    features, targets = some_verdicts(n=30)
    counts = np.arange(30) % 4
    weighted = fit_posterior(features, targets, some_prior(), weights=counts.astype(float))
    repeated = fit_posterior(
        np.repeat(features, counts, axis=0), np.repeat(targets, counts), some_prior()
    )
    np.testing.assert_allclose(weighted.mean, repeated.mean, atol=1e-7)
    np.testing.assert_allclose(weighted.covariance, repeated.covariance, atol=1e-9)


@pytest.mark.parametrize("target", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("weight", [0.0, 1.0, 2.5])
def test_first_update_is_the_exact_laplace_fit(target, weight):
    row, prior = np.array([1.0, 3.0, -2.0, 0.5, 0.0, 4.0]), some_prior()
    updated = update_posterior(prior_posterior(prior), row, target, weight=weight)
    fitted = fit_posterior(
        row[None, :], np.array([target]), prior, weights=np.array([weight]), tolerance=1e-14
    )
    np.testing.assert_allclose(updated.mean, fitted.mean, atol=1e-7)
    np.testing.assert_allclose(updated.covariance, fitted.covariance, atol=1e-7)
    assert updated.n_verdicts == 1


def test_many_updates_stay_close_to_the_refit():
    features, targets = some_verdicts(n=150)
    prior = some_prior()
    posterior = prior_posterior(prior)
    for row, target in zip(features, targets, strict=True):
        posterior = update_posterior(posterior, row, float(target))
    refit = fit_posterior(features, targets, prior)
    pool = some_verdicts(n=500, seed=9)[0]
    online, exact = posterior.moments(pool), refit.moments(pool)
    assert np.corrcoef(online[0], exact[0])[0, 1] > 0.998
    assert np.corrcoef(online[1], exact[1])[0, 1] > 0.95


@settings(max_examples=100, deadline=None)
@given(
    scale=st.floats(0, 1e2),
    target=st.floats(0, 1),
    weight=st.floats(0, 1e2),
    offset=st.floats(-50, 50),
)
def test_any_single_update_solves_its_equation(scale, target, weight, offset):
    start = prior_posterior(GaussianPrior(np.array([offset]), np.array([0.25])))
    row = np.array([scale])
    updated = update_posterior(start, row, target, weight=weight)
    mode, spread = scale * float(updated.mean[0]), weight * 4.0 * scale**2
    residual = mode - scale * offset - spread * (target - expit(mode))
    slope = 1 + spread * expit(mode) * expit(-mode)
    assert abs(residual) / slope <= 1e-6 * (1 + abs(mode))
    assert 0 <= updated.covariance[0, 0] <= 4.0 + 1e-12


def test_credible_interval_matches_the_true_posterior_in_one_dimension():
    """Laplace is an approximation; against integration its mean errs by a small part of the sd."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=200)
    y = (rng.random(200) < expit(1.5 * x)).astype(float)
    posterior = fit_posterior(x[:, None], y, GaussianPrior(np.zeros(1), np.ones(1)))

    def density(theta):
        logits = x * theta
        return np.exp((y * logits - np.logaddexp(0, logits)).sum() - theta**2 / 2 + 80)

    sd = float(np.sqrt(posterior.covariance[0, 0]))
    low, high = posterior.mean[0] - 8 * sd, posterior.mean[0] + 8 * sd
    mass = integrate.quad(density, low, high)[0]
    mean = integrate.quad(lambda t: t * density(t), low, high)[0] / mass
    second = integrate.quad(lambda t: (t - mean) ** 2 * density(t), low, high)[0] / mass
    assert abs(mean - posterior.mean[0]) < 0.2 * sd
    assert np.sqrt(second) == pytest.approx(sd, rel=0.05)


def test_arrays_carry_the_whole_state():
    features, targets = some_verdicts()
    posterior = fit_posterior(features, targets, some_prior())
    restored = posterior_from_arrays(posterior.to_arrays())
    assert (restored.mean == posterior.mean).all()
    assert (restored.covariance == posterior.covariance).all()
    assert (restored.n_verdicts, restored.converged) == (120, True)
    with pytest.raises(ValueError, match="fit together"):
        posterior_from_arrays(posterior.to_arrays() | {"covariance": np.eye(3)})
    with pytest.raises(ValueError, match="finite"):
        posterior_from_arrays(posterior.to_arrays() | {"mean": np.full(6, np.nan)})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": np.array([0.0, 1.5])}, "targets"),
        ({"targets": np.array([np.nan, 1.0])}, "targets"),
        ({"features": np.ones((2, 3))}, "features"),
        ({"features": np.array([[np.inf, 1.0], [0.0, 1.0]])}, "finite"),
        ({"weights": np.array([-1.0, 1.0])}, "weights"),
        ({"weights": np.ones(3)}, "one length"),
    ],
)
def test_refuses_unusable_verdicts(change, message):
    arguments = {
        "features": np.ones((2, 2)),
        "targets": np.array([0.0, 1.0]),
        "prior": GaussianPrior(np.zeros(2), np.ones(2)),
    } | change
    with pytest.raises(ValueError, match=message):
        fit_posterior(**arguments)


def test_refuses_an_improper_prior_and_foreign_rows():
    with pytest.raises(ValueError, match="positive"):
        GaussianPrior(np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match="one length"):
        GaussianPrior(np.zeros(2), np.ones(3))
    posterior = prior_posterior(some_prior())
    with pytest.raises(ValueError, match="finite"):
        update_posterior(posterior, np.ones(5), 1.0)
    with pytest.raises(ValueError, match="target"):
        update_posterior(posterior, np.ones(6), 2.0)
    with pytest.raises(ValueError, match="columns"):
        posterior.moments(np.ones((2, 5)))
