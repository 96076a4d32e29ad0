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
from scoring.core.estimation.rounds import DOMAINS, FLAGGED, UNFLAGGED, Window
from scoring.core.estimation.totals import Total, sum_totals, window_total
from scoring.core.estimation.tuning import power_tuned

FloatArray = NDArray[np.float64]

METHOD = "floored-order-v1"
UNIFORM_METHOD = "uniform-clopper-pearson-v1"

_EMPTY = "The segment holds no records."
_NOTHING_FLAGGED = "Nothing was flagged in this segment."
_NO_VERDICT = "No case of this segment has a verdict yet."
_NO_VIOLATION = "No violation was found, so there is none to have been caught or missed."
_NO_NEGATIVE = "Every record of the segment appears to be a violation."


@dataclass(frozen=True)
class _Counts:
    """Violations among flagged (a) and unflagged (b) records, and how many of each there are."""

    a: float
    b: float
    n_flagged: int
    n_unflagged: int


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
    predictions shrunk by `power_tuned`), the delta method
    gives V of each rate; df = (Σc)²/Σc² over its variance terms c; ``n_eff = p(1-p)/V·(z/t_df)²``;
    Clopper-Pearson at ``p·n_eff`` (Korn, Graubard, 1998). Where V = 0 or p is 0 or 1, ``n_eff`` is
    the number of floor draws expected among the records the rate is taken over, and at V = 0 only
    the floor sets limits.

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


def uniform_at_equal_budget(estimate: Estimate, *, base: float) -> Estimate:
    """What the same number of verdicts, drawn uniformly, would say if the value were true.

    Parameters
    ----------
    estimate : Estimate
        From `estimate_rate`.
    base : float, in [0, 1]
        Share of all records that the rate is taken over: 1 for prevalence, the flagged share for
        precision, the prevalence for recall and fnr, one minus it for fpr (see `rate_base`).

    Returns
    -------
    Estimate
        Clopper-Pearson at the expected counts; null where the given estimate is.
    """
    if not 0.0 <= base <= 1.0:
        raise ValueError("base must lie in [0, 1]")
    value, low, high, size = estimate.value, None, None, None
    if value is not None:
        size = estimate.n_verdicts * base
        low, high = clopper_pearson(value * size, size, level=estimate.level)
    return Estimate(
        metric=estimate.metric,
        value=value,
        low=low,
        high=high,
        level=estimate.level,
        n_verdicts=estimate.n_verdicts,
        n_records=estimate.n_records,
        effective_sample_size=size,
        method=UNIFORM_METHOD,
        assumptions=("The interval expected of uniformly drawn records at the same budget.",),
        reason=estimate.reason,
        effective_positives=None if value is None or size is None else value * size,
    )


def rate_base(windows: Sequence[Window], metric: Metric) -> float:
    """Share of the segment's records that the rate is taken over, in [0, 1]."""
    n_records = sum(sum(w.domain_sizes) for w in windows)
    if metric == "prevalence" or n_records == 0:
        return 1.0
    if metric == "precision":
        return sum(w.domain_sizes[FLAGGED] for w in windows) / n_records
    prevalence = estimate_rate(windows, "prevalence").value or 0.0
    return 1.0 - prevalence if metric == "fpr" else prevalence


def _settle(windows: Sequence[Window], fill: tuple[float, float]) -> list[Window]:
    return [power_tuned(window.filled(fill)) for window in windows]


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
    centre = _Counts(flagged.clipped, unflagged.clipped, flagged.size, unflagged.size)
    value = _rate(metric, centre)
    if value is None:
        return None
    slope_a, slope_b = _gradient(metric, centre, value)
    terms = np.concatenate([slope_a**2 * flagged.terms, slope_b**2 * unflagged.terms])
    taken_over = [flagged] if metric == "precision" else [flagged, unflagged]
    exact = all(total.is_exact for total in taken_over)
    floors = {d: floor_upper_bound(windows, (d,), level=level).upper for d in DOMAINS}
    doubtful = float(terms.sum()) > 0.0
    size, design = math.inf, (value, value)
    if not exact:
        size = _effective_size(metric, value, terms, windows, centre, level)
    if doubtful:
        design = clopper_pearson(value * size, size, level=level)
    possible = _hull(metric, flagged, unflagged, (flagged.most, unflagged.most))
    everywhere = floor_upper_bound(windows, DOMAINS, level=level)
    if metric == "prevalence":
        reach = (value, everywhere.upper / (flagged.size + unflagged.size))
    elif doubtful:
        reach = _reach(metric, centre, floors[FLAGGED], floors[UNFLAGGED])
    else:
        # Every violation that was found had been as good as certain. METHODS takes the floor draws
        # for a sample of the whole rate here, but they leave open only what was not found.
        reach = _hull(metric, flagged, unflagged, (floors[FLAGGED], floors[UNFLAGGED]))
    return _Limits(
        value=float(value),
        design=design,
        limits=(
            float(max(min(design[0], reach[0], value), possible[0])),
            float(min(max(design[1], reach[1], value), possible[1])),
        ),
        effective_size=size,
        effective_positives=math.inf if exact else _effective_positives(taken_over, windows),
        floor=(
            floor_upper_bound(windows, (FLAGGED,), level=level)
            if metric == "precision"
            else everywhere
        ),
        exact=exact,
    )


def _rate(metric: Metric, counts: _Counts) -> float | None:
    a, b, n_flagged = counts.a, counts.b, counts.n_flagged
    n_records = n_flagged + counts.n_unflagged
    if metric == "prevalence":
        return (a + b) / n_records
    if metric == "precision":
        return a / n_flagged
    if metric == "fpr":
        return (n_flagged - a) / (n_records - a - b) if n_records > a + b else None
    if a + b <= 0.0:
        return None
    return a / (a + b) if metric == "recall" else b / (a + b)


def _gradient(metric: Metric, counts: _Counts, value: float) -> tuple[float, float]:
    """Partial derivatives of the rate by a and b."""
    n_records = counts.n_flagged + counts.n_unflagged
    if metric == "prevalence":
        return 1.0 / n_records, 1.0 / n_records
    if metric == "precision":
        return 1.0 / counts.n_flagged, 0.0
    if metric == "fpr":
        rest = n_records - counts.a - counts.b
        return -(1.0 - value) / rest, value / rest
    found = counts.a + counts.b
    recall = value if metric == "recall" else 1.0 - value
    sign = 1.0 if metric == "recall" else -1.0
    return sign * (1.0 - recall) / found, -sign * recall / found


def _effective_size(
    metric: Metric,
    value: float,
    terms: FloatArray,
    windows: Sequence[Window],
    counts: _Counts,
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


def _hull(
    metric: Metric, flagged: Total, unflagged: Total, most: tuple[float, float]
) -> tuple[float, float]:
    """Least and greatest rate over the box of counts from what is certain up to ``most``."""
    corners = product((flagged.least, most[0]), (unflagged.least, most[1]))
    rates = [_rate(metric, _Counts(a, b, flagged.size, unflagged.size)) for a, b in corners]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):
        return 0.0, 1.0
    return min(known), max(known)


def _reach(metric: Metric, centre: _Counts, a_upper: float, b_upper: float) -> tuple[float, float]:
    """Span of the rate when either count stands at its floor limit and the other where it is."""
    pairs = [(max(a_upper, centre.a), centre.b), (centre.a, max(b_upper, centre.b))]
    rates = [_rate(metric, _Counts(a, b, centre.n_flagged, centre.n_unflagged)) for a, b in pairs]
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates):  # every record could be a violation
        return 0.0, 1.0
    return min(known), max(known)


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
