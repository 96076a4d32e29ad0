"""Reads of learning: its runs, and where score and people part ways."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import LearningRun

CHART_WIDTH = 100.0  # user units for shares from 0 to `GapPage.top`
_FIELDS = {"model": "model {}", "region": "region {}", "tier": "tier {}", "month": "month {}"}


@dataclass(frozen=True, slots=True)
class GapRow:
    """One segment: numbers as text in percent, the sentence, and its marks in the drawing."""

    name: str
    stated: str
    observed: str
    interval: str
    gap: str
    n_labels: int
    n_violations: int
    adjusted: str
    is_flagged: bool
    reason: str
    sentence: str
    stated_x: float
    observed_x: float
    low_x: float
    high_x: float


@dataclass(frozen=True, slots=True)
class GapPage:
    """What the page of the proxy gap shows of one run."""

    overall: GapRow | None
    flagged: tuple[GapRow, ...]
    rows: tuple[GapRow, ...]
    top: float  # the share at the drawings' right end, in percent
    n_tested: int
    n_labels: int
    by_bins: bool
    reason: str


def runs(actor: Actor) -> QuerySet[LearningRun]:
    """The project's runs of learning, newest first."""
    access.require(actor, "figures:read")
    return (
        LearningRun.objects.filter(project=actor.project)
        .select_related(
            "queue", "reference__scorer", "version__scorer__current", "backtest", "created_by"
        )
        .order_by("-pk")
    )


def get_run(actor: Actor, run_id: int | None) -> LearningRun | None:
    """A run of the project; the newest where no id is given, None where there is none.

    Raises:
        NotFound: none with this id in the project.
    """
    if run_id is None:
        return runs(actor).first()
    run = runs(actor).filter(pk=run_id).first()
    if run is None:
        raise errors.NotFound("there is no such run")
    return run


def gap_page(run: LearningRun) -> GapPage:
    """The gaps of a run as rows, the flagged ones first."""
    told = run.report["gaps"]
    by_bins = told["basis"] == "score_bins"
    tested = [gap for gap in told["segments"] if gap["p_value"] is not None]
    top = max([0.05, *(max(gap["high"], gap["stated"]) for gap in tested)])
    rows = [_row(gap, top, by_bins) for gap in told["segments"]]
    ordered = sorted(rows, key=lambda row: not row.is_flagged)
    return GapPage(
        overall=_row(told["overall"], 1.0, by_bins) if told["overall"] else None,
        flagged=tuple(row for row in rows if row.is_flagged),
        rows=tuple(ordered),
        top=100 * top,
        n_tested=told.get("n_tested", 0),
        n_labels=told["n_labels"],
        by_bins=by_bins,
        reason=told["reason"],
    )


def segment_name(field: str, value: str) -> str:
    """`region EU`, `tier 3`, `plan = free`."""
    shown = value or "(none)"
    return _FIELDS[field].format(shown) if field in _FIELDS else f"{field} = {shown}"


def sentence(gap: Mapping[str, Any], by_bins: bool) -> str:
    """The gap in plain words."""
    where = f"In {segment_name(gap['field'], gap['value'])}" if gap["field"] else "Over all records"
    seen = (
        f"{where} people call {_percent(gap['observed'])} violations "
        f"({_percent(gap['low'])} to {_percent(gap['high'])})"
    )
    what = "elsewhere records of the same score hold" if by_bins else "the score says"
    said = f"{seen}, where {what} {_percent(gap['stated'])}"
    if not gap["is_flagged"]:
        return f"{said}: no more apart than chance would have it."
    about = f"{abs(100 * gap['gap']):.1f} in 100 records"
    if gap["gap"] > 0:
        return f"{said}: it misses about {about}."
    return f"{said}: it suspects about {about} without cause."


def _row(gap: Mapping[str, Any], top: float, by_bins: bool) -> GapRow:
    def x(share: float) -> float:
        return round(CHART_WIDTH * min(share / top, 1.0), 2)

    return GapRow(
        name=segment_name(gap["field"], gap["value"]) if gap["field"] else "all records",
        stated=_percent(gap["stated"]),
        observed=_percent(gap["observed"]),
        interval=f"{100 * gap['low']:.1f} to {100 * gap['high']:.1f}",
        gap=f"{100 * gap['gap']:+.1f}",
        n_labels=gap["n_labels"],
        n_violations=gap["n_violations"],
        adjusted="–" if gap["adjusted"] is None else _p_value(gap["adjusted"]),
        is_flagged=gap["is_flagged"],
        reason=gap["reason"],
        sentence=sentence(gap, by_bins),
        stated_x=x(gap["stated"]),
        observed_x=x(gap["observed"]),
        low_x=x(gap["low"]),
        high_x=x(gap["high"]),
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _p_value(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
