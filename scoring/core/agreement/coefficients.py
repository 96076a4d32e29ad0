"""Krippendorff's alpha, Cohen's and Fleiss' kappa, Gwet's AC1 and AC2, specific agreement.

Kappa and alpha fall with the prevalence at the same reviewer accuracy, so a screen shows AC1 and
positive agreement beside them.
"""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from scoring.core.agreement.ratings import Agreement, RatingCounts, count_ratings

FloatArray = NDArray[np.float64]

Scale = Literal["nominal", "ordinal", "interval", "ratio"]
Credit = Literal["nominal", "ordinal", "linear", "quadratic"]

_NO_PAIR = "No case was judged by two reviewers."
_NO_VARIATION = "Everyone gave the same answer throughout, so chance cannot be told from skill."


def krippendorff_alpha(
    ratings: ArrayLike, *, scale: Scale = "nominal", weights: ArrayLike | None = None
) -> Agreement:
    """``α = 1 - D_o/D_e`` over all pairs of ratings of the same unit; any number may be missing.

    Parameters
    ----------
    ratings : float64 (n_units, n_raters), NaN where missing
    scale : str
        How far apart two values are: ``nominal``, ``ordinal`` (by the ranks between them),
        ``interval`` (squared difference) or ``ratio`` (relative difference; values >= 0).
    weights : float64 (n_units,), optional
        Of the units, such as ``1/q``.

    Returns
    -------
    Agreement
        Null without two ratings of one unit, or without two different values.

    Raises
    ------
    ValueError
        As `count_ratings`; on an unknown scale; on negative values of a ratio scale.

    Notes
    -----
    Krippendorff, *Computing Krippendorff's Alpha-Reliability*, 2011.
    """
    table = count_ratings(ratings, weights=weights).pairable()
    counts, sizes = table.counts, table.sizes
    n_ratings = int(sizes.sum())
    if not len(counts) or not table.weights.any():
        return Agreement(None, None, None, len(counts), n_ratings, _NO_PAIR)
    share = table.weights / (sizes - 1.0)
    coincidences = (counts * share[:, None]).T @ counts - np.diag(share @ counts)
    marginal = coincidences.sum(axis=1)
    total = float(marginal.sum())
    distance = _squared_distances(table.categories, marginal, scale)
    observed = float((coincidences * distance).sum()) / total
    expected = float(marginal @ distance @ marginal) / (total * (total - 1.0))
    if expected == 0.0:
        return Agreement(None, 1.0 - observed, 1.0, len(counts), n_ratings, _NO_VARIATION)
    return Agreement(
        1.0 - observed / expected, 1.0 - observed, 1.0 - expected, len(counts), n_ratings
    )


def cohen_kappa(
    first: ArrayLike,
    second: ArrayLike,
    *,
    credit: Credit = "nominal",
    weights: ArrayLike | None = None,
    categories: ArrayLike | None = None,
) -> Agreement:
    """``κ = (p_o - p_e)/(1 - p_e)`` of two raters, chance by each rater's own marginals.

    Parameters
    ----------
    first, second : float64 (n_units,), NaN where missing
        Units that only one of them judged do not count.
    credit : str
        What near misses earn, see `credit_matrix`.
    weights : float64 (n_units,), optional
        Of the units, such as ``1/q``.
    categories : float64, optional
        All that could have been said; matters for near misses only.

    Notes
    -----
    Cohen, *A Coefficient of Agreement for Nominal Scales*, 1960; *Weighted Kappa*, 1968.
    """
    pairs = np.stack(
        [np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)], axis=1
    )
    share = np.ones(len(pairs)) if weights is None else np.asarray(weights, dtype=np.float64)
    every = count_ratings(pairs, weights=share, categories=categories).categories
    both = ~np.isnan(pairs).any(axis=1)
    n_units = int(both.sum())
    if not share[both].any():
        return Agreement(None, None, None, n_units, 2 * n_units, _NO_PAIR)
    places = np.searchsorted(every, pairs[both])
    joint = np.zeros((every.size, every.size))
    np.add.at(joint, (places[:, 0], places[:, 1]), share[both] / share[both].sum())
    credits = credit_matrix(every.size, credit)
    observed = float((joint * credits).sum())
    expected = float(joint.sum(axis=1) @ credits @ joint.sum(axis=0))
    return _beyond_chance(observed, expected, n_units, 2 * n_units)


def fleiss_kappa(ratings: ArrayLike, *, weights: ArrayLike | None = None) -> Agreement:
    """Kappa of many raters, chance by the pooled marginals; parameters as `krippendorff_alpha`.

    Notes
    -----
    Fleiss, *Measuring Nominal Scale Agreement Among Many Raters*, 1971; for unequal numbers of
    ratings as in Gwet, *Handbook of Inter-Rater Reliability*, 2014: pairs of units judged twice,
    marginals of all units.
    """
    table = count_ratings(ratings, weights=weights)
    observed, shares, n_units, n_ratings = _pairs_and_shares(table, np.eye(table.categories.size))
    if observed is None:
        return Agreement(None, None, None, n_units, n_ratings, _NO_PAIR)
    return _beyond_chance(observed, float(shares @ shares), n_units, n_ratings)


def gwet_ac(
    ratings: ArrayLike,
    *,
    credit: Credit = "nominal",
    weights: ArrayLike | None = None,
    categories: ArrayLike | None = None,
) -> Agreement:
    """Gwet's AC1, and AC2 with credit for near misses; steady when one answer is rare.

    Parameters
    ----------
    ratings : float64 (n_units, n_raters), NaN where missing
    credit : str
        ``nominal`` is AC1; see `credit_matrix`.
    weights : float64 (n_units,), optional
        Of the units, such as ``1/q``.
    categories : float64 (n_categories,), optional
        All that could have been said; by default those that were.

    Notes
    -----
    ``p_e = Σ_kl w_kl /(K(K-1)) · Σ π_k (1-π_k)`` (Gwet, *Computing Inter-Rater Reliability and Its
    Variance in the Presence of High Agreement*, 2008).
    """
    table = count_ratings(ratings, weights=weights, categories=categories)
    size = table.categories.size
    credits = credit_matrix(size, credit)
    observed, shares, n_units, n_ratings = _pairs_and_shares(table, credits)
    if observed is None:
        return Agreement(None, None, None, n_units, n_ratings, _NO_PAIR)
    if size < 2:
        return Agreement(None, observed, None, n_units, n_ratings, _NO_VARIATION)
    spread = float((shares * (1.0 - shares)).sum())
    expected = float(credits.sum()) / (size * (size - 1)) * spread
    return _beyond_chance(observed, expected, n_units, n_ratings)


def specific_agreement(
    ratings: ArrayLike, category: float, *, weights: ArrayLike | None = None
) -> Agreement:
    """Chance that another rater says ``category`` too, given that one did.

    For ``category`` 1 and 0 of a yes-no question: positive and negative agreement. Parameters
    otherwise as `krippendorff_alpha`; ``expected`` stays None. Null when nobody said it of a unit
    that two judged.

    Notes
    -----
    ``Σ_u w n_u(n_u - 1) / Σ_u w n_u(m_u - 1)``; for two raters ``2a/(2a+b+c)`` (Cicchetti,
    Feinstein, *High Agreement but Low Kappa: II*, 1990).
    """
    table = count_ratings(ratings, weights=weights).pairable()
    counts, sizes = table.counts, table.sizes
    n_ratings = int(sizes.sum())
    said = counts[:, table.categories == category].sum(axis=1)
    chances = float(table.weights @ (said * (sizes - 1.0)))
    if not len(counts) or chances == 0.0:
        reason = "No reviewer gave this answer to a case judged twice." if len(counts) else _NO_PAIR
        return Agreement(None, None, None, len(counts), n_ratings, reason)
    value = float(table.weights @ (said * (said - 1.0))) / chances
    return Agreement(value, value, None, len(counts), n_ratings)


def credit_matrix(size: int, credit: Credit) -> FloatArray:
    """Agreement weights between ordered categories, float64 (size, size), 1 on the diagonal.

    ``linear`` is ``1 - |i-j|/(K-1)``, ``quadratic`` its square distance, ``ordinal`` counts pairs
    of ranks, ``1 - C(|i-j|+1, 2)/C(K, 2)`` (Gwet, 2014). ValueError on another name.
    """
    gaps = np.abs(np.subtract.outer(np.arange(size), np.arange(size))).astype(np.float64)
    if credit not in ("nominal", "ordinal", "linear", "quadratic"):
        raise ValueError(f"unknown credit {credit!r}")
    if credit == "nominal" or size < 2:
        return np.asarray(gaps == 0.0, dtype=np.float64)
    if credit == "ordinal":
        return np.asarray(1.0 - gaps * (gaps + 1.0) / (size * (size - 1.0)))
    return np.asarray(1.0 - (gaps / (size - 1.0)) ** (1 if credit == "linear" else 2))


def _pairs_and_shares(
    table: RatingCounts, credits: FloatArray
) -> tuple[float | None, FloatArray, int, int]:
    """Mean agreement of pairs, shares of the categories, and how many units and ratings paired."""
    shares = table.weights @ (table.counts / table.sizes[:, None]) / max(len(table.counts), 1)
    paired = table.pairable()
    counts, sizes = paired.counts, paired.sizes
    if not len(counts) or not paired.weights.any():
        return None, shares, len(counts), int(sizes.sum())
    agreeing = (counts * (counts @ credits - 1.0)).sum(axis=1) / (sizes * (sizes - 1.0))
    return (
        float(np.average(agreeing, weights=paired.weights)),
        shares,
        len(counts),
        int(sizes.sum()),
    )


def _beyond_chance(observed: float, expected: float, n_units: int, n_ratings: int) -> Agreement:
    if expected >= 1.0 - 1e-12:
        return Agreement(None, observed, expected, n_units, n_ratings, _NO_VARIATION)
    value = (observed - expected) / (1.0 - expected)
    return Agreement(value, observed, expected, n_units, n_ratings)


def _squared_distances(categories: FloatArray, marginal: FloatArray, scale: Scale) -> FloatArray:
    """``δ²`` between categories, float64 (K, K)."""
    if scale == "nominal":
        return 1.0 - np.eye(categories.size)
    if scale == "ordinal":
        ranks = np.cumsum(marginal) - marginal / 2.0
        return np.asarray(np.subtract.outer(ranks, ranks) ** 2)
    gaps = np.subtract.outer(categories, categories)
    if scale == "interval":
        return np.asarray(gaps**2)
    if scale != "ratio":
        raise ValueError(f"unknown scale {scale!r}")
    if (categories < 0.0).any():
        raise ValueError("a ratio scale has no negative values")
    sums = np.add.outer(categories, categories)
    return np.asarray((gaps / np.where(sums > 0.0, sums, 1.0)) ** 2)
