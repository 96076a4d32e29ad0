"""Estimated totals with their variances: Horvitz-Thompson, Hájek, model-assisted over rounds."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.estimation.rounds import Window

FloatArray = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Total:
    """An estimated total ``T`` of labels over one domain.

    Attributes
    ----------
    value : float
        Unbiased, hence it may leave ``[least, most]``; clip for display.
    variance : float
        Unbiased estimate; the sum of ``terms``.
    terms : float64 (m,), >= 0
        One per draw; few large ones mean few degrees of freedom.
    least, most : float
        What the labels leave possible: certain violations; all but certain non-violations.
    size : int
        Records of the domain.
    """

    value: float
    variance: float
    terms: FloatArray
    least: float
    most: float
    size: int

    @property
    def clipped(self) -> float:
        """``value`` inside what is possible."""
        return min(max(self.value, self.least), self.most)

    @property
    def is_exact(self) -> bool:
        """Nothing is left to learn about this total."""
        return self.least == self.most


def horvitz_thompson(
    values: FloatArray, inclusion_probabilities: FloatArray
) -> tuple[float, float]:
    """``Σ y/q`` and its variance estimate ``Σ (1-q) y²/q²``, both unbiased.

    Parameters
    ----------
    values : float64 (n,)
        Of the drawn records.
    inclusion_probabilities : float64 (n,), in (0, 1]
        Conditional on the threshold: covariances of different records are then 0.

    Notes
    -----
    Horvitz, Thompson, *A Generalization of Sampling Without Replacement*, 1952; rank conditioning:
    Cohen, Kaplan, *Sketch-Based Estimation of Subpopulation-Weight*, 2008.
    """
    q = inclusion_probabilities
    return float((values / q).sum()), float(((1.0 - q) * (values / q) ** 2).sum())


def hajek_mean(values: FloatArray, inclusion_probabilities: FloatArray) -> tuple[float, float]:
    """Self-normalised mean ``Σ(y/q)/Σ(1/q)`` and its linearised variance; for unknown sizes.

    Parameters as in `horvitz_thompson`. Raises ValueError without any draw. The bias is O(1/n).
    """
    if values.size == 0:
        raise ValueError("a mean needs at least one draw")
    q = inclusion_probabilities
    size = float((1.0 / q).sum())
    mean = float((values / q).sum()) / size
    return mean, float(((1.0 - q) * ((values - mean) / q) ** 2).sum()) / size**2


def round_weights(n_records: int, sizes: Sequence[int]) -> FloatArray:
    """Weights ``ω_t`` that combine the rounds of one window; float64 (n_rounds,), sum 1.

    Parameters
    ----------
    n_records : int
        Records of the window, ``N``.
    sizes : sequence of int >= 0
        Records each round took out of the pool.

    Notes
    -----
    ``ω_t = N(N-n)/n · (1/(N-n_t) - 1/(N-n_{t-1}))`` with cumulative ``n_t``, the batch form of
    LURE (Farquhar, Gal, Rainforth, *On Statistical Bias in Active Learning*, 2021): a uniform
    design then gives every label the weight ``N/n``. An exhausted pool is told by its last round.
    """
    taken = np.cumsum(np.asarray(sizes, dtype=np.float64))
    if taken.size == 0:
        return np.empty(0)
    total = float(taken[-1])
    if min(sizes) < 0 or total > n_records:
        raise ValueError("sizes must be counts that fit into the window")
    if total == 0.0 or total == n_records:
        weights = np.zeros(taken.size)
        drawn = np.flatnonzero(np.asarray(sizes))
        weights[drawn[-1] if drawn.size else -1] = 1.0
        return weights
    left = n_records - np.concatenate([[0.0], taken])
    # 1/left[t+1] - 1/left[t] without the cancellation at N = 10^6
    gaps = np.asarray(sizes, dtype=np.float64) / (left[1:] * left[:-1])
    return np.asarray(n_records * (n_records - total) / total * gaps)


def export_weights(
    n_records: int, inclusion_probabilities: Sequence[FloatArray]
) -> list[FloatArray]:
    """Weights of the drawn records, round by round, so that ``Σ w·y`` is the estimated total.

    Parameters
    ----------
    n_records : int
        Records of the window.
    inclusion_probabilities : sequence of float64 (n_t,), in (0, 1]
        Of each round's finished prefix, in order.

    Returns
    -------
    list of float64 (n_t,)
        ``ω_t/q + Σ_{s>t} ω_s``: a record counts ``1/q`` in its own round and once in every later
        one. ``1/q`` for a single round. Never ``1/(1-Π(1-q))``: what the probability in later
        rounds would have been, had the record not been drawn, is unknown.
    """
    weights = round_weights(n_records, [q.size for q in inclusion_probabilities])
    later = np.cumsum(weights[::-1])[::-1] - weights
    return [
        np.asarray(weight / q + rest)
        for weight, rest, q in zip(weights, later, inclusion_probabilities, strict=True)
    ]


def round_totals(window: Window, domain: int) -> tuple[FloatArray, FloatArray]:
    """Each round's own unbiased estimate of the domain's total, and its variance estimate.

    Returns two float64 (n_rounds,): ``T̂_t = Σ_L y + Σ_U f + Σ_S (y-f)/q`` over earlier labels L,
    the remaining pool U and the draws S, and ``V̂_t = Σ_S (1-q)(y-f)²/q²``.
    """
    known, totals, variances = 0.0, [], []
    for one in window.rounds:
        inside = one.domain == domain
        correction, variance = horvitz_thompson(
            (one.labels - one.predictions)[inside], one.inclusion_probabilities[inside]
        )
        totals.append(known + one.prediction_totals[domain] + correction)
        variances.append(variance)
        known += float(one.labels[inside].sum())
    return np.array(totals), np.array(variances)


def window_total(window: Window, domain: int) -> Total:
    """Total of labels over one domain of a window, from all its rounds; no label may be NaN.

    Returns
    -------
    Total

    Raises
    ------
    ValueError
        On NaN labels inside the domain; `Window.filled` settles them.

    Notes
    -----
    ``T̂ = Σ ω_t T̂_t``, ``V = Σ ω_t² V̂_t`` (Zrnic, Candès, *Active Statistical Inference*, 2024,
    over `round_weights`). Soft labels add ``Σ w² y(1-y)`` with w of `export_weights`: the label
    enters its own round with ``1/q`` and every later one with 1.
    """
    rounds = window.rounds
    size = window.domain_sizes[domain]
    if any(np.isnan(one.labels[one.domain == domain]).any() for one in rounds):
        raise ValueError("labels of unresolved cases must be filled first")
    round_share = round_weights(window.n_records, [one.size for one in rounds])
    weights = export_weights(window.n_records, [one.inclusion_probabilities for one in rounds])
    values, _ = round_totals(window, domain)
    terms, least, most = [np.empty(0)], 0.0, float(size)
    for one, share, weight in zip(rounds, round_share, weights, strict=True):
        inside = one.domain == domain
        y, q, f = one.labels[inside], one.inclusion_probabilities[inside], one.predictions[inside]
        design = share**2 * (1.0 - q) * ((y - f) / q) ** 2
        terms.append(design + weight[inside] ** 2 * y * (1.0 - y))
        least += float((y == 1.0).sum())
        most -= float((y == 0.0).sum())
    pooled = np.concatenate(terms)
    value = float(round_share @ values) if len(rounds) else 0.0
    if least == most:  # the rounds ran the domain dry
        return Total(least, 0.0, np.empty(0), least, most, size)
    return Total(value, float(pooled.sum()), pooled, least, most, size)


def sum_totals(totals: Iterable[Total]) -> Total:
    """Total over windows or domains that were drawn apart; variances add."""
    parts = list(totals)
    return Total(
        value=math.fsum(part.value for part in parts),
        variance=math.fsum(part.variance for part in parts),
        terms=np.concatenate([np.empty(0), *(part.terms for part in parts)]),
        least=math.fsum(part.least for part in parts),
        most=math.fsum(part.most for part in parts),
        size=sum(part.size for part in parts),
    )
