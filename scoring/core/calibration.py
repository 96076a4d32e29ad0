"""From a raw score to the probability of a violation, from few and weighted verdicts.

Fits are monotone, and their state is plain arrays. Labels held out for evaluation have no place
in a fit.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit, logit

FloatArray = NDArray[np.float64]

Method = Literal["platt", "beta", "isotonic"]

MIN_LABELS_BETA = 200
MIN_LABELS_ISOTONIC = 1000

_CODES: dict[Method, int] = {"platt": 0, "beta": 1, "isotonic": 2}


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted, non-decreasing map from raw scores to probabilities.

    Attributes
    ----------
    method : str
    knots : float64 (k,)
        ``platt``: slope, intercept, location, scale. ``beta``: a, b, c, location, scale.
        ``isotonic``: increasing scores.
    values : float64 (k,)
        ``isotonic``: probabilities at the knots; else empty.
    """

    method: Method
    knots: FloatArray
    values: FloatArray

    def probability(self, scores: FloatArray) -> FloatArray:
        """Probability of a violation at each score, float64 (n,) in [0, 1]; NaN stays NaN."""
        scores = np.asarray(scores, dtype=np.float64)
        if self.method == "platt":
            slope, intercept, location, scale = self.knots
            return np.asarray(expit(slope * (scores - location) / scale + intercept))
        if self.method == "beta":
            a, b, c, location, scale = self.knots
            log_share, log_rest = _beta_features((scores - location) / scale)
            return np.asarray(expit(a * log_share + b * log_rest + c))
        return np.asarray(np.interp(scores, self.knots, self.values))

    def to_points(
        self, scores: FloatArray, *, n_points: int = 256
    ) -> tuple[FloatArray, FloatArray]:
        """The curve as points of a piecewise linear map, for scorers that are frozen with it.

        Parameters
        ----------
        scores : float64 (n,)
            Scores whose quantiles place the points; isotonic knots are kept as they are.
        n_points : int
            At most so many.

        Returns
        -------
        raw : float64 (k,), strictly increasing
        p : float64 (k,), non-decreasing, in [0, 1]
        """
        if self.method == "isotonic" and self.knots.size <= n_points:
            return self.knots.copy(), self.values.copy()
        finite = np.asarray(scores, dtype=np.float64)
        finite = finite[np.isfinite(finite)]
        raw = np.unique(np.quantile(finite, np.linspace(0.0, 1.0, n_points)))
        return raw, np.maximum.accumulate(self.probability(raw))

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for storage; `calibration_from_arrays` reads them back."""
        return {
            "method": np.array(_CODES[self.method], dtype=np.int64),
            "knots": self.knots.copy(),
            "values": self.values.copy(),
        }


def calibration_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Calibration:
    """The calibration stored by `Calibration.to_arrays`; ValueError on what cannot be one."""
    names = {code: method for method, code in _CODES.items()}
    method = names.get(int(arrays["method"]))
    knots = np.array(arrays["knots"], dtype=np.float64)
    values = np.array(arrays["values"], dtype=np.float64)
    if method is None or not (np.isfinite(knots).all() and np.isfinite(values).all()):
        raise ValueError("not a calibration")
    if method == "isotonic":
        in_order = bool((np.diff(knots) > 0.0).all() and (np.diff(values) >= 0.0).all())
        fits = knots.shape == values.shape and knots.size > 0 and in_order
    else:
        fits = knots.shape == ((4,) if method == "platt" else (5,)) and values.size == 0
    if not fits:
        raise ValueError("the arrays of this calibration do not fit together")
    return Calibration(method, knots, values)


def choose_method(n_labels: int, n_positives: float) -> Method:
    """Platt for few labels, beta from 200, isotonic from 1000 (METHODS §6).

    A rich map also needs violations to learn from: with fewer than a tenth of the labels (or of
    their complement) a sample counts as ten times its rarer class.
    """
    size = min(float(n_labels), 10.0 * min(n_positives, n_labels - n_positives))
    if size < MIN_LABELS_BETA:
        return "platt"
    return "beta" if size < MIN_LABELS_ISOTONIC else "isotonic"


def fit_calibration(
    scores: FloatArray,
    labels: FloatArray,
    *,
    weights: FloatArray | None = None,
    method: Method | None = None,
) -> Calibration:
    """Fit a monotone calibration to weighted verdicts.

    Parameters
    ----------
    scores : float64 (n,), finite
        Raw anomaly scores of the judged records.
    labels : float64 (n,), in [0, 1]
        1 is a violation; posterior probabilities may lie between.
    weights : float64 (n,), >= 0, optional
        Export weights, so that the curve holds for all traffic. Scaled to mean 1.
    method : str, optional
        By default `choose_method`.

    Returns
    -------
    Calibration

    Raises
    ------
    ValueError
        Without labels, on mismatched lengths or values outside their range, or when all weights
        are zero.

    Notes
    -----
    Platt: slope >= 0 and targets ``(n₊+1)/(n₊+2)``, ``1/(n₋+2)`` (Platt, *Probabilistic Outputs
    for Support Vector Machines*, 1999). Beta: ``σ(a log s - b log(1-s) + c)``, a, b >= 0 (Kull,
    Silva Filho, Flach, *Beta Calibration*, 2017), with ``s = σ(z)`` of the standardised score,
    since raw scores have no bounds: a sigmoid with a slope of its own on either side. Isotonic:
    pooled adjacent violators with one pseudo-verdict of the mean at either end, so that no
    probability is exactly 0 or 1.
    """
    scores, labels, weights = _checked(scores, labels, weights)
    rule = method or choose_method(labels.size, float(labels.sum()))
    if rule not in _CODES:
        raise ValueError(f"unknown method {rule!r}")
    if rule == "isotonic":
        return _fit_isotonic(scores, labels, weights)
    if rule == "beta":
        return _fit_beta(scores, labels, weights)
    return _fit_platt(scores, labels, weights)


def _fit_platt(scores: FloatArray, labels: FloatArray, weights: FloatArray) -> Calibration:
    location, scale = _location_scale(scores, weights)
    features = ((scores - location) / scale)[:, None]
    slope, intercept = _monotone_logistic(features, _platt_targets(labels, weights), weights)
    return Calibration("platt", np.array([slope, intercept, location, scale]), np.empty(0))


def _fit_beta(scores: FloatArray, labels: FloatArray, weights: FloatArray) -> Calibration:
    location, scale = _location_scale(scores, weights)
    features = np.stack(_beta_features((scores - location) / scale), axis=1)
    a, b, c = _monotone_logistic(features, _platt_targets(labels, weights), weights)
    return Calibration("beta", np.array([a, b, c, location, scale]), np.empty(0))


def _location_scale(scores: FloatArray, weights: FloatArray) -> tuple[float, float]:
    """Weighted mean and sd; constant scores get sd 1."""
    location = float(np.average(scores, weights=weights))
    scale = float(np.sqrt(np.average((scores - location) ** 2, weights=weights)))
    return location, scale if scale > 1e-12 * (1.0 + abs(location)) else 1.0


def _fit_isotonic(scores: FloatArray, labels: FloatArray, weights: FloatArray) -> Calibration:
    knots, place = np.unique(scores, return_inverse=True)
    mass = np.bincount(place, weights=weights)
    hits = np.bincount(place, weights=weights * labels)
    kept = mass > 0.0
    knots, mass, hits = knots[kept], mass[kept], hits[kept]
    mean = float(hits.sum() / mass.sum())
    for end in (0, -1):
        mass[end] += 1.0
        hits[end] += mean
    values = np.clip(isotonic_regression(hits / mass, weights=mass).x, 0.0, 1.0)
    return Calibration("isotonic", *_corners(knots, values))


def _corners(knots: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Only the points where the piecewise linear curve bends."""
    keep = np.ones(knots.size, dtype=bool)
    keep[1:-1] = (values[1:-1] != values[:-2]) | (values[1:-1] != values[2:])
    return knots[keep], values[keep]


def _platt_targets(labels: FloatArray, weights: FloatArray) -> FloatArray:
    positives = float(weights @ labels)
    negatives = float(weights.sum()) - positives
    high, low = (positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0)
    return np.asarray(low + labels * (high - low))


def _monotone_logistic(
    features: FloatArray, targets: FloatArray, weights: FloatArray
) -> FloatArray:
    """Coefficients >= 0 and a free intercept (last) of least weighted log loss."""
    design = np.column_stack([features, np.ones(len(features))])
    n_slopes = features.shape[1]

    def loss(theta: FloatArray) -> tuple[float, FloatArray]:
        margin = design @ theta
        value = weights @ (np.logaddexp(0.0, margin) - targets * margin)
        gradient = design.T @ (weights * (expit(margin) - targets))
        return float(value) / len(targets), gradient / len(targets)

    start = np.append(np.full(n_slopes, 1.0), logit(np.average(targets, weights=weights)))
    bounds = [(0.0, None)] * n_slopes + [(None, None)]
    fit = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds,
        options={"maxiter": 500, "ftol": 1e-14, "gtol": 1e-9},
    )  # fmt: skip
    return np.asarray(fit.x)


def _beta_features(z: FloatArray) -> tuple[FloatArray, FloatArray]:
    """``log s`` and ``-log(1-s)`` of ``s = σ(z)``."""
    return -np.logaddexp(0.0, -z), np.logaddexp(0.0, z)


def _checked(
    scores: FloatArray, labels: FloatArray, weights: FloatArray | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    scores = np.asarray(scores, dtype=np.float64)
    labels = np.asarray(labels, dtype=np.float64)
    share = np.ones(labels.shape) if weights is None else np.asarray(weights, dtype=np.float64)
    if not (scores.shape == labels.shape == share.shape) or scores.ndim != 1 or not scores.size:
        raise ValueError("scores, labels and weights must be vectors of one length, not empty")
    if not (np.isfinite(scores).all() and ((labels >= 0.0) & (labels <= 1.0)).all()):
        raise ValueError("scores must be finite and labels lie in [0, 1]")
    if not (np.isfinite(share) & (share >= 0.0)).all() or not share.any():
        raise ValueError("weights must be finite, not negative and not all zero")
    return scores, labels, share * (share.size / share.sum())
