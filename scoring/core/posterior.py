"""Bayesian logistic regression over violations: what is believed of each record, and how firmly.

A proper Gaussian prior keeps every case defined: no verdicts, one class, separable classes,
constant features. Fits start from the prior, so the same verdicts give the same posterior.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import brentq
from scipy.special import expit

FloatArray = NDArray[np.float64]

_ROWS_PER_CHUNK = 8192
_MAX_HALVINGS = 30
_MODE_TOLERANCE = 1e-12
_JITTER = 1e-12


@dataclass(frozen=True, eq=False)
class GaussianPrior:
    """Independent normal beliefs about the coefficients before any verdict.

    Attributes
    ----------
    mean : float64 (d,)
    precision : float64 (d,), > 0
        Inverse variances.
    """

    mean: FloatArray
    precision: FloatArray

    def __post_init__(self) -> None:
        if self.mean.shape != self.precision.shape or self.mean.ndim != 1:
            raise ValueError("mean and precision must be vectors of one length")
        if not (np.isfinite(self.mean).all() and np.isfinite(self.precision).all()):
            raise ValueError("mean and precision must be finite")
        if not (self.precision > 0.0).all():
            raise ValueError("precision must be positive")


@dataclass(frozen=True, eq=False)
class Posterior:
    """Gaussian (Laplace) belief about the coefficients after ``n_verdicts`` verdicts.

    Attributes
    ----------
    mean : float64 (d,)
    covariance : float64 (d, d), symmetric positive definite
    n_verdicts : int
        Verdicts absorbed, whatever their weights.
    converged : bool
        The fit reached its tolerance; updates one by one keep the flag.
    """

    mean: FloatArray
    covariance: FloatArray
    n_verdicts: int
    converged: bool

    def moments(self, features: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Mean and variance of the log-odds of each row of ``features`` (n, d).

        Chunks keep the extra memory at O(d). A row that holds NaN gets NaN moments.
        """
        if features.ndim != 2 or features.shape[1] != self.mean.size:
            raise ValueError(f"features must have {self.mean.size} columns")
        mean, variance = np.empty(len(features)), np.empty(len(features))
        for start in range(0, len(features), _ROWS_PER_CHUNK):
            rows = slice(start, start + _ROWS_PER_CHUNK)
            part = np.asarray(features[rows], dtype=np.float64)
            mean[rows] = part @ self.mean
            variance[rows] = np.einsum("ij,ij->i", part @ self.covariance, part)
        return mean, np.maximum(variance, 0.0)

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for storage; `posterior_from_arrays` reads them back."""
        return {
            "mean": self.mean.copy(),
            "covariance": self.covariance.copy(),
            "counts": np.array([self.n_verdicts, int(self.converged)], dtype=np.int64),
        }


def posterior_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Posterior:
    """The posterior stored by `Posterior.to_arrays`; ValueError on shapes that do not fit."""
    mean = np.array(arrays["mean"], dtype=np.float64)
    covariance = np.array(arrays["covariance"], dtype=np.float64)
    if mean.ndim != 1 or covariance.shape != (mean.size, mean.size):
        raise ValueError("mean and covariance do not fit together")
    if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
        raise ValueError("mean and covariance must be finite")
    n_verdicts, converged = (int(value) for value in arrays["counts"])
    return Posterior(mean, covariance, n_verdicts, bool(converged))


def prior_posterior(prior: GaussianPrior) -> Posterior:
    """The prior as a posterior of no verdicts."""
    return Posterior(prior.mean.copy(), np.diag(1.0 / prior.precision), 0, True)


def fit_posterior(
    features: FloatArray,
    targets: FloatArray,
    prior: GaussianPrior,
    *,
    weights: FloatArray | None = None,
    max_iterations: int = 50,
    tolerance: float = 1e-8,
) -> Posterior:
    """Laplace approximation of the posterior by damped Newton steps.

    Parameters
    ----------
    features : float64 (n, d)
        Rows of the verdicts, see `FeatureMap.transform`.
    targets : float64 (n,), in [0, 1]
        1 is a violation; posterior label probabilities of fallible reviewers may lie between.
    prior : GaussianPrior
        Of dimension d.
    weights : float64 (n,), >= 0, optional
        Multiply each verdict's log-likelihood. Selection by the features themselves needs none:
        given the features the verdict does not depend on being asked for. Weights of mean 1
        (``1/q`` normalised) guard against a model that is wrong where it looked most.
    max_iterations : int
        Newton steps; a handful suffices.
    tolerance : float
        Stop when half the squared Newton decrement falls below it, nats.

    Returns
    -------
    Posterior
        ``mean`` minimises ``Σ w·(log(1+e^f) - y·f) + ½(θ-m₀)ᵀΛ₀(θ-m₀)``, which is strictly
        convex; ``covariance = (ZᵀWZ + Λ₀)⁻¹`` with ``W = w·p(1-p)`` there.

    Raises
    ------
    ValueError
        On mismatched shapes, values that are not finite, targets outside [0, 1] or negative
        weights.

    References
    ----------
    MacKay, *The Evidence Framework Applied to Classification Networks*, 1992.
    """
    features, targets, weights = _checked(features, targets, weights, prior)
    theta = prior.mean.copy()
    converged = False
    for _ in range(max_iterations):
        probability = expit(features @ theta)
        gradient = features.T @ (weights * (probability - targets))
        gradient += prior.precision * (theta - prior.mean)
        step = _Curvature.at(features, weights, probability, prior).solve(gradient)
        decrement = float(gradient @ step) / 2.0
        if decrement <= tolerance:
            theta, converged = theta - step, True  # so close, the full step squares the error
            break
        theta = _damped(features, targets, weights, prior, theta, step, decrement)
    curvature = _Curvature.at(features, weights, expit(features @ theta), prior)
    return Posterior(theta, curvature.inverse(), len(targets), converged)


def update_posterior(
    posterior: Posterior, row: FloatArray, target: float, *, weight: float = 1.0
) -> Posterior:
    """Absorb one verdict in O(d²), between refits.

    The exact Laplace step for one observation under the present Gaussian belief: with
    ``f ~ N(μ, s²)`` the mode solves ``f = μ + w·s²·(y - σ(f))``, and the rest follows by rank one.
    Errors of one update do not cancel later, so refit once a round.

    Parameters
    ----------
    posterior : Posterior
    row : float64 (d,)
    target : float in [0, 1]
    weight : float >= 0

    Raises
    ------
    ValueError
        On a row of another length, values that are not finite or out of range.
    """
    if row.shape != posterior.mean.shape or not np.isfinite(row).all():
        raise ValueError(f"row must hold {posterior.mean.size} finite numbers")
    if not 0.0 <= target <= 1.0 or not (np.isfinite(weight) and weight >= 0.0):
        raise ValueError("target must lie in [0, 1] and weight must not be negative")
    direction = posterior.covariance @ row
    mean, variance = float(row @ posterior.mean), max(float(row @ direction), 0.0)
    mode = _scalar_mode(mean, weight * variance, target)
    probability = float(expit(mode))
    curvature = weight * probability * (1.0 - probability)
    shrink = curvature / (1.0 + curvature * variance)
    return Posterior(
        mean=posterior.mean + direction * (weight * (target - probability)),
        covariance=posterior.covariance - shrink * np.outer(direction, direction),
        n_verdicts=posterior.n_verdicts + 1,
        converged=posterior.converged,
    )


def _scalar_mode(mean: float, scale: float, target: float) -> float:
    """Root of the increasing ``f - mean - scale·(target - σ(f))``, between its two limits."""
    low, high = mean - scale * (1.0 - target), mean + scale * target
    if high - low <= _MODE_TOLERANCE:
        return (low + high) / 2.0

    def residual(f: float) -> float:
        return f - mean - scale * (target - float(expit(f)))

    if residual(low) >= 0.0:
        return low
    if residual(high) <= 0.0:
        return high
    return float(brentq(residual, low, high, xtol=_MODE_TOLERANCE, maxiter=200))


def _damped(
    features: FloatArray,
    targets: FloatArray,
    weights: FloatArray,
    prior: GaussianPrior,
    theta: FloatArray,
    step: FloatArray,
    decrement: float,
) -> FloatArray:
    """Halve the Newton step until the loss falls by a quarter of what the step promised."""
    start = _loss(features, targets, weights, prior, theta)
    size = 1.0
    for _ in range(_MAX_HALVINGS):
        candidate = theta - size * step
        if _loss(features, targets, weights, prior, candidate) <= start - size * decrement / 2.0:
            return candidate
        size /= 2.0
    return theta - size * step


def _loss(
    features: FloatArray,
    targets: FloatArray,
    weights: FloatArray,
    prior: GaussianPrior,
    theta: FloatArray,
) -> float:
    logits = features @ theta
    offset = theta - prior.mean
    likelihood = float(weights @ (np.logaddexp(0.0, logits) - targets * logits))
    return likelihood + float(prior.precision @ offset**2) / 2.0


@dataclass(frozen=True, eq=False)
class _Curvature:
    """``ZᵀWZ + Λ₀``, factored once scaled to a unit diagonal, so that no unit of a feature can
    make it numerically indefinite."""

    factor: FloatArray
    scale: FloatArray

    @classmethod
    def at(
        cls,
        features: FloatArray,
        weights: FloatArray,
        probability: FloatArray,
        prior: GaussianPrior,
    ) -> "_Curvature":
        weighted = features * np.sqrt(weights * probability * (1.0 - probability))[:, None]
        hessian = weighted.T @ weighted
        hessian[np.diag_indices_from(hessian)] += prior.precision
        scale = 1.0 / np.sqrt(np.diag(hessian))
        hessian *= scale[:, None] * scale
        hessian[np.diag_indices_from(hessian)] += _JITTER
        return cls(cho_factor(hessian, lower=True, check_finite=False)[0], scale)

    def solve(self, right: FloatArray) -> FloatArray:
        """A Newton step needs no inverse, which costs several times the factor."""
        solved = cho_solve((self.factor, True), self.scale * right, check_finite=False)
        return np.asarray(self.scale * solved)

    def inverse(self) -> FloatArray:
        inverse = cho_solve((self.factor, True), np.eye(self.scale.size), check_finite=False)
        return np.asarray((inverse + inverse.T) / 2.0 * (self.scale[:, None] * self.scale))


def _checked(
    features: FloatArray, targets: FloatArray, weights: FloatArray | None, prior: GaussianPrior
) -> tuple[FloatArray, FloatArray, FloatArray]:
    features = np.asarray(features, dtype=np.float64)
    targets = np.asarray(targets, dtype=np.float64)
    weights = np.ones(len(targets)) if weights is None else np.asarray(weights, dtype=np.float64)
    if features.ndim != 2 or features.shape != (len(targets), prior.mean.size):
        raise ValueError(f"features must be ({len(targets)}, {prior.mean.size})")
    if weights.shape != targets.shape:
        raise ValueError("weights and targets must have one length")
    if not (np.isfinite(features).all() and np.isfinite(weights).all()):
        raise ValueError("features and weights must be finite")
    if not ((targets >= 0.0) & (targets <= 1.0)).all():
        raise ValueError("targets must lie in [0, 1]")
    if not (weights >= 0.0).all():
        raise ValueError("weights must not be negative")
    return features, targets, weights
