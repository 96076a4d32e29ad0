"""Intervals for proportions under a complex design, and what the floor alone can certify."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scoring.core.estimation.rounds import Window

FloatArray = NDArray[np.float64]

MIN_DEGREES_OF_FREEDOM = 1.0


def clopper_pearson(positives: float, n: float, *, level: float = 0.95) -> tuple[float, float]:
    """Beta interval of a proportion; counts may be fractional (effective) ones.

    Parameters
    ----------
    positives : float, in [0, n]
    n : float >= 0
        0 gives (0, 1): nothing is known.
    level : float, in (0, 1)

    Returns
    -------
    tuple of 2 floats
        The ``(1-level)/2`` quantile of Beta(x, n-x+1) and the upper one of Beta(x+1, n-x)
        (Clopper, Pearson, *The Use of Confidence or Fiducial Limits*, 1934).

    Raises
    ------
    ValueError
        If positives or level lie outside their range.
    """
    if not 0.0 <= positives <= n:
        raise ValueError("positives must lie between 0 and n")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie in (0, 1)")
    tail = (1.0 - level) / 2.0
    low = stats.beta.ppf(tail, positives, n - positives + 1.0) if positives > 0.0 else 0.0
    high = stats.beta.ppf(1.0 - tail, positives + 1.0, n - positives) if positives < n else 1.0
    return float(low), float(high)


def degrees_of_freedom(terms: FloatArray) -> float:
    """``(Σc)²/Σc²`` of variance terms (Satterthwaite); at least 1, and inf without any term."""
    squares = float((terms**2).sum())
    if squares == 0.0:
        return math.inf
    return max(float(terms.sum()) ** 2 / squares, MIN_DEGREES_OF_FREEDOM)


def design_effective_size(proportion: float, terms: FloatArray, *, level: float = 0.95) -> float:
    """Size of the uniform sample that would be as precise: ``p(1-p)/V · (z/t_df)²``.

    Parameters
    ----------
    proportion : float, in (0, 1)
    terms : float64 (m,), >= 0
        Variance terms of the proportion, sum > 0.
    level : float
        Whose quantiles correct for few degrees of freedom.

    Notes
    -----
    Korn, Graubard, *Confidence Intervals for Proportions With Small Expected Number of Positive
    Counts Estimated From Survey Data*, 1998, with the normal quantile in the numerator.
    """
    upper = 1.0 - (1.0 - level) / 2.0
    shrink = stats.norm.ppf(upper) / stats.t.ppf(upper, degrees_of_freedom(terms))
    return float(proportion * (1.0 - proportion) / terms.sum() * shrink**2)


@dataclass(frozen=True)
class _Cell:
    """One domain of one window, as its floor draws see it."""

    hazard: float
    slack: float
    undrawn: float


@dataclass(frozen=True)
class FloorBound:
    """Upper confidence limit of a total from floor draws and known labels alone.

    Attributes
    ----------
    upper : float
        One-sided limit at ``1 - (1-level)/2``.
    n_draws : int
        Floor draws that testify.
    positives : float
        Violations among them.
    """

    upper: float
    n_draws: int
    positives: float


def floor_upper_bound(
    windows: Iterable[Window], domains: Iterable[int], *, level: float = 0.95
) -> FloorBound:
    """How many violations there can be at most, whatever the model failed to foresee.

    Parameters
    ----------
    windows : iterable of Window
        No label inside the domains may be NaN.
    domains : iterable of int
        UNFLAGGED, FLAGGED or both.
    level : float
        Two-sided; the limit spends half of ``1 - level``.

    Returns
    -------
    FloorBound

    Notes
    -----
    In round t each violation not found so far (``T - K_{t-1}`` of them) is hit by the floor at
    hazard ``b_t`` independently of everything else, so the number of hits X is a unit Poisson
    process stopped at ``H >= Σ b_t (T - K_{t-1} - x_t)``, and ``H <= u(X)``, the upper Poisson
    limit (exact for X = 0, where it is the rule of three ``T <= 3.7/b``). Over several windows and
    domains the violations are laid where the floor is thinnest, as far as undrawn records allow.
    The bound of METHODS ("Clopper-Pearson of the floor draws") is its one-round case; this form
    also credits what earlier rounds have already found.
    """
    places = tuple(domains)
    hits, n_draws, least, cells = 0.0, 0, 0.0, []
    for window in windows:
        for domain in places:
            cell, cell_hits, cell_draws, known = _floor_cell(window, domain)
            hits += cell_hits
            n_draws += cell_draws
            least += known
            cells.append(cell)
    budget = float(stats.gamma.ppf(1.0 - (1.0 - level) / 2.0, hits + 1.0))
    budget -= math.fsum(cell.slack for cell in cells)
    upper = least
    for cell in sorted(cells, key=lambda cell: cell.hazard):
        if cell.hazard == 0.0:
            upper += cell.undrawn
            continue
        room = min(cell.undrawn, max(budget, 0.0) / cell.hazard)
        upper += room
        budget -= room * cell.hazard
    return FloorBound(upper, n_draws, hits)


def _floor_cell(window: Window, domain: int) -> tuple[_Cell, float, int, float]:
    """The cell, its floor hits, its floor draws and the violations known in it.

    ``slack = Σ b_t (K - K_{t-1} - x_t)`` is the hazard that violations found by the model had been
    under before they were found.
    """
    seen, total_hits, n_draws, hazards, exposed = 0.0, 0.0, 0, [], []
    for one in window.rounds:
        inside = one.domain == domain
        hazard = one.floor_hazards[domain]
        round_hits = float(one.labels[inside & one.floor_draws].sum())
        if math.isfinite(hazard):  # a round that takes all leaves no doubt, and no testimony
            hazards.append(hazard)
            exposed.append(seen + round_hits)
            total_hits += round_hits
            n_draws += int((inside & one.floor_draws).sum())
        seen += float(one.labels[inside].sum())
    slack = math.fsum(b * (seen - before) for b, before in zip(hazards, exposed, strict=True))
    undrawn = float(window.domain_sizes[domain] - window.n_drawn(domain))
    return _Cell(math.fsum(hazards), slack, undrawn), total_hits, n_draws, seen
