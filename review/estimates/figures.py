"""A figure with everything that stands beside it: uniform sampling, reviewer error, every look."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from review.estimates import reviewers
from review.estimates.ask import Ask
from review.estimates.windows import Material, gather
from scoring.core.agreement.gold import GoldAccuracy
from scoring.core.estimation.corrected import CORRECTABLE, error_corrected
from scoring.core.estimation.estimate import Estimate, Metric
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import DOMAINS, FLAGGED, Window
from scoring.core.estimation.sequences import floor_tuning_variance, running_total_radius
from scoring.core.estimation.totals import sum_totals, window_total
from scoring.core.estimation.uniform_comparison import rate_base, uniform_at_equal_budget

LEVEL = 0.95
CONTINUOUS = "asymptotic-running-total-v1"
_SEED = 20_260_101  # of the draws behind the corrected figure: the same data, the same figure

_ONLY_SHARES = "Limits for every look exist for prevalence and precision."
_NO_FLOOR = "The first round had no floor, so nothing bounds its weights."
_NOTHING_REVIEWED = "No round over these records is finished far enough yet."


@dataclass(frozen=True, slots=True)
class Beside:
    """A second figure beside the first; without a value there is a reason.

    `accuracy` is that of a single answer, where it was corrected for.
    """

    value: float | None
    low: float | None
    high: float | None
    method: str
    reason: str | None = None
    accuracy: GoldAccuracy | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """One estimate, ready to be told.

    Attributes:
        uniform: what as many verdicts on uniformly drawn records would say.
        corrected: the rate of true violations, where the reviewers' errors are known.
        continuous: limits that hold at every look taken after a finished round.
    """

    ask: Ask
    estimate: Estimate
    uniform: Estimate
    corrected: Beside
    continuous: Beside
    n_unresolved: int
    excluded: Mapping[str, int]


def figure(ask: Ask) -> Figure:
    """Estimate what is asked for.

    Raises:
        InvalidInput: answers under versions that cannot be compared, or a domain too fine to count.
    """
    return figures(ask, [ask.metric])[0]


def figures(ask: Ask, metrics: Sequence[Metric]) -> list[Figure]:
    """Several metrics over the same records, read once.

    Raises:
        InvalidInput: as `figure`.
    """
    material = gather(ask)
    made, pooled = material.windows(), reviewers.pooled(material)
    return [_figure(replace(ask, metric=metric), material, made, pooled) for metric in metrics]


def _figure(
    ask: Ask, material: Material, made: Sequence[Window], pooled: reviewers.Pooled
) -> Figure:
    found = estimate_rate(made, ask.metric, level=LEVEL)
    if not material.covered and material.excluded and found.value is None:
        found = replace(found, reason=_NOTHING_REVIEWED)
    rules = material.rules()
    if found.value is not None:
        found = replace(found, assumptions=(*found.assumptions, *_said(ask, material, rules)))
    return Figure(
        ask=ask,
        estimate=found,
        uniform=uniform_at_equal_budget(found, base=rate_base(made, ask.metric)),
        corrected=_corrected(ask, material, pooled),
        continuous=_continuous(found, made),
        n_unresolved=sum(int(one.unresolved.sum()) for w in made for one in w.rounds),
        excluded=material.excluded,
    )


def _said(ask: Ask, material: Material, rules: Mapping[str, int]) -> list[str]:
    """What this estimate rests on beyond its arithmetic."""
    said = [
        "Only finished prefixes of rounds count, and where a prefix ends had nothing to do with "
        "the answers.",
        "No model's prediction enters: answers count by one over their probability, and what these "
        "weights leave open has the mean of the answers.",
    ]
    reached = ", ".join(f"{n} by {rule}" for rule, n in sorted(rules.items()))
    if reached:
        said.append(f"How the answers were reached: {reached}.")
    if ask.metric != "prevalence":
        by = f"scorer version {ask.scorers}" if ask.scorers else "the scorer in use at ingest"
        said.append(f"Flagged means {ask.at} or higher, by {by}.")
    said += [f"Not spoken of: {n:,} records, {why}." for why, n in material.excluded.items()]
    return said


def _corrected(ask: Ask, material: Material, pooled: reviewers.Pooled) -> Beside:
    """The rate of true violations behind the rate of first answers."""
    if ask.metric not in CORRECTABLE:
        why = f"Only {' and '.join(CORRECTABLE)} can be corrected."
        return Beside(None, None, None, pooled.method, why)
    if pooled.accuracy is None:
        return Beside(None, None, None, pooled.method, pooled.reason)
    windows = material.windows(instead=pooled.first)
    told = error_corrected(
        estimate_rate(windows, ask.metric, level=LEVEL),
        pooled.accuracy,
        rng=np.random.default_rng(_SEED),
        base=rate_base(windows, ask.metric),
    )
    method = f"{told.method}, {pooled.method}"
    return Beside(told.value, told.low, told.high, method, told.reason, pooled.accuracy)


def _continuous(found: Estimate, made: Sequence[Window]) -> Beside:
    """Limits of the running share over all windows so far, whenever somebody looks.

    Nowhere narrower than the figure's own: what the floor leaves open stays open.
    """

    def null(why: str) -> Beside:
        return Beside(None, None, None, CONTINUOUS, why)

    if found.metric not in ("prevalence", "precision"):
        return null(_ONLY_SHARES)
    if found.value is None or found.low is None or found.high is None:
        return null(found.reason or _NOTHING_REVIEWED)
    domains = (FLAGGED,) if found.metric == "precision" else DOMAINS
    size = sum(w.domain_sizes[domain] for w in made for domain in domains)
    hazard = next((max(one.floor_hazards) for w in made for one in w.rounds), 0.0)
    if not hazard:
        return null(_NO_FLOOR)
    tuning = floor_tuning_variance(-math.expm1(-hazard))
    limits = [_running(made, domains, fill, tuning) for fill in (0.0, 1.0)]
    low, high = (min(pair[0] for pair in limits), max(pair[1] for pair in limits))
    return Beside(found.value, min(low / size, found.low), max(high / size, found.high), CONTINUOUS)


def _running(
    made: Sequence[Window], domains: Sequence[int], fill: float, tuning: float
) -> tuple[float, float]:
    """Limits of the total over all windows when unanswered cases count as `fill`."""
    parts = [
        sum_totals(window_total(w.filled((fill, fill)), domain) for domain in domains) for w in made
    ]
    everything = sum_totals(parts)
    variances = np.array([part.variance for part in parts])
    radius = float(running_total_radius(variances, tuning_variance=tuning, level=LEVEL)[-1])
    return (
        max(everything.value - radius, everything.least),
        min(everything.value + radius, everything.most),
    )


def as_answer(told: Figure) -> dict[str, Any]:
    """The figure as the API tells it."""
    ask, found = told.ask, told.estimate
    return {
        "queue": ask.queue.slug,
        "question": str(ask.asked) or None,
        "metric": found.metric,
        "at": str(ask.at),
        "value": found.value,
        "low": found.low,
        "high": found.high,
        "level": found.level,
        "n_verdicts": found.n_verdicts,
        "n_records": found.n_records,
        "effective_sample_size": finite(found.effective_sample_size, found.n_records),
        "method": found.method,
        "assumptions": list(found.assumptions),
        "reason": found.reason,
        "is_weak": found.is_weak,
        "effective_positives": finite(found.effective_positives, found.n_records),
        "design_low": found.design_low,
        "design_high": found.design_high,
        "uniform": {
            "low": told.uniform.low,
            "high": told.uniform.high,
            "effective_sample_size": told.uniform.effective_sample_size,
            "method": told.uniform.method,
        },
        "corrected": {**_beside(told.corrected), **_errors(told.corrected.accuracy)},
        "continuous": _beside(told.continuous),
        "unresolved": told.n_unresolved,
        "excluded": _listed(told.excluded),
    }


def finite(size: float | None, n_records: int) -> float | None:
    """A size as JSON can hold it: what is known exactly is as good as all records."""
    return float(n_records) if size == math.inf else size


def _beside(one: Beside) -> dict[str, Any]:
    names = ("value", "low", "high", "method", "reason")
    return {name: getattr(one, name) for name in names}


def _errors(accuracy: GoldAccuracy | None) -> dict[str, Any]:
    """Sensitivity and specificity of a single answer, with their limits."""
    if accuracy is None:
        return {"sensitivity": None, "specificity": None}
    told = {}
    for name in ("sensitivity", "specificity"):
        posterior = getattr(accuracy, name)
        low, high = posterior.interval(level=LEVEL)
        told[name] = {"value": posterior.mean, "low": low, "high": high}
    return told


def _listed(excluded: Mapping[str, int]) -> list[dict[str, Any]]:
    return [{"records": n, "reason": why} for why, n in excluded.items()]
