"""Dawid-Skene: who is right when reviewers differ, and how each of them errs."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.special import logsumexp

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

UNKNOWN = -1
"""Class of items without a gold label."""


@dataclass(frozen=True, eq=False)
class DawidSkene:
    """Posterior of the items' classes and of the reviewers' errors.

    Attributes
    ----------
    posterior : float64 (n_items, n_classes)
        Probability of each class; rows sum to 1. Items without a vote have the prevalence.
    prevalence : float64 (n_classes,)
        Share of the classes among items that are not gold.
    confusion : float64 (n_raters, n_classes, n_classes)
        ``[r, true, said]``; rows sum to 1. A row without evidence or prior is uniform.
    counts : float64 (n_raters, n_classes, n_classes)
        Expected votes behind ``confusion``, the prior's included.
    log_likelihood : float
        Of the votes, in nats, without the prior and multinomial constants.
    n_iterations : int
    converged : bool
    """

    posterior: FloatArray
    prevalence: FloatArray
    confusion: FloatArray
    counts: FloatArray
    log_likelihood: float
    n_iterations: int
    converged: bool

    def confusion_interval(self, *, level: float = 0.95) -> tuple[FloatArray, FloatArray]:
        """Credible limits of each entry of ``confusion``, as two arrays of its shape.

        Marginals of Dirichlet(counts + ½). The items' classes enter by their posterior weights,
        as if these were counts, so with very few votes per item the limits are a little narrow.
        """
        hits = self.counts + 0.5
        rest = self.counts.sum(axis=2, keepdims=True) + 0.5 * self.counts.shape[2] - hits
        tails = (1.0 - level) / 2.0, (1.0 + level) / 2.0
        low, high = (np.asarray(stats.beta.ppf(tail, hits, rest)) for tail in tails)
        return low, high


@dataclass(frozen=True, eq=False)
class _Votes:
    items: IntArray
    raters: IntArray
    labels: IntArray
    n_items: int
    n_raters: int
    n_classes: int


def confusion_prior(n_classes: int, *, strength: float = 2.0, accuracy: float = 0.7) -> FloatArray:
    """Pseudo-votes of a reviewer who is somewhat better than chance, float64 (K, K).

    ``strength`` votes per true class, a share ``accuracy`` of them right. It keeps sparse
    reviewers defined, and the classes from trading names.
    """
    wrong = strength * (1.0 - accuracy) / max(n_classes - 1, 1)
    prior = np.full((n_classes, n_classes), wrong)
    np.fill_diagonal(prior, strength * accuracy)
    return prior


def fit_dawid_skene(
    items: ArrayLike,
    raters: ArrayLike,
    labels: ArrayLike,
    *,
    n_items: int,
    n_raters: int,
    n_classes: int,
    gold: ArrayLike | None = None,
    prior: FloatArray | None = None,
    class_prior: float = 0.0,
    max_iterations: int = 500,
    tolerance: float = 1e-8,
) -> DawidSkene:
    """Maximum a posteriori classes and confusions by expectation maximisation.

    Parameters
    ----------
    items, raters, labels : int64 (n_votes,)
        One vote per place: whose, on what, saying which class. Repeated votes count each.
    n_items, n_raters, n_classes : int
        Sizes; items and raters may have no vote at all.
    gold : int64 (n_items,), optional
        True class, or UNKNOWN. Gold items teach the confusions; they do not count for the
        prevalence, because somebody chose them.
    prior : float64 (n_classes, n_classes) or (n_raters, n_classes, n_classes), >= 0, optional
        Dirichlet pseudo-votes ``[true, said]``; default `confusion_prior`, zeros give maximum
        likelihood as published.
    class_prior : float >= 0
        Pseudo-items per class.
    max_iterations : int
    tolerance : float
        Stop when no posterior probability moves by more.

    Returns
    -------
    DawidSkene

    Raises
    ------
    ValueError
        On indices outside their sizes, mismatched lengths or a negative prior.

    Notes
    -----
    Dawid, Skene, *Maximum Likelihood Estimation of Observer Error-Rates Using the EM Algorithm*,
    1979. Starts from the share of votes per item or, with gold, from what the gold answers say of
    the reviewers: a majority that errs alike would else be believed for its number. Products of
    many small probabilities underflow, so the E-step works with logarithms.
    """
    votes = _read_votes(items, raters, labels, n_items, n_raters, n_classes)
    truth = np.full(n_items, UNKNOWN) if gold is None else np.asarray(gold, dtype=np.int64)
    if truth.shape != (n_items,) or ((truth < UNKNOWN) | (truth >= n_classes)).any():
        raise ValueError("gold must hold a class or UNKNOWN for every item")
    pseudo = confusion_prior(n_classes) if prior is None else np.asarray(prior, dtype=np.float64)
    if not (pseudo >= 0.0).all() or class_prior < 0.0:
        raise ValueError("priors must not be negative")
    pseudo = np.broadcast_to(pseudo, (n_raters, n_classes, n_classes))
    posterior = _start(votes, truth, pseudo)
    change, iteration, likelihood = np.inf, 0, 0.0
    prevalence, counts = _m_step(votes, posterior, truth, pseudo, class_prior)
    while iteration < max_iterations and change > tolerance:
        updated, likelihood = _e_step(votes, prevalence, _normalise(counts), truth)
        change = float(np.abs(updated - posterior).max(initial=0.0))
        posterior = updated
        prevalence, counts = _m_step(votes, posterior, truth, pseudo, class_prior)
        iteration += 1
    return DawidSkene(
        posterior=posterior,
        prevalence=prevalence,
        confusion=_normalise(counts),
        counts=counts,
        log_likelihood=likelihood,
        n_iterations=iteration,
        converged=change <= tolerance,
    )


def _m_step(
    votes: _Votes,
    posterior: FloatArray,
    truth: IntArray,
    pseudo: FloatArray,
    class_prior: float,
) -> tuple[FloatArray, FloatArray]:
    """Prevalence and expected votes ``[rater, true, said]``, given the classes."""
    counts = pseudo.copy()
    cells = votes.raters * votes.n_classes + votes.labels
    for true in range(votes.n_classes):
        counts[:, true, :] += np.bincount(
            cells,
            weights=posterior[votes.items, true],
            minlength=votes.n_raters * votes.n_classes,
        ).reshape(votes.n_raters, votes.n_classes)
    voted = np.bincount(votes.items, minlength=votes.n_items) > 0
    drawn = voted & (truth == UNKNOWN)
    # With nothing but gold, the gold items are all there is to tell.
    shares = posterior[drawn if drawn.any() else voted].sum(axis=0) + class_prior
    return _normalise(shares), counts


def _e_step(
    votes: _Votes, prevalence: FloatArray, confusion: FloatArray, truth: IntArray
) -> tuple[FloatArray, float]:
    """Posterior of the classes and log-likelihood, given prevalence and confusions."""
    with np.errstate(divide="ignore"):  # log 0: what never happened rules a class out
        log_joint = np.tile(np.log(prevalence), (votes.n_items, 1))
        said = np.log(confusion)[votes.raters, :, votes.labels]
    for true in range(votes.n_classes):
        log_joint[:, true] += np.bincount(
            votes.items, weights=said[:, true], minlength=votes.n_items
        )
    evidence = logsumexp(log_joint, axis=1, keepdims=True)
    free = truth == UNKNOWN
    possible = np.isfinite(evidence[:, 0])
    posterior = np.full_like(log_joint, 1.0 / votes.n_classes)
    posterior[possible] = np.exp(log_joint[possible] - evidence[possible])
    likelihood = float(evidence[free & possible, 0].sum())
    clamped = log_joint[np.flatnonzero(~free), truth[~free]]
    likelihood += float(clamped[np.isfinite(clamped)].sum())
    return _clamp(posterior, truth), likelihood


def _read_votes(
    items: ArrayLike,
    raters: ArrayLike,
    labels: ArrayLike,
    n_items: int,
    n_raters: int,
    n_classes: int,
) -> _Votes:
    columns = [np.asarray(values, dtype=np.int64) for values in (items, raters, labels)]
    if len({column.shape for column in columns}) != 1 or columns[0].ndim != 1:
        raise ValueError("items, raters and labels must be vectors of one length")
    for column, size in zip(columns, (n_items, n_raters, n_classes), strict=True):
        if ((column < 0) | (column >= size)).any():
            raise ValueError("a vote names an item, rater or class that does not exist")
    return _Votes(columns[0], columns[1], columns[2], n_items, n_raters, n_classes)


def _start(votes: _Votes, truth: IntArray, pseudo: FloatArray) -> FloatArray:
    """First guess at the classes: shares of votes, or reviewers weighed by their gold answers."""
    known = truth != UNKNOWN
    if known.any():
        counts = pseudo.copy()
        on_gold = known[votes.items]
        cells = votes.raters[on_gold], truth[votes.items[on_gold]], votes.labels[on_gold]
        np.add.at(counts, cells, 1.0)
        even = np.full(votes.n_classes, 1.0 / votes.n_classes)
        return _e_step(votes, even, _normalise(counts), truth)[0]
    places = votes.items * votes.n_classes + votes.labels
    shares = np.bincount(places, minlength=votes.n_items * votes.n_classes).astype(np.float64)
    return _normalise(shares.reshape(votes.n_items, votes.n_classes))


def _normalise(counts: FloatArray) -> FloatArray:
    """Rows that sum to 1; uniform where there is nothing to normalise."""
    totals = counts.sum(axis=-1, keepdims=True)
    return np.asarray(
        np.where(totals > 0.0, counts / np.where(totals > 0.0, totals, 1.0), 1.0 / counts.shape[-1])
    )


def _clamp(posterior: FloatArray, truth: IntArray) -> FloatArray:
    """Gold items are known."""
    known = np.flatnonzero(truth != UNKNOWN)
    clamped = posterior.copy()
    clamped[known] = 0.0
    clamped[known, truth[known]] = 1.0
    return clamped
