"""A stored backtest as rows of tables and marks of a drawing. Pure: no database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scoring.backtest_reports import MIN_EFFECTIVE

WIDTH = 400.0  # of a drawing, in user units: 0 at its left end, 1 at its right
ROW_HEIGHT = 28.0
METRICS = (
    ("recall", "Violations found"),
    ("precision", "Alarms that are violations"),
    ("dismissed", "Alarms that people dismissed"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in words: "61 %", its interval, and why there is none or it is not to be trusted."""

    text: str
    interval: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Mark:
    """A figure in the drawing: a bar at its value, on a line from low to high."""

    side: str  # candidate | previous
    low: float
    high: float
    y: float
    bar_x: float
    bar_y: float


@dataclass(frozen=True, slots=True)
class Row:
    """One metric of one tier or segment, of both versions, with the gain where it is told."""

    title: str
    metric: str
    n_records: int
    candidate: Cell
    previous: Cell
    gain: Cell | None


@dataclass(frozen=True, slots=True)
class Part:
    """Figures of one set of labels: by tier, by segment, of probabilities, and of time."""

    tiers: tuple[Row, ...]
    segments: tuple[Row, ...]
    detection: tuple[Row, ...]
    calibration: tuple[Row, ...]
    marks: tuple[Mark, ...]
    labels: tuple[tuple[float, str], ...]  # of the drawing's rows: y and words
    height: float
    same: str  # where no record is decided differently at any tier: that, in a sentence


def part_of(report: Mapping[str, Any]) -> Part:
    """The tables of a report, or of its `evaluation`."""
    marks: list[Mark] = []
    labels: list[tuple[float, str]] = []
    for place, tier in enumerate(report["tiers"]):
        y = ROW_HEIGHT * (place + 0.5)
        labels.append((y, f"tier {tier['tier']} and above"))
        for side, shift in (("candidate", -5.0), ("previous", 5.0)):
            figure = (tier[side] or {}).get("recall")
            if figure is not None and figure["value"] is not None:
                marks.append(_mark(side, figure, y + shift))
    return Part(
        tiers=tuple(
            row
            for tier in report["tiers"]
            for row in _rows(f"tier {tier['tier']} and above", tier, METRICS)
        ),
        segments=tuple(
            row
            for segment in report["segments"]
            for row in _rows(
                f"{segment['field']}: {segment['value'] or '(none)'}", segment, METRICS[:2]
            )
        ),
        detection=tuple(_detection(tier) for tier in report["tiers"]),
        calibration=tuple(_calibration(report["calibration"])),
        marks=tuple(marks),
        labels=tuple(labels),
        height=ROW_HEIGHT * len(report["tiers"]),
        same=_same(report["tiers"]),
    )


def _same(tiers: Sequence[Mapping[str, Any]]) -> str:
    """Tiers are nested thresholds of one number: alike at all of them is alike in everything."""
    if not tiers[0].get("n_records") or any(tier["n_different"] != 0 for tier in tiers):
        return ""
    told = tiers[0]
    return (
        f"No record is decided differently: both versions give the same tier to all"
        f" {told['n_records']} judged records compared here, {told['n_labels']} of them with a"
        f" label and {told['candidate']['recall']['n_records']} of them violations."
    )


def share(figure: Mapping[str, Any] | None, *, signed: bool = False) -> Cell:
    """A share, or with `signed` a difference of shares in points, with its interval."""
    if figure is None:
        return Cell("–", reason="no version was in use before this one")
    if figure["value"] is None:
        return Cell("–", reason=figure.get("reason", ""))
    low, high = figure["low"], figure["high"]
    thin = figure["n_effective"] < MIN_EFFECTIVE
    reason = f"counts for {figure['n_effective']:.1f} records once weighted" if thin else ""
    if signed:
        words = f"{100 * low:+.1f} to {100 * high:+.1f}"
        return Cell(f"{100 * figure['value']:+.1f}", words, reason)
    return Cell(f"{100 * figure['value']:.1f} %", f"{100 * low:.1f} to {100 * high:.1f}", reason)


def _rows(
    title: str, compared: Mapping[str, Any], metrics: tuple[tuple[str, str], ...]
) -> list[Row]:
    previous = compared["previous"] or {}
    return [
        Row(
            title=title,
            metric=words,
            n_records=compared["candidate"][name].get("n_records", 0),
            candidate=share(compared["candidate"][name]),
            previous=share(previous.get(name)),
            gain=_gain(compared, name) if f"{name}_gain" in compared else None,
        )
        for name, words in metrics
    ]


def _gain(compared: Mapping[str, Any], name: str) -> Cell:
    if compared.get("n_different") == 0:  # the whole sentence stands above the table
        return Cell("–", reason="none decided differently")
    return share(compared[f"{name}_gain"], signed=True)


def _detection(tier: Mapping[str, Any]) -> Row:
    previous = tier["previous"]
    return Row(
        title=f"tier {tier['tier']} and above",
        metric="Time to the first alarm",
        n_records=tier["candidate"]["detection"]["n_episodes"],
        candidate=_time(tier["candidate"]["detection"]),
        previous=_time(previous["detection"]) if previous else share(None),
        gain=None,
    )


def _time(found: Mapping[str, Any]) -> Cell:
    noticed = f"{found['n_detected']} of {found['n_episodes']} noticed"
    if found["median_seconds"] is None:
        return Cell("–", reason=found["reason"])
    return Cell(_duration(found["median_seconds"]), noticed)


def _duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.0f} s"


def _calibration(told: Mapping[str, Any]) -> list[Row]:
    sides = [told["candidate"], told["previous"]]
    n = max(side.get("n_labels", 0) for side in sides)
    return [
        Row("", words, n, _number(sides[0], name), _number(sides[1], name), None)
        for name, words in (
            ("log_loss", "Log loss, nats"),
            ("brier", "Brier score"),
            ("calibration_error", "Calibration error"),
        )
    ]


def _number(told: Mapping[str, Any], name: str) -> Cell:
    if name not in told:
        return Cell("–", reason=told["reason"])
    return Cell(f"{told[name]:.4f}")


def _mark(side: str, figure: Mapping[str, Any], y: float) -> Mark:
    x, low, high = (round(WIDTH * figure[name], 2) for name in ("value", "low", "high"))
    return Mark(side, low, high, y, bar_x=round(x - 1.5, 2), bar_y=y - 3.0)
