"""Weights of the ensemble's terms, learnt from verified labels and adopted only if they help.

P(violation) = sigmoid(a + b·Σ_j w_j t_j) with w on the simplex, shrunk to equal weights: with few
labels the equal weights stay, which no single label can overturn.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

SHRINKAGE = 20.0  # pseudo-labels that speak for equal weights
N_FOLDS = 5
N_BOOTSTRAPS = 400
CONFIDENCE = 0.90
MIN_PER_CLASS = 10


@dataclass(frozen=True, eq=False)
class WeightProposal:
    """Proposed weights beside what the backtest says of them.

    weights: float64 (m,), >= 0, sum 1: the learnt ones if adopted, else the current ones.
    adopted: whether they differ from the current ones.
    current_precision, learnt_precision: out-of-fold weighted average precision; NaN if not run.
    probability_better: share of bootstrap samples in which the learnt ones win; NaN if not run.
    reason: one plain sentence.
    """

    weights: NDArray[np.float64]
    adopted: bool
    current_precision: float
    learnt_precision: float
    probability_better: float
    reason: str


def fit_simplex_logistic(
    terms: NDArray[np.float64],
    labels: NDArray[np.float64],
    sampling_weights: NDArray[np.float64],
    shrinkage: float = SHRINKAGE,
) -> NDArray[np.float64]:
    """Weights on the simplex, float64 (m,), that best predict the labels.

    Minimises -Σ_i s_i [y_i log p_i + (1-y_i) log(1-p_i)] + shrinkage·KL(1/m ‖ w) + b²/50, with
    the sampling weights s scaled to sum to Kish's effective number of labels, so that a few heavy
    records do not pass for many.

    terms: float64 (n, m), finite.  labels: float64 (n,) in [0, 1]; a soft label is a posterior.
    sampling_weights: float64 (n,) > 0, inverse inclusion probabilities.
    """
    n_terms = terms.shape[1]
    total = sampling_weights.sum()
    share = sampling_weights * (total / np.sum(sampling_weights**2))

    def objective(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        intercept, log_slope, logits = parameters[0], parameters[1], parameters[2:]
        weights, slope = special.softmax(logits), np.exp(log_slope)
        combined = terms @ weights
        margin = intercept + slope * combined
        # log-space: log p = -log(1 + exp(-margin))
        loss = share @ (np.logaddexp(0.0, margin) - labels * margin)
        residual = share * (special.expit(margin) - labels)
        divergence = -np.mean(special.log_softmax(logits)) - np.log(n_terms)
        by_weight = slope * (residual @ terms)
        gradient = np.empty_like(parameters)
        gradient[0] = residual.sum()
        gradient[1] = slope * (residual @ combined) + slope * slope / 25.0
        gradient[2:] = weights * (by_weight - weights @ by_weight)
        gradient[2:] += shrinkage * (weights - 1.0 / n_terms)
        return float(loss + shrinkage * divergence + slope * slope / 50.0), gradient

    start = np.zeros(2 + n_terms)
    result = optimize.minimize(objective, start, jac=True, method="L-BFGS-B")
    weights: NDArray[np.float64] = special.softmax(result.x[2:])
    return weights


def propose_weights(
    terms: NDArray[np.float64],
    labels: NDArray[np.float64],
    sampling_weights: NDArray[np.float64],
    current: NDArray[np.float64],
    *,
    rng: np.random.Generator,
) -> WeightProposal:
    """Learn weights and adopt them only if an out-of-fold weighted backtest prefers them.

    Adopted where the learnt weights' average precision is higher in at least 90 % of paired
    bootstrap samples. The fit shrinks to equal weights; `current` is what it must beat.

    current: float64 (m,), >= 0, sum 1.  The other arguments as in `fit_simplex_logistic`; labels
    are split at 0.5 for the precision. Held-out labels must not be among them.

    Raises ValueError where arrays do not fit or are not finite.
    """
    _check(terms, labels, sampling_weights, current)
    positive = labels > 0.5
    fewest = int(min(positive.sum(), (~positive).sum()))
    unknown = float("nan")
    if fewest < MIN_PER_CLASS or terms.shape[1] < 2:
        reason = f"{fewest} labels of the rarer kind, at least {MIN_PER_CLASS} are needed"
        if terms.shape[1] < 2:
            reason = "there is only one term to weigh"
        return WeightProposal(current.copy(), False, unknown, unknown, unknown, reason)
    learnt_score = np.empty(len(labels))
    fold = _stratified_folds(positive, rng)
    for k in range(N_FOLDS):
        train = fold != k
        weights = fit_simplex_logistic(terms[train], labels[train], sampling_weights[train])
        learnt_score[~train] = terms[~train] @ weights
    current_score = terms @ current
    wins = np.empty(N_BOOTSTRAPS)
    for b in range(N_BOOTSTRAPS):
        drawn = rng.integers(0, len(labels), len(labels))
        gain = average_precision(learnt_score[drawn], positive[drawn], sampling_weights[drawn])
        gain -= average_precision(current_score[drawn], positive[drawn], sampling_weights[drawn])
        wins[b] = gain > 0
    probability = float(wins.mean())
    adopted = probability >= CONFIDENCE
    return WeightProposal(
        weights=fit_simplex_logistic(terms, labels, sampling_weights)
        if adopted
        else current.copy(),
        adopted=adopted,
        current_precision=average_precision(current_score, positive, sampling_weights),
        learnt_precision=average_precision(learnt_score, positive, sampling_weights),
        probability_better=probability,
        reason=f"better in {100 * probability:.0f} % of bootstrap samples,"
        f" {100 * CONFIDENCE:.0f} % are asked for",
    )


def average_precision(
    score: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> float:
    """Weighted average precision in [0, 1]; ties share a threshold; NaN without positives."""
    total = float(weights[positive].sum())
    if total == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    found = np.cumsum((weights * positive)[order])
    looked_at = np.cumsum(weights[order])
    last_of_tie = np.append(np.diff(score[order]) != 0, True)
    found, looked_at = found[last_of_tie], looked_at[last_of_tie]
    return float(np.sum(np.diff(found, prepend=0.0) * found / looked_at) / total)


def _stratified_folds(positive: NDArray[np.bool_], rng: np.random.Generator) -> NDArray[np.int64]:
    fold = np.empty(len(positive), np.int64)
    for rows in (np.flatnonzero(positive), np.flatnonzero(~positive)):
        fold[rng.permutation(rows)] = np.arange(len(rows)) % N_FOLDS
    return fold


def _check(
    terms: NDArray[np.float64],
    labels: NDArray[np.float64],
    sampling_weights: NDArray[np.float64],
    current: NDArray[np.float64],
) -> None:
    if terms.ndim != 2 or not labels.shape == sampling_weights.shape == (len(terms),):
        raise ValueError("terms (n, m), labels (n,) and sampling_weights (n,) expected")
    if current.shape != (terms.shape[1],):
        raise ValueError("one current weight per term expected")
    if not all(np.isfinite(array).all() for array in (terms, labels, sampling_weights, current)):
        raise ValueError("terms, labels and weights must be finite")
    if ((labels < 0) | (labels > 1)).any() or (sampling_weights <= 0).any():
        raise ValueError("labels lie in [0, 1], sampling weights above 0")
    if (current < 0).any() or abs(current.sum() - 1.0) > 1e-9:
        raise ValueError("current weights are not on the simplex")
