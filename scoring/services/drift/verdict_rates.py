"""Drift of the verdict rate: arrays come from the floor above, reports are stored here.

Verdicts of rounds have weights that differ from round to round, so labels cannot be shuffled; each
side has an interval that is valid under its own weights (scoring/core/drift/rates.py). The tests of
a report, of all records and of segments, share its level by Holm's method.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from django.db import transaction
from numpy.typing import NDArray

from oversight.audit import services as audit
from oversight.lib.transactions import advisory_lock
from oversight.tenancy.actors import Actor
from scoring.core.drift.changes import N_POINTS, Point
from scoring.core.drift.contract import VERDICT_RATE, Segment
from scoring.core.drift.rates import (
    Rate,
    difference_interval,
    rate_drift_p,
    rate_effect,
    weighted_rate,
)
from scoring.models import DriftReport, ModelVersion, Window
from scoring.services import scorers
from scoring.services.drift import telling

MIN_VERDICTS = 30  # on either side of a test
_MOST_SEGMENTS = 20
_LOCK = "drift-verdicts"

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Verdicts:
    """Resolved verdicts of finished draws.

    y: float64 (n,), 1 a violation.  weight: float64 (n,) > 0, inverse inclusion probabilities.
    times: float64 (n,), when the records occurred, seconds since the epoch.  segments: field -> n
    texts.
    """

    y: Floats
    weight: Floats
    times: Floats
    segments: Mapping[str, NDArray[np.str_]]

    def __len__(self) -> int:
        return len(self.y)

    def rate(self, segment: Segment | None = None) -> Rate:
        rows = self.rows(segment)
        return weighted_rate(self.y[rows], self.weight[rows])

    def rows(self, segment: Segment | None) -> NDArray[np.intp]:
        if segment is None:
            return np.arange(len(self))
        values = self.segments.get(segment.field)
        return np.flatnonzero(values == segment.value) if values is not None else np.arange(0)


def last_report(model: ModelVersion, queue: str) -> DriftReport | None:
    """The newest report of a model version's verdicts in a queue."""
    return (
        DriftReport.objects.filter(model_version=model, kind=DriftReport.Kind.VERDICTS, queue=queue)
        .select_related("window")
        .order_by("-pk")
        .first()
    )


def report(
    actor: Actor,
    *,
    model: ModelVersion,
    queue: str,
    windows: Sequence[Window],
    reference: Verdicts,
    compared: Verdicts,
    level: float,
) -> DriftReport | None:
    """Compare verdicts with earlier ones and store what was found.

    Args:
        actor: the schedule.
        model: what was judged.
        queue: slug of the queue whose verdicts they are.
        windows: what the compared verdicts are of, in order.
        reference, compared: the verdicts.
        level: chance of a false alarm that the report may take.

    Returns:
        None where another run has stored this report meanwhile.
    """
    results = _tests(reference, compared, str(model), queue)
    alarms = [told for told in results if told["p_adjusted"] <= level]
    for told in alarms:
        told["chart"] = _chart(told, reference, compared)
    made = DriftReport(
        project=actor.project,
        model_version=model,
        kind=DriftReport.Kind.VERDICTS,
        queue=queue,
        window=windows[-1],
        first_window=windows[0].number,
        scorer_version=scorers.current_version(actor.project),
        reference_first_at=_moment(reference.times.min()),
        reference_last_at=_moment(reference.times.max()),
        compared_first_at=_moment(compared.times.min()),
        compared_last_at=_moment(compared.times.max()),
        n_reference=len(reference),
        n_compared=len(compared),
        n_records=len(compared),
        season="none",
        matched=1.0,
        level=level,
        n_tests=len(results),
        n_alarms=len(alarms),
        tests=[{name: told[name] for name in telling.TEST_FIELDS} for told in results],
        alarms=alarms,
    )
    with transaction.atomic():
        advisory_lock(_LOCK, model.pk)
        last = last_report(model, queue)
        if last is not None and last.window.number >= windows[0].number:
            return None
        made.save(force_insert=True)
        audit.record(
            actor,
            "drift.reported",
            "drift_report",
            made.pk,
            model_version=model.pk,
            queue=queue,
            window=windows[-1].number,
            n_records=len(compared),
            n_alarms=made.n_alarms,
        )
    return made


def _tests(reference: Verdicts, compared: Verdicts, model: str, queue: str) -> list[dict[str, Any]]:
    """Every test with its figures, surest first; p-values adjusted by Holm's method."""
    pairs = [
        (segment, reference.rate(segment), compared.rate(segment))
        for segment in _segments(reference, compared)
    ]
    raw = [rate_drift_p(before, after) for _, before, after in pairs]
    adjusted = _holm(np.array(raw))
    results = []
    for (segment, before, after), p, p_adjusted in zip(pairs, raw, adjusted, strict=True):
        effect = rate_effect(before, after)
        low, high = difference_interval(before, after, 0.05)
        told = {
            "kind": VERDICT_RATE,
            "name": queue,
            "segment": segment and {"name": segment.field, "value": segment.value},
            "statistic": after.value - before.value,
            "p": p,
            "p_adjusted": float(p_adjusted),
            "n_reference": int(reference.rows(segment).size),
            "n_compared": int(compared.rows(segment).size),
            "direction": effect.direction,
            "effect": {"size": effect.size, "unit": effect.unit},
            "severity": 1.0 - min(before.value, after.value) / max(before.value, after.value, 1e-9),
            "since": None,
            "before": before.value,
            "after": after.value,
            "change": after.value - before.value,
            "low": low,
            "high": high,
            "chart": None,
        }
        told["sentence"] = telling.sentence(told, model, len(pairs))
        results.append(told)
    return sorted(results, key=lambda told: told["p_adjusted"])


def _segments(reference: Verdicts, compared: Verdicts) -> list[Segment | None]:
    """All verdicts, and the largest segments that have enough on both sides."""
    sizes: dict[Segment, int] = {}
    for name, values in compared.segments.items():
        for value in np.unique(values):
            segment = Segment(name, str(value))
            n = min(reference.rows(segment).size, compared.rows(segment).size)
            if n >= MIN_VERDICTS and n < len(compared):
                sizes[segment] = n
    return [None, *sorted(sizes, key=lambda segment: -sizes[segment])[:_MOST_SEGMENTS]]


def _holm(p: Floats) -> Floats:
    """Adjusted p-values that control the family-wise error rate, whatever depends on what.

    Source: Holm, A Simple Sequentially Rejective Multiple Test Procedure, 1979.
    """
    order = np.argsort(p, kind="stable")
    factors = np.arange(len(p), 0, -1)
    adjusted = np.empty(len(p))
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * factors))
    return adjusted


def _chart(
    told: Mapping[str, Any], reference: Verdicts, compared: Verdicts
) -> dict[str, list[dict[str, Any]]]:
    given = told["segment"]
    segment = None if given is None else Segment(given["name"], given["value"])
    return {
        name: [asdict(point) for point in _points(side, side.rows(segment))]
        for name, side in (("before", reference), ("after", compared))
    }


def _points(verdicts: Verdicts, rows: NDArray[np.intp]) -> list[Point]:
    """Weighted rates of runs of consecutive verdicts, with their 95 % intervals."""
    ordered = rows[np.argsort(verdicts.times[rows], kind="stable")]
    points = []
    for run in np.array_split(ordered, min(N_POINTS, max(1, len(ordered) // 15))):
        rate = weighted_rate(verdicts.y[run], verdicts.weight[run])
        low, high = rate.interval(0.05)
        at = float(np.median(verdicts.times[run]))
        points.append(Point(at, rate.value, low, high, int(run.size)))
    return points


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
