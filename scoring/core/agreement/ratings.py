"""Ratings of several reviewers as one table of counts, the common ground of all coefficients."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """A coefficient of agreement, or an honest null with the reason.

    Attributes
    ----------
    value : float, at most 1, or None
    observed, expected : float, or None
        Observed and chance agreement (for alpha one minus the disagreements; there ``expected``
        can be negative on scales without a greatest distance).
    n_units : int
        Units that at least two raters judged.
    n_ratings : int
        Ratings of these units.
    reason : str, or None
        Why there is no value.
    """

    value: float | None
    observed: float | None
    expected: float | None
    n_units: int
    n_ratings: int
    reason: str | None = None


@dataclass(frozen=True, eq=False)
class RatingCounts:
    """How often each unit got each category.

    Attributes
    ----------
    counts : float64 (n_units, n_categories)
        Ratings; units without any are left out.
    categories : float64 (n_categories,)
        Increasing.
    weights : float64 (n_units,), >= 0
        Of the units, such as ``1/q``, scaled to mean 1.
    """

    counts: FloatArray
    categories: FloatArray
    weights: FloatArray

    @property
    def sizes(self) -> FloatArray:
        """Ratings of each unit."""
        return np.asarray(self.counts.sum(axis=1))

    def pairable(self) -> "RatingCounts":
        """Only the units that at least two raters judged, their weights scaled anew."""
        kept = self.sizes >= 2
        return RatingCounts(self.counts[kept], self.categories, _mean_one(self.weights[kept]))


def count_ratings(
    ratings: ArrayLike, *, weights: ArrayLike | None = None, categories: ArrayLike | None = None
) -> RatingCounts:
    """Counts from a table of ratings.

    Parameters
    ----------
    ratings : float64 (n_units, n_raters)
        Category values; NaN where a rater did not judge a unit.
    weights : float64 (n_units,), >= 0, optional
        Of the units, such as ``1/q`` when they were drawn by informed sampling.
    categories : float64 (n_categories,), optional
        All that could have been said; by default those that were.

    Raises
    ------
    ValueError
        On other shapes, negative weights, or ratings outside the categories.
    """
    table = np.asarray(ratings, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError("ratings must be a table of units by raters")
    known = ~np.isnan(table)
    said = np.unique(table[known])
    every = said if categories is None else np.unique(np.asarray(categories, dtype=np.float64))
    if not np.isin(said, every).all():
        raise ValueError("ratings hold values outside the categories")
    share = np.ones(len(table)) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (len(table),) or not (np.isfinite(share) & (share >= 0.0)).all():
        raise ValueError("weights must be one finite, non-negative number per unit")
    counts = np.zeros((len(table), every.size))
    units = np.nonzero(known)[0]
    np.add.at(counts, (units, np.searchsorted(every, table[known])), 1.0)
    kept = known.any(axis=1)
    return RatingCounts(counts[kept], every, _mean_one(share[kept]))


def _mean_one(weights: FloatArray) -> FloatArray:
    total = float(weights.sum())
    return np.asarray(weights * (weights.size / total)) if total > 0.0 else weights
