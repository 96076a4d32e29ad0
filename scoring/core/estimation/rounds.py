"""What a finished round says, as plain arrays: the input of every estimator of this package."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
DomainArray = NDArray[np.int8]

OUTSIDE, UNFLAGGED, FLAGGED = -1, 0, 1
"""Domains: outside the segment asked about; inside and not flagged; inside and flagged."""
DOMAINS = (UNFLAGGED, FLAGGED)


@dataclass(frozen=True, eq=False)
class Round:
    """The finished prefix of one draw from the records of a window not drawn before.

    Attributes
    ----------
    labels : float64 (n,), in [0, 1] or NaN
        1 is a violation; posterior probabilities of fallible reviewers may lie between; NaN is a
        case inside the prefix that was never answered.
    inclusion_probabilities : float64 (n,), in (0, 1]
        ``q``, exact for this prefix (`scoring.core.sampling.prefix_inclusion`).
    domain : int8 (n,)
        OUTSIDE, UNFLAGGED or FLAGGED by a *fixed* version of the detector.
    predictions : float64 (n,), in [0, 1]
        ``f``, from a model that has seen earlier rounds only; zeros give Horvitz-Thompson.
    prediction_totals : tuple of 2 floats
        ``Σ f`` over the records not drawn before this round, unflagged and flagged.
    floor_draws : bool (n,)
        Came in by the floor, whatever the gain; see `floor_testimony`.
    floor_hazards : tuple of 2 floats, >= 0
        Least hazard ``b`` of any record of the domain, unflagged and flagged; 0 without a floor,
        ``inf`` where every record is certain.
    """

    labels: FloatArray
    inclusion_probabilities: FloatArray
    domain: DomainArray
    predictions: FloatArray
    prediction_totals: tuple[float, float]
    floor_draws: BoolArray
    floor_hazards: tuple[float, float]

    def __post_init__(self) -> None:
        shapes = {
            array.shape
            for array in (
                self.labels,
                self.inclusion_probabilities,
                self.domain,
                self.predictions,
                self.floor_draws,
            )
        }
        if len(shapes) != 1 or self.labels.ndim != 1:
            raise ValueError("all arrays of a round must be vectors of one length")
        q = self.inclusion_probabilities
        if not ((q > 0.0) & (q <= 1.0)).all():
            raise ValueError("inclusion probabilities must lie in (0, 1]")
        known = self.labels[~np.isnan(self.labels)]
        if not ((known >= 0.0) & (known <= 1.0)).all():
            raise ValueError("labels must lie in [0, 1]")
        if not ((self.predictions >= 0.0) & (self.predictions <= 1.0)).all():
            raise ValueError("predictions must lie in [0, 1]")
        if not np.isin(self.domain, (OUTSIDE, *DOMAINS)).all():
            raise ValueError("domain must hold OUTSIDE, UNFLAGGED or FLAGGED")
        if not all(hazard >= 0.0 for hazard in self.floor_hazards):
            raise ValueError("floor hazards must not be negative")
        if not all(math.isfinite(total) for total in self.prediction_totals):
            raise ValueError("prediction totals must be finite")

    @property
    def size(self) -> int:
        """Records that the prefix took out of the pool, answered or not."""
        return int(self.labels.size)

    @property
    def unresolved(self) -> BoolArray:
        """Cases of the segment without an answer, bool (n,)."""
        return np.asarray(np.isnan(self.labels) & (self.domain != OUTSIDE))


def make_round(
    labels: ArrayLike,
    inclusion_probabilities: ArrayLike,
    *,
    domain: ArrayLike | None = None,
    predictions: ArrayLike | None = None,
    prediction_totals: tuple[float, float] = (0.0, 0.0),
    floor_draws: ArrayLike | None = None,
    floor_hazards: tuple[float, float] = (0.0, 0.0),
) -> Round:
    """A round from array-likes; by default unflagged, without model and without floor.

    Raises ValueError as `Round` does, and when predictions come without their totals.
    """
    values = np.asarray(labels, dtype=np.float64)
    if predictions is not None and not any(prediction_totals) and np.any(predictions):
        raise ValueError("predictions need their totals over the pool")
    return Round(
        labels=values,
        inclusion_probabilities=np.asarray(inclusion_probabilities, dtype=np.float64),
        domain=np.zeros(values.shape, np.int8) if domain is None else np.asarray(domain, np.int8),
        predictions=(
            np.zeros(values.shape) if predictions is None else np.asarray(predictions, np.float64)
        ),
        prediction_totals=prediction_totals,
        floor_draws=(
            np.zeros(values.shape, np.bool_)
            if floor_draws is None
            else np.asarray(floor_draws, np.bool_)
        ),
        floor_hazards=floor_hazards,
    )


@dataclass(frozen=True, eq=False)
class Window:
    """Rounds over one and the same set of records, in the order they were drawn.

    Attributes
    ----------
    n_records : int >= 0
        All records that the first round could draw, ``N``.
    domain_sizes : tuple of 2 ints
        Of these, inside the segment: unflagged and flagged.
    rounds : tuple of Round
        Each drew from the records that earlier rounds had left.
    """

    n_records: int
    domain_sizes: tuple[int, int]
    rounds: tuple[Round, ...] = field(default=())

    def __post_init__(self) -> None:
        if min(self.domain_sizes) < 0 or sum(self.domain_sizes) > self.n_records:
            raise ValueError("domain sizes must be counts that fit into the window")
        if sum(one.size for one in self.rounds) > self.n_records:
            raise ValueError("more records were drawn than the window holds")
        for domain in DOMAINS:
            if self.n_drawn(domain) > self.domain_sizes[domain]:
                raise ValueError("more records were drawn from a domain than it holds")

    def n_drawn(self, domain: int) -> int:
        """Records of the domain that any round drew."""
        return sum(int((one.domain == domain).sum()) for one in self.rounds)

    def filled(self, fill: tuple[float, float]) -> "Window":
        """A copy in which unresolved cases count as ``fill[domain]``."""
        return self._with_labels(
            lambda one: np.where(
                one.unresolved, np.where(one.domain == FLAGGED, fill[1], fill[0]), one.labels
            )
        )

    def _with_labels(self, labels: Callable[[Round], FloatArray]) -> "Window":
        return replace(self, rounds=tuple(replace(one, labels=labels(one)) for one in self.rounds))


def census(labels: ArrayLike, domain: ArrayLike | None = None) -> Window:
    """A stratum taken with certainty: every record drawn with probability 1 and weight 1."""
    one = make_round(
        labels,
        np.ones(np.shape(labels)),
        domain=domain,
        floor_draws=np.ones(np.shape(labels), np.bool_),
        floor_hazards=(math.inf, math.inf),
    )
    sizes = int((one.domain == UNFLAGGED).sum()), int((one.domain == FLAGGED).sum())
    return Window(one.size, sizes, (one,) if one.size else ())


def floor_testimony(
    exponentials: FloatArray,
    floor_hazard: float,
    threshold: float,
    threshold_exponential: float,
    *,
    least_log_softmax: float = -math.inf,
) -> tuple[BoolArray, float]:
    """Which draws of one domain came in whatever their gain, and the hazard they came in by.

    Parameters
    ----------
    exponentials : float64 (n,)
        ``E`` of the drawn records of the domain.
    floor_hazard : float >= 0
        ``b``, the least of the domain.
    threshold, threshold_exponential : float
        ``κ`` and ``E`` of the first record outside the (finished) sample.
    least_log_softmax : float
        Least ``φ`` of any candidate of the domain, where known: the softmax itself is a floor for
        its least likely record, so that a draw with τ = 0 testifies in full.

    Returns
    -------
    floor_draws : bool (n,)
        A Bernoulli sample of the domain's candidates, by rank conditioning.
    hazard : float
        Each candidate was in it with probability ``1 - exp(-hazard)``.

    Notes
    -----
    A record is drawn exactly if ``E < b_i + exp(φ_i - κ)``; hence all with
    ``E < b + exp(φ_min - κ)`` were, and nothing about them had a say in it.
    """
    if threshold == -math.inf:
        return np.ones(exponentials.shape, np.bool_), math.inf
    if threshold == math.inf:
        hazard = min(floor_hazard, threshold_exponential)
    else:
        hazard = floor_hazard + math.exp(min(least_log_softmax - threshold, 50.0))
    return np.asarray(exponentials <= hazard), hazard
