"""Stored figures of drift reports as shapes of drawings of fixed size; pure geometry."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

WIDTH, HEIGHT = 400.0, 120.0  # of a drawing, in user units
_MARGIN = 4.0
_GAP = 1.0


@dataclass(frozen=True, slots=True)
class Rect:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Shares in [low, high), in percent."""

    low: float
    high: float
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Distribution:
    """Bars of the reference, and the outline of what was compared with it."""

    bars: tuple[Rect, ...]
    outline: str
    bins: tuple[Bin, ...]

    @property
    def low(self) -> float:
        return self.bins[0].low

    @property
    def high(self) -> float:
        return self.bins[-1].high


@dataclass(frozen=True, slots=True)
class Mark:
    """One point of a series: a whisker from y_low to y_high around y."""

    x: float
    y: float
    y_low: float
    y_high: float
    width: float
    is_after: bool
    at: datetime
    mean: float
    low: float
    high: float
    n: int

    @property
    def left(self) -> float:
        return round(self.x - self.width / 2, 2)

    @property
    def right(self) -> float:
        return round(self.x + self.width / 2, 2)


@dataclass(frozen=True, slots=True)
class Series:
    """Means over time; `change_x` is where the change is dated, None where it is not."""

    marks: tuple[Mark, ...]
    change_x: float | None
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Share:
    """A category's share before and after, in percent, and its two bars."""

    value: str
    before: float
    after: float
    before_width: float
    after_width: float


@dataclass(frozen=True, slots=True)
class Box:
    """Quantiles of the scores of one report, and where they are drawn."""

    report: int
    window: int
    at: datetime
    n: int
    has_alarms: bool
    quantiles: tuple[float, ...]  # .1, .25, .5, .75, .9
    x: float
    width: float
    ys: tuple[float, ...]

    @property
    def middle(self) -> float:
        return round(self.x + self.width / 2, 2)

    @property
    def right(self) -> float:
        return round(self.x + self.width, 2)

    @property
    def height(self) -> float:
        return round(max(self.ys[1] - self.ys[3], 1.0), 2)


def distribution(chart: Mapping[str, Any]) -> Distribution:
    """The histogram of an alarm's chart."""
    edges, before, after = (chart["histogram"][name] for name in ("edges", "before", "after"))
    highest = max([*before, *after]) or 1.0
    step = WIDTH / len(before)
    unit = (HEIGHT - _MARGIN) / highest
    bars = tuple(
        Rect(
            round(i * step + _GAP / 2, 2),
            round(HEIGHT - share * unit, 2),
            round(step - _GAP, 2),
            round(share * unit, 2),
        )
        for i, share in enumerate(before)
    )
    points = [(0.0, HEIGHT)]
    for i, share in enumerate(after):
        y = HEIGHT - share * unit
        points += [(i * step, y), ((i + 1) * step, y)]
    points.append((WIDTH, HEIGHT))
    bins = tuple(
        Bin(edges[i], edges[i + 1], 100 * before[i], 100 * after[i]) for i in range(len(before))
    )
    return Distribution(bars, " ".join(f"{x:.2f},{y:.2f}" for x, y in points), bins)


def series(chart: Mapping[str, Any], since: Mapping[str, float] | None) -> Series:
    """The means of an alarm's chart in order of time, before and after."""
    points = [(point, False) for point in chart["before"]]
    points += [(point, True) for point in chart["after"]]
    points.sort(key=lambda entry: (entry[0]["at"], entry[1]))
    low = min(point["low"] for point, _ in points)
    high = max(point["high"] for point, _ in points)
    unit = (HEIGHT - 2 * _MARGIN) / ((high - low) or 1.0)
    step = WIDTH / len(points)
    marks = tuple(
        Mark(
            x=round((i + 0.5) * step, 2),
            y=round(HEIGHT - _MARGIN - (point["mean"] - low) * unit, 2),
            y_low=round(HEIGHT - _MARGIN - (point["low"] - low) * unit, 2),
            y_high=round(HEIGHT - _MARGIN - (point["high"] - low) * unit, 2),
            width=round(step * 0.5, 2),
            is_after=is_after,
            at=datetime.fromtimestamp(point["at"], UTC),
            mean=point["mean"],
            low=point["low"],
            high=point["high"],
            n=point["n"],
        )
        for i, (point, is_after) in enumerate(points)
    )
    change_x = None
    if since is not None:
        earlier = sum(point["at"] < since["at"] for point, _ in points)
        change_x = round(earlier * step, 2)
    return Series(marks, change_x, low, high)


def shares(chart: Mapping[str, Any]) -> list[Share]:
    """The categories of a mix, the largest change first."""
    found = sorted(chart["shares"], key=lambda one: -abs(one["after"] - one["before"]))
    return [
        Share(
            value=one["value"],
            before=100 * one["before"],
            after=100 * one["after"],
            before_width=round(WIDTH * one["before"], 2),
            after_width=round(WIDTH * one["after"], 2),
        )
        for one in found
    ]


def boxes(reports: Sequence[Any]) -> list[Box]:
    """Scores of reports in order of time; those without scores are left out."""
    shown = [report for report in reports if report.scores]
    step = WIDTH / max(len(shown), 1)
    made = []
    for i, report in enumerate(shown):
        quantiles = tuple(report.scores["quantiles"])
        made.append(
            Box(
                report=report.pk,
                window=report.window.number,
                at=report.compared_last_at,
                n=report.scores["n"],
                has_alarms=report.n_alarms > 0,
                quantiles=quantiles,
                x=round(i * step + step * 0.2, 2),
                width=round(step * 0.6, 2),
                ys=tuple(
                    round(HEIGHT - _MARGIN - q * (HEIGHT - 2 * _MARGIN), 2) for q in quantiles
                ),
            )
        )
    return made
