"""Prevalence, precision, recall, false-positive and false-negative rate with honest intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from scoring.core.estimation.estimate import METRICS, MIN_EFFECTIVE_POSITIVES, Estimate, Metric
from scoring.core.estimation.intervals import (
    FloorBound,
    clopper_pearson,
    design_effective_size,
    floor_upper_bound,
)
from scoring.core.estimation.rate_algebra import (
    Counts,
    gradient_of,
    rate_of,
    rates_in_reach,
    rates_possible,
)
from scoring.core.estimation.rounds import DOMAINS, FLAGGED, UNFLAGGED, Window
from scoring.core.estimation.totals import Total, sum_totals, window_total
from scoring.core.estimation.tuning import centred, power_tuned

FloatArray = NDArray[np.float64]

METHOD = "floored-order-v1"

_EMPTY = "The segment holds no records."
_NOTHING_FLAGGED = "Nothing was flagged in this segment."
_NO_VERDICT = "No case of this segment has a verdict yet."
_UNREVIEWED = (
    "A window or stratum of this segment has no finished review: leave it out or finish it."
)
_NO_VIOLATION = "No violation was found, so there is none to have been caught or missed."
_NO_NEGATIVE = "Every record of the segment appears to be a violation."


@dataclass(frozen=True)
class _Floors:
    """The floor's upper limits of the violations in either domain, and in both together."""

    flagged: FloorBound
    unflagged: FloorBound
    everywhere: FloorBound


@dataclass(frozen=True)
class _Limits:
    """One metric under one way to settle the unresolved cases."""

    value: float
    design: tuple[float, float]
    limits: tuple[float, float]
    effective_size: float
    effective_positives: float
    floor: FloorBound
    exact: bool


def estimate_rate(windows: Sequence[Window], metric: Metric, *, level: float = 0.95) -> Estimate:
    """A rate over all windows, with limits that hold under informed sampling.

    Parameters
    ----------
    windows : sequence of Window
        Drawn apart; each with its rounds. A stratum taken with certainty is a `census`.
    metric : str
        ``prevalence`` (violations of records), ``precision`` (violations of flagged), ``recall``
        (flagged of violations), ``fpr`` (flagged of non-violations), ``fnr`` (``1 - recall``).
    level : float, in (0, 1)
        Nominal coverage.

    Returns
    -------
    Estimate
        With null value and a reason where the data cannot say.

    Raises
    ------
    ValueError
        On an unknown metric or a level outside (0, 1).

    Notes
    -----
    With A and B the estimated violations among flagged and unflagged records (`window_total`, the
    predictions shrunk by `power_tuned`, a plain mean where there are none, `centred`), the delta
    method gives V of each rate; df = 2(Σc)²/Σc² over its variance terms c;
    ``n_eff = p(1-p)/V·(z/t_df)²``; Clopper-Pearson at ``p·n_eff`` (Korn, Graubard, 1998). Where
    V = 0 or p is 0 or 1, ``n_eff`` is the number of floor draws expected among the records the
    rate is taken over, and at V = 0 only the floor sets limits.

    That interval knows nothing of harm the model does not foresee: at N = 10⁶ and a prevalence of
    0.1 % it covered 48 %. So A and B also have upper limits from the floor alone
    (`floor_upper_bound`), and the limits returned reach at least as far as these allow; no limit
    goes beyond what the labels leave possible. Cases without an answer are settled in every
    extreme way, and the widest limits count.
    """
    if metric not in METRICS:
        raise ValueError(f"unknown metric {metric!r}, known: {', '.join(METRICS)}")
    if not 0.0 < level < 1.0:
        raise ValueError("level must lie in (0, 1)")
    n_unresolved = sum(int(one.unresolved.sum()) for w in windows for one in w.rounds)
    n_verdicts = sum(w.n_drawn(domain) for w in windows for domain in DOMAINS) - n_unresolved
    n_records = sum(sum(w.domain_sizes) for w in windows)

    def null(reason: str) -> Estimate:
        return Estimate(
            metric, None, None, None, level, n_verdicts, n_records, None, METHOD, (), reason
        )

    if n_records == 0:
        return null(_EMPTY)
    if metric in ("precision", "recall", "fnr") and not sum(
        w.domain_sizes[FLAGGED] for w in windows
    ):
        return null(_NOTHING_FLAGGED)
    if n_verdicts == 0:
        return null(_NO_VERDICT)
    if any(sum(w.domain_sizes) and not any(one.size for one in w.rounds) for w in windows):
        return null(_UNREVIEWED)
    central = _limits(_settle(windows, _resolved_means(windows)), metric, level)
    if central is None:
        return null(_NO_NEGATIVE if metric == "fpr" else _NO_VIOLATION)
    cases = [central]
    if n_unresolved:
        corners = (_settle(windows, fill) for fill in product((0.0, 1.0), (0.0, 1.0)))
        cases += [case for corner in corners if (case := _limits(corner, metric, level))]
    low = min(case.limits[0] for case in cases)
    high = max(case.limits[1] for case in cases)
    return Estimate(
        metric=metric,
        value=central.value,
        low=low,
        high=high,
        level=level,
        n_verdicts=n_verdicts,
        n_records=n_records,
        effective_sample_size=central.effective_size,
        method=METHOD,
        assumptions=_assumptions(central, n_unresolved, windows),
        effective_positives=central.effective_positives,
        design_low=central.design[0],
        design_high=central.design[1],
    )


def _settle(windows: Sequence[Window], fill: tuple[float, float]) -> list[Window]:
    return centred([power_tuned(window.filled(fill)) for window in windows])


def _resolved_means(windows: Sequence[Window]) -> tuple[float, float]:
    """Weighted share of violations among the answered cases of each domain: a guess for the rest.

    It only places the point inside the worst-case limits.
    """
    means = []
    for domain in (UNFLAGGED, FLAGGED):
        weighted, total = 0.0, 0.0
        for one in (one for window in windows for one in window.rounds):
            known = (one.domain == domain) & ~np.isnan(one.labels)
            weight = 1.0 / one.inclusion_probabilities[known]
            weighted += float(weight @ one.labels[known])
            total += float(weight.sum())
        means.append(weighted / total if total else 0.0)
    return means[0], means[1]


def _limits(windows: Sequence[Window], metric: Metric, level: float) -> _Limits | None:
    """Limits without any NaN label; None where the rate is undefined."""
    flagged = sum_totals(window_total(window, FLAGGED) for window in windows)
    unflagged = sum_totals(window_total(window, UNFLAGGED) for window in windows)
    centre = Counts(flagged.clipped, unflagged.clipped, flagged.size, unflagged.size)
    value = rate_of(metric, centre)
    if value is None:
        return None
    slope_a, slope_b = gradient_of(metric, centre, value)
    terms = np.concatenate([slope_a**2 * flagged.terms, slope_b**2 * unflagged.terms])
    taken_over = [flagged] if metric == "precision" else [flagged, unflagged]
    exact = all(total.is_exact for total in taken_over)
    size, design = math.inf, (value, value)
    if not exact:
        size = _effective_size(metric, value, terms, windows, centre, level)
    if terms.any():
        design = clopper_pearson(value * size, size, level=level)
    floors = _floors(windows, level)
    reach = _floor_reach(metric, flagged, unflagged, floors, certain=not terms.any())
    possible = rates_possible(metric, flagged, unflagged, (flagged.most, unflagged.most))
    return _Limits(
        value=float(value),
        design=design,
        limits=(
            float(max(min(design[0], reach[0], value), possible[0])),
            float(min(max(design[1], reach[1], value), possible[1])),
        ),
        effective_size=size,
        effective_positives=math.inf if exact else _effective_positives(taken_over, windows),
        floor=floors.flagged if metric == "precision" else floors.everywhere,
        exact=exact,
    )


def _floors(windows: Sequence[Window], level: float) -> _Floors:
    return _Floors(
        *(floor_upper_bound(windows, d, level=level) for d in ((FLAGGED,), (UNFLAGGED,), DOMAINS))
    )


def _floor_reach(
    metric: Metric, flagged: Total, unflagged: Total, floors: _Floors, *, certain: bool
) -> tuple[float, float]:
    """How far the floor's limits of the counts carry the rate to either side."""
    centre = Counts(flagged.clipped, unflagged.clipped, flagged.size, unflagged.size)
    upper = floors.flagged.upper, floors.unflagged.upper
    if metric == "prevalence":
        return 1.0, floors.everywhere.upper / (flagged.size + unflagged.size)
    if certain:
        # Every violation that was found had been as good as certain. METHODS takes the floor draws
        # for a sample of the whole rate here, but they leave open only what was not found.
        return rates_possible(metric, flagged, unflagged, upper)
    return rates_in_reach(metric, centre, *upper)


def _effective_size(
    metric: Metric,
    value: float,
    terms: FloatArray,
    windows: Sequence[Window],
    counts: Counts,
    level: float,
) -> float:
    if 0.0 < value < 1.0 and float(terms.sum()) > 0.0:
        return design_effective_size(value, terms, level=level)
    # METHODS has εn for every metric. A rate over few records, such as recall, would then claim
    # draws that never met them; so count the floor draws among its own denominator.
    flagged_share, unflagged_share = (_floor_share(windows, d) for d in (FLAGGED, UNFLAGGED))
    if metric == "precision":
        return counts.n_flagged * flagged_share
    if metric == "prevalence":
        return counts.n_flagged * flagged_share + counts.n_unflagged * unflagged_share
    if metric == "fpr":
        return (counts.n_flagged - counts.a) * flagged_share + (
            counts.n_unflagged - counts.b
        ) * unflagged_share
    return counts.a * flagged_share + counts.b * unflagged_share


def _floor_share(windows: Sequence[Window], domain: int) -> float:
    """Chance of a record of the domain to be seen whatever its gain, over all rounds."""
    reached, size = 0.0, 0
    for window in windows:
        hazard = math.fsum(one.floor_hazards[domain] for one in window.rounds)
        reached += window.domain_sizes[domain] * -math.expm1(-hazard)
        size += window.domain_sizes[domain]
    return reached / size if size else 0.0


def _effective_positives(totals: Sequence[Total], windows: Sequence[Window]) -> float:
    """``T²/V``, the count whose Poisson error is as large; by the floor where V = 0."""
    total = sum_totals(totals)
    if total.variance > 0.0:
        return total.clipped**2 / total.variance
    domains = (FLAGGED,) if len(totals) == 1 else (FLAGGED, UNFLAGGED)
    pairs = zip(totals, domains, strict=True)
    return math.fsum(part.clipped * _floor_share(windows, domain) for part, domain in pairs)


def _assumptions(case: _Limits, n_unresolved: int, windows: Sequence[Window]) -> tuple[str, ...]:
    said = ["It speaks of the records of these windows, as adjudicated reviewers judge them."]
    if case.exact:
        said.append("Every record it is taken over was reviewed.")
    else:
        low, high = case.design
        said.append(
            "Inclusion probabilities are exact; effective sample size with few-draw correction."
        )
        if (low, high) != case.limits:
            said.append(
                f"Without the floor's testimony the interval would be {low:.4g} to {high:.4g}; "
                f"the wider limit rests on {case.floor.positives:g} violations in "
                f"{case.floor.n_draws} floor draws."
            )
    if not case.exact and not any(max(one.floor_hazards) for w in windows for one in w.rounds):
        said.append("There was no floor: nothing limits what the model does not foresee.")
    if n_unresolved:
        said.append(
            f"{n_unresolved} unanswered cases count as violations or not, whichever is worse."
        )
    if case.effective_positives < MIN_EFFECTIVE_POSITIVES:
        said.append(
            f"Only {case.effective_positives:.1f} effective positives; "
            f"below {MIN_EFFECTIVE_POSITIVES:.0f} the interval is rough."
        )
    return tuple(said)
