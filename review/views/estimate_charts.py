"""Drawings of figures: intervals as bars and curves as lines, in units of their SVG. Pure."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from review.estimates.figures import Figure
from review.estimates.hours import Curve

WIDTH, HEIGHT = 400.0, 120.0
_NICE = (1.0, 2.0, 5.0)


@dataclass(frozen=True, slots=True)
class Interval:
    """One row of the drawing: what it is, its numbers, and where its bar lies."""

    name: str
    kind: str
    value: float | None
    low: float | None
    high: float | None
    reason: str | None
    x: float
    width: float
    dot: float | None


@dataclass(frozen=True, slots=True)
class Line:
    """A polyline or area as the `points` of its SVG element."""

    kind: str
    points: str


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines over hours with the greatest values of both axes."""

    lines: Sequence[Line]
    top: float
    hours: float


def intervals(told: Figure) -> tuple[list[Interval], float]:
    """The figure and all that stands beside it on one axis from 0, and where that ends."""
    found, uniform = told.estimate, told.uniform
    rows = [
        ("This figure", "own", found.value, found.low, found.high, found.reason),
        (
            "By the drawing alone, without the floor's doubt",
            "design",
            found.value,
            found.design_low,
            found.design_high,
            found.reason,
        ),
        (
            "Random sampling, as many verdicts",
            "uniform",
            uniform.value,
            uniform.low,
            uniform.high,
            uniform.reason,
        ),
        *(
            (name, kind, one.value, one.low, one.high, one.reason)
            for name, kind, one in (
                ("Corrected for reviewer errors", "corrected", told.corrected),
                ("Holds at every look", "continuous", told.continuous),
            )
        ),
    ]
    top = nice_top(high for *_, high, _ in rows if high is not None)
    return [
        Interval(
            *row,
            x=0.0 if row[3] is None else _along(row[3], top),
            width=0.0
            if row[3] is None or row[4] is None
            else max(_along(row[4], top) - _along(row[3], top), 1.0),
            dot=None if row[2] is None else _along(row[2], top),
        )
        for row in rows
    ], top


def nice_top(values: Iterable[float], most: float = math.inf) -> float:
    """The least of 1, 2, 5, 10, … (or of their tenths) that none of the values exceeds."""
    greatest = max(values, default=0.0)
    if greatest <= 0.0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(greatest))
    steps = [step * power for step in (*_NICE, 10.0)]
    return min(next(step for step in steps if step >= greatest * (1 - 1e-12)), most)


def found_plot(curve: Curve) -> Plot:
    """Violations found against hours: ours, and what random draws would be expected to find."""
    points = curve.points
    highs = [one.random_high for one in points if one.random_high is not None]
    # The band of random sampling may be very wide: ours and its middle set the scale.
    middles = [one.random_found for one in points if one.random_found is not None]
    top = nice_top([*(float(one.found) for one in points), *middles])
    hours = max((one.hours for one in points), default=0.0) or 1.0
    xs = [0.0, *(one.hours for one in points)]
    lines = []
    if len(highs) == len(points) and points:
        upper = [(x, y) for x, y in zip(xs, [0.0, *highs], strict=True)]
        lower = [
            (x, y) for x, y in zip(xs, [0.0, *(p.random_low or 0.0 for p in points)], strict=True)
        ]
        lines.append(Line("band", _points([*upper, *reversed(lower)], hours, top)))
        lines.append(Line("uniform", _points(zip(xs, [0.0, *middles], strict=True), hours, top)))
    ours = zip(xs, [0.0, *(float(one.found) for one in points)], strict=True)
    return Plot([*lines, Line("own", _points(ours, hours, top))], top, hours)


def width_plot(curve: Curve) -> Plot:
    """Width of the interval against hours, ours and of random draws."""
    pairs = {
        "uniform": [(p.hours, p.random_width) for p in curve.points if p.random_width is not None],
        "own": [(p.hours, p.width) for p in curve.points if p.width is not None],
    }
    top = nice_top((y for line in pairs.values() for _, y in line), 1.0)
    hours = max((one.hours for one in curve.points), default=0.0) or 1.0
    lines = [Line(kind, _points(line, hours, top)) for kind, line in pairs.items() if line]
    return Plot(lines, top, hours)


def _along(share: float, top: float) -> float:
    return round(min(share / top, 1.0) * WIDTH, 2)


def _points(pairs: Iterable[tuple[float, float]], right: float, top: float) -> str:
    return " ".join(
        f"{x / right * WIDTH:.2f},{HEIGHT - min(y / top, 1.0) * HEIGHT:.2f}" for x, y in pairs
    )
