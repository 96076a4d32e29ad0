"""Reads of drift: the reports of a project, and which of its segments are moving now."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.lib.clock import now, rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring import drift_charts
from scoring.core.drift.contract import MIX
from scoring.models import DriftReport, ModelVersion

CALM_AFTER = 2  # reports in a row that looked into a segment and raised no alarm there
FORGOTTEN_AFTER = timedelta(days=14)  # without any report: nothing is known any more
_MOST_REPORTS = 500
_MOST_BOXES = 40
_MOST_HISTORIES = 4


@dataclass(frozen=True, slots=True)
class Shift:
    """A segment that has moved and has not calmed down again.

    Attributes:
        name, value: the segment: `region` or a context field; both empty for all records of the
            model version.
        model_version: id of the model version whose records have moved.
        severity: in [0, 1], the largest effect of its alarms: 0 hardly, 1 entirely another.
        since: when it began, by estimate.
        report: id of the newest report that says so.
    """

    name: str
    value: str
    model_version: int
    severity: float
    since: datetime
    report: int


def active_shifts(project: Project, at: datetime | None = None) -> list[Shift]:
    """The segments that moved and have not calmed down by a moment, the gravest first.

    A segment is calm once `CALM_AFTER` reports in a row looked into it without an alarm; reports
    older than `FORGOTTEN_AFTER` say nothing.

    Args:
        project: whose records.
        at: aware; the present where None.
    """
    at = at or now()
    rows = DriftReport.objects.filter(
        project=project, created_at__lte=at, created_at__gt=at - FORGOTTEN_AFTER
    ).order_by("-pk")
    by_stream: dict[tuple[int, str, str], list[DriftReport]] = {}
    wanted = rows.only(
        "model_version", "kind", "queue", "alarms", "tests", "compared_first_at", "created_at"
    )
    for report in wanted[:_MOST_REPORTS]:
        key = (report.model_version_id, report.kind, report.queue)
        by_stream.setdefault(key, []).append(report)
    worst: dict[tuple[int, str, str], Shift] = {}
    for (model_version, _, _), reports in by_stream.items():
        for shift in _shifts(model_version, reports):
            known = worst.get((model_version, shift.name, shift.value))
            if known is None or shift.severity > known.severity:
                worst[model_version, shift.name, shift.value] = shift
    return sorted(worst.values(), key=lambda shift: (-shift.severity, shift.name, shift.value))


def _shifts(model_version: int, reports: Sequence[DriftReport]) -> list[Shift]:
    """Those of one model version's reports of one kind, newest first."""
    found: dict[tuple[str, str], Shift] = {}
    for place, report in enumerate(reports):
        for segment, alarms in _by_segment(report).items():
            looked = sum(_looks_into(later, segment) for later in reports[:place])
            if segment in found or looked >= CALM_AFTER:
                continue
            starts = [alarm["since"]["at"] for alarm in alarms if alarm["since"]]
            found[segment] = Shift(
                name=segment[0],
                value=segment[1],
                model_version=model_version,
                severity=max(float(alarm["severity"]) for alarm in alarms),
                since=datetime.fromtimestamp(min(starts), UTC)
                if starts
                else report.compared_first_at,
                report=report.pk,
            )
    return list(found.values())


def _looks_into(report: DriftReport, segment: tuple[str, str]) -> bool:
    return any(
        moved_segment(test) == segment or (test["kind"] == MIX and test["name"] == segment[0])
        for test in report.tests
    )


def _by_segment(report: DriftReport) -> dict[tuple[str, str], list[dict[str, Any]]]:
    found: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for alarm in report.alarms:
        found.setdefault(moved_segment(alarm), []).append(alarm)
    return found


def moved_segment(entry: dict[str, Any]) -> tuple[str, str]:
    """The segment that a stored test or alarm speaks of; ("", "") for all records."""
    segment = entry["segment"]
    return (segment["name"], segment["value"]) if segment else ("", "")


def reports(actor: Actor, *, with_alarms: bool = False) -> QuerySet[DriftReport]:
    """The project's drift reports, newest first; only those with alarms where asked."""
    access.require(actor, "figures:read")
    found = DriftReport.objects.filter(project=actor.project)
    if with_alarms:
        found = found.filter(n_alarms__gt=0)
    return (
        found.select_related("model_version", "window", "scorer_version__scorer")
        .defer("scorer_version__state")
        .order_by("-pk")
    )


def get_report(actor: Actor, report_id: int) -> DriftReport:
    """A drift report of the actor's project.

    Raises:
        NotFound: none with this id in the project.
    """
    report = reports(actor).select_related("reference").filter(pk=report_id).first()
    if report is None:
        raise errors.NotFound("there is no such drift report")
    return report


def as_answer(report: DriftReport) -> dict[str, Any]:
    """The report as the API tells it, alarms without their charts."""
    return {
        "id": report.pk,
        "kind": report.kind,
        "queue": report.queue or None,
        "model": report.model_version.name,
        "version": report.model_version.version,
        "scorer": report.scorer_version.scorer.slug,
        "scorer_version": report.scorer_version.number,
        "windows": {"first": report.first_window, "last": report.window.number},
        "reference": {
            "first": rfc3339(report.reference_first_at),
            "last": rfc3339(report.reference_last_at),
            "n": report.n_reference,
        },
        "compared": {
            "first": rfc3339(report.compared_first_at),
            "last": rfc3339(report.compared_last_at),
            "n": report.n_compared,
            "n_records": report.n_records,
        },
        "season": report.season,
        "matched": report.matched,
        "level": report.level,
        "n_tests": report.n_tests,
        "alarms": [
            {name: value for name, value in alarm.items() if name != "chart"}
            for alarm in report.alarms
        ],
        "created_at": rfc3339(report.created_at),
    }


@dataclass(frozen=True, slots=True)
class ScoreHistory:
    """The scores of a model version over its last reports, in order of time."""

    model_version: ModelVersion
    boxes: list[drift_charts.Box]


def score_histories(actor: Actor) -> list[ScoreHistory]:
    """Of the model versions that were reported on last, the newest first."""
    newest = (
        reports(actor)
        .filter(kind=DriftReport.Kind.RECORDS)
        .select_related(None)
        .select_related("window", "model_version")
        .only("scores", "n_alarms", "compared_last_at", "window__number", "model_version")[
            :_MOST_REPORTS
        ]
    )
    by_model: dict[int, list[DriftReport]] = {}
    for report in newest:
        by_model.setdefault(report.model_version_id, []).append(report)
    return [
        ScoreHistory(found[0].model_version, drift_charts.boxes(found[:_MOST_BOXES][::-1]))
        for found in list(by_model.values())[:_MOST_HISTORIES]
    ]


@dataclass(frozen=True, slots=True)
class ShownAlarm:
    """An alarm with its drawings; None where there is nothing of the kind to draw."""

    told: dict[str, Any]
    distribution: drift_charts.Distribution | None
    series: drift_charts.Series | None
    shares: list[drift_charts.Share]


def shown_alarms(report: DriftReport) -> list[ShownAlarm]:
    """The report's alarms as a page shows them."""
    found = []
    for alarm in report.alarms:
        chart = alarm["chart"] or {}
        found.append(
            ShownAlarm(
                told=alarm,
                distribution=drift_charts.distribution(chart) if "histogram" in chart else None,
                series=drift_charts.series(chart, alarm["since"]) if "before" in chart else None,
                shares=drift_charts.shares(chart) if "shares" in chart else [],
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class NamedShift:
    """A shift with the model version that it is about."""

    shift: Shift
    model_version: ModelVersion


def named_shifts(actor: Actor) -> list[NamedShift]:
    """The project's active shifts for a page, the gravest first."""
    access.require(actor, "figures:read")
    shifts = active_shifts(actor.project)
    models = ModelVersion.objects.in_bulk([shift.model_version for shift in shifts])
    return [NamedShift(shift, models[shift.model_version]) for shift in shifts]
