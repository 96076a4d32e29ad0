"""Learns the map from raw scores to probabilities, and says out of fold what it is worth.

The curve that is kept is fitted on all labels; how good such a curve is, the labels say that were
left out of its fit, group by group, so that near copies do not speak for each other.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scoring.core.calibration import Calibration, Method, choose_method, fit_calibration

FloatArray = NDArray[np.float64]

MIN_LABELS = 30
MIN_PER_CLASS = 5
LEVEL = 0.95
_LEAST_PROBABILITY = 1e-6


class TooFewLabelsError(ValueError):
    """The labels do not support a calibration; the message says how many it takes."""


@dataclass(frozen=True, eq=False)
class LearntCalibration:
    """A calibration with the probabilities that its kind gives out of fold.

    Attributes
    ----------
    calibration : Calibration
        Fitted on all labels.
    out_of_fold : float64 (n,), in (0, 1)
        Each label's probability from a fit without its fold.
    base_rate : float64 (n,), in (0, 1)
        The same of knowing the weighted share of violations alone.
    n_violations : int
    effective_size : float
        Kish, ``(Σw)²/Σw²``.
    """

    calibration: Calibration
    out_of_fold: FloatArray
    base_rate: FloatArray
    n_labels: int
    n_violations: int
    effective_size: float


@dataclass(frozen=True, slots=True)
class LossComparison:
    """Weighted mean of log loss of the candidate less that of another, nats: below 0 is better.

    value is None, with a reason, where the labels cannot say.
    """

    value: float | None
    low: float
    high: float
    n_labels: int
    n_violations: int
    effective_size: float
    reason: str = ""

    @property
    def is_better(self) -> bool:
        """Whether the whole interval lies below 0."""
        return self.value is not None and self.high < 0.0


def learn_calibration(
    raw: FloatArray, labels: FloatArray, weights: FloatArray, folds: NDArray[np.int8]
) -> LearntCalibration:
    """Fit a monotone calibration by the rules of `fit_calibration` and cross-fit it.

    Parameters
    ----------
    raw : float64 (n,), finite
    labels : float64 (n,), 0 or 1
    weights : float64 (n,), > 0
        Export weights: the curve holds for all traffic.
    folds : int8 (n,)
        Labels that are alike share one.

    Raises
    ------
    TooFewLabelsError
        Below `MIN_LABELS` labels or `MIN_PER_CLASS` of either kind.

    Notes
    -----
    The method is chosen for Kish's effective number of labels: a curve as free as 1,000 labels
    allow has no place where 50 heavy ones decide.
    """
    n_violations = int(np.sum(labels == 1.0))
    rarer = min(n_violations, len(labels) - n_violations)
    if len(labels) < MIN_LABELS or rarer < MIN_PER_CLASS:
        raise TooFewLabelsError(
            f"{len(labels)} labels, {rarer} of the rarer kind; at least {MIN_LABELS}, and "
            f"{MIN_PER_CLASS} of either kind, are needed"
        )
    size = float(weights.sum() ** 2 / np.sum(weights**2))
    shrunk = size / len(labels)
    method = choose_method(int(size), n_violations * shrunk)
    out_of_fold, base_rate = np.empty(len(labels)), np.empty(len(labels))
    for fold in np.unique(folds):
        rows = folds == fold
        base_rate[rows] = smoothed_rate(labels[~rows], weights[~rows])
        out_of_fold[rows] = _fitted(raw, labels, weights, ~rows, method, base_rate[rows][0])(
            raw[rows]
        )
    return LearntCalibration(
        calibration=fit_calibration(raw, labels, weights=weights, method=method),
        out_of_fold=np.clip(out_of_fold, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY),
        base_rate=base_rate,
        n_labels=len(labels),
        n_violations=n_violations,
        effective_size=size,
    )


def compare_losses(
    candidate: FloatArray, reference: FloatArray, labels: FloatArray, weights: FloatArray
) -> LossComparison:
    """Paired difference of weighted log loss with its interval.

    candidate, reference : float64 (n,), in [0, 1]
        Probabilities of the same records, from fits that have not seen their labels.

    Notes
    -----
    Mean ``d̄ = Σwd/Σw`` of ``d = loss(candidate) - loss(reference)``, variance by linearisation
    ``Σ(w(d-d̄)/Σw)²``, and Student's t with the effective number of labels less one as degrees of
    freedom. Below `MIN_PER_CLASS` violations nothing is said: a few surprising ones decide all.
    """
    n, n_violations = len(labels), int(np.sum(labels == 1.0))
    size = float(weights.sum() ** 2 / np.sum(weights**2)) if n else 0.0
    rarer = min(n_violations, n - n_violations)
    if n < MIN_LABELS or rarer < MIN_PER_CLASS or size < 3.0:
        reason = (
            f"{n} labels ({size:.0f} in effect), {rarer} of the rarer kind; at least"
            f" {MIN_LABELS}, and {MIN_PER_CLASS} of either kind, are needed"
        )
        return LossComparison(None, -math.inf, math.inf, n, n_violations, size, reason)
    difference = log_losses(candidate, labels) - log_losses(reference, labels)
    total = float(weights.sum())
    value = float(weights @ difference) / total
    spread = math.sqrt(float(np.sum((weights * (difference - value) / total) ** 2)))
    half = float(stats.t.ppf(0.5 + LEVEL / 2.0, size - 1.0)) * spread * math.sqrt(size / (size - 1))
    return LossComparison(value, value - half, value + half, n, n_violations, size)


def log_losses(probabilities: FloatArray, labels: FloatArray) -> FloatArray:
    """Log loss of each label, nats, float64 (n,)."""
    p = np.clip(probabilities, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY)
    return np.asarray(-(labels * np.log(p) + (1.0 - labels) * np.log1p(-p)))


def _fitted(
    raw: FloatArray,
    labels: FloatArray,
    weights: FloatArray,
    rows: NDArray[np.bool_],
    method: Method,
    rate: float,
) -> Callable[[FloatArray], FloatArray]:
    if not rows.any() or labels[rows].min() == labels[rows].max():
        return lambda scores: np.full(scores.shape, rate)
    return fit_calibration(
        raw[rows], labels[rows], weights=weights[rows], method=method
    ).probability


def smoothed_rate(labels: FloatArray, weights: FloatArray) -> float:
    """Weighted share of violations with one pseudo-label of a half, in (0, 1)."""
    if not len(labels):
        return 0.5
    size = float(weights.sum() ** 2 / np.sum(weights**2))
    rate = float(weights @ labels / weights.sum())
    return (rate * size + 0.5) / (size + 1.0)
