"""What an alarm says: what moved, by how much, since when, in which segment; and what to draw.

Alarms are stored as plain data with their sentence and chart, so that a report reads the same
after its records are gone. Nothing of a single record is in it, only means and shares.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import numpy as np

from scoring.core.drift import changes
from scoring.core.drift.contract import (
    CENTRE_DISTANCE,
    DISTANCE,
    DOWN,
    FINGERPRINT,
    MISSING,
    MIX,
    SCORE,
    SIGNAL,
    UP,
    VERDICT_RATE,
    DriftAlarm,
    DriftTest,
    Floats,
    Sample,
    Segment,
)
from scoring.core.drift.seasons import stratum
from scoring.services.drift.comparing import Comparison, Family

TEST_FIELDS = (
    "kind",
    "name",
    "segment",
    "statistic",
    "p",
    "p_adjusted",
    "n_reference",
    "n_compared",
)


def alarms(
    comparison: Comparison, model: str, since: Mapping[tuple[str, ...], dict[str, float]]
) -> list[dict[str, Any]]:
    """The alarms of a comparison as stored data, the surest first.

    Args:
        comparison: what was tested.
        model: name and version, for the sentence.
        since: by `key`, since when it moves according to earlier reports that raised the same.
    """
    n_tests = len(comparison.tests)
    found = [
        _alarm(alarm, family, model, n_tests, since)
        for family in comparison.families
        for alarm in family.alarms
    ]
    return sorted(found, key=lambda entry: (entry["p_adjusted"], -entry["severity"]))


def tests(comparison: Comparison) -> list[dict[str, Any]]:
    """Every test as stored data."""
    return [_test(test) for test in comparison.tests]


def key(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """What a stored test or alarm is about: the same in every report of a model version."""
    segment = None if entry["kind"] == MIX else entry["segment"]
    segment = segment or {"name": "", "value": ""}
    return (entry["kind"], entry["name"], segment["name"], segment["value"])


def _test(test: DriftTest) -> dict[str, Any]:
    return {
        "kind": test.kind,
        "name": test.name,
        "segment": _segment(test.segment),
        "statistic": test.statistic,
        "p": test.p,
        "p_adjusted": test.p_adjusted,
        "n_reference": test.n_reference,
        "n_compared": test.n_window,
    }


def _segment(segment: Segment | None) -> dict[str, str] | None:
    return None if segment is None else {"name": segment.field, "value": segment.value}


def _alarm(
    alarm: DriftAlarm,
    family: Family,
    model: str,
    n_tests: int,
    known: Mapping[tuple[str, ...], dict[str, float]],
) -> dict[str, Any]:
    told = _test(alarm.test)
    effect = alarm.effect
    told |= {
        "direction": effect.direction,
        "effect": {"size": effect.size, "unit": effect.unit},
        "severity": _severity(alarm),
        "since": known.get(key(told)) or _since(alarm, family),
        "before": effect.before,
        "after": effect.after,
        "change": None,
        "low": None,
        "high": None,
        "chart": None,
    }
    if alarm.test.kind == MIX:
        told |= _mix(alarm, family)
        told["segment"] = {"name": alarm.test.name, "value": told["category"]}
    else:
        told |= _number(alarm, family)
    told["sentence"] = sentence(told, model, n_tests)
    return told


def _since(alarm: DriftAlarm, family: Family) -> dict[str, float] | None:
    """When it began: never before the first record compared, since earlier ones raised no alarm."""
    if alarm.since is None:
        return None
    at = max(alarm.since.at, float(family.window.times.min()))
    return {"at": at, "low": alarm.since.low, "high": max(alarm.since.high, at)}


def _severity(alarm: DriftAlarm) -> float:
    """In [0, 1]: how far apart the two samples are, 1 where they have nothing in common."""
    test, effect = alarm.test, alarm.effect
    is_energy = test.kind == FINGERPRINT and test.name != CENTRE_DISTANCE
    size = effect.size if is_energy or test.kind == MIX else test.statistic
    return float(min(1.0, abs(size)))


def _rows(sample: Sample, segment: Segment | None) -> Sample:
    if segment is None:
        return sample
    return sample.take(np.flatnonzero(sample.segments[segment.field] == segment.value))


def _values(test: DriftTest, reference: Sample, window: Sample) -> tuple[Floats, Floats]:
    """The moved number of either sample, NaN where a record has none."""
    if test.kind == SIGNAL:
        return _column(reference.signals, test.name, reference), _column(
            window.signals, test.name, window
        )
    if test.kind == MISSING:
        present = [_column(side.signals, test.name, side) for side in (reference, window)]
        return np.isnan(present[0]).astype(np.float64), np.isnan(present[1]).astype(np.float64)
    if test.kind == SCORE:
        assert reference.score is not None
        assert window.score is not None
        return reference.score, window.score
    if test.kind == DISTANCE:
        return _column(reference.distances, test.name, reference), _column(
            window.distances, test.name, window
        )
    assert reference.fingerprints is not None
    assert window.fingerprints is not None
    before = np.asarray(reference.fingerprints, np.float64)
    centre = before[np.isfinite(before).all(axis=1)].mean(axis=0)
    return (
        np.linalg.norm(before - centre, axis=1),
        np.linalg.norm(np.asarray(window.fingerprints, np.float64) - centre, axis=1),
    )


def _column(columns: Mapping[str, Floats], name: str, sample: Sample) -> Floats:
    return columns.get(name, np.full(len(sample), np.nan))


def _number(alarm: DriftAlarm, family: Family) -> dict[str, Any]:
    """Means, their difference with its interval, and the chart of a number."""
    test = alarm.test
    reference, window = (_rows(side, test.segment) for side in (family.reference, family.window))
    before, after = _values(test, reference, window)
    ours, theirs = np.isfinite(before), np.isfinite(after)
    before, after = before[ours], after[theirs]
    times = reference.times[ours], window.times[theirs]
    strata = [stratum(family.season, moment) for moment in times]
    told: dict[str, Any] = {}
    if test.kind != FINGERPRINT or test.name == CENTRE_DISTANCE:
        change = changes.mean_change(before, after, strata[0], strata[1])
        told = asdict(change)
    told["chart"] = {
        "histogram": asdict(changes.histogram(before, after)),
        "before": [asdict(point) for point in changes.series(times[0], before)],
        "after": [asdict(point) for point in changes.series(times[1], after)],
    }
    return told


def _mix(alarm: DriftAlarm, family: Family) -> dict[str, Any]:
    """Shares of each category before and after; the category whose share rose most."""
    name = alarm.test.name
    sides = [np.asarray(side.segments[name]) for side in (family.reference, family.window)]
    categories = np.unique(np.concatenate(sides))
    before, after = (
        [float(np.mean(side == category)) for category in categories] for side in sides
    )
    most = int(np.argmax(np.subtract(after, before)))
    return {
        "category": str(categories[most]),
        "before": before[most],
        "after": after[most],
        "change": after[most] - before[most],
        "chart": {
            "shares": [
                {"value": str(value), "before": b, "after": a}
                for value, b, a in zip(categories, before, after, strict=True)
            ]
        },
    }


def sentence(told: Mapping[str, Any], model: str, n_tests: int) -> str:
    """The alarm in one plain line."""
    since = f" since about {_moment(told['since']['at'])}" if told["since"] else ""
    tests_said = "1 test" if n_tests == 1 else f"{n_tests} tests"
    p = _digits(told["p_adjusted"], 1)
    return f"{_moved(told, model)}{since}; p = {p} after correction for {tests_said}."


def _moved(told: Mapping[str, Any], model: str) -> str:
    kind, name, segment = told["kind"], told["name"], told["segment"]
    if kind == MIX:
        share = _digits(100 * told["effect"]["size"])
        return (
            f"mix of {name} of {model} changed for {share} % of records: {segment['value']}"
            f" {_verb(told['change'])} from {_percent(told['before'])} to"
            f" {_percent(told['after'])}"
        )
    where = f"{model} in {segment['name']}={segment['value']}" if segment else model
    if kind == MISSING:
        return (
            f"signal {name} of {where} is missing in {_percent(told['after'])} of records,"
            f" before in {_percent(told['before'])},"
        )
    if kind == VERDICT_RATE:
        limits = _limits(told, 100.0)
        points = _digits(100 * abs(told["change"]))
        return (
            f"share of violations of {where} in queue {name} {_verb(told['change'])} by"
            f" {points} percentage points (95 % {limits})"
        )
    if kind == FINGERPRINT and name != CENTRE_DISTANCE:
        size = _digits(told["effect"]["size"])
        return f"fingerprints of {where} moved by {size} of their usual spread"
    what = {
        SIGNAL: f"signal {name} of {where}",
        SCORE: f"score of {where}",
        FINGERPRINT: f"distance of the fingerprints of {where} from their centre",
        DISTANCE: f"distance of the {_plural(name)} of {where} from the moving baseline",
    }[kind]
    if told["direction"] in (UP, DOWN) and (told["change"] > 0) == (told["direction"] == UP):
        by = _digits(abs(told["change"]))
        return f"{what} {_verb(told['change'])} by {by} (95 % {_limits(told)})"
    if told["direction"] in (UP, DOWN):
        size = _digits(told["effect"]["size"])
        return f"{what} went {told['direction']} for most records (Cliff's delta {size})"
    return f"{what} became {told['direction']} in spread"


def _limits(told: Mapping[str, Any], unit: float = 1.0) -> str:
    """The interval in the direction of the change."""
    sign = unit if told["change"] > 0 else -unit
    low, high = sorted((sign * told["low"], sign * told["high"]))
    return f"{_digits(low)} to {_digits(high)}"


def _plural(name: str) -> str:
    return "fingerprints" if name == FINGERPRINT else "signals"


def _verb(change: float) -> str:
    return "rose" if change > 0 else "fell"


def _percent(share: float) -> str:
    return f"{_digits(100 * share)} %"


def _digits(value: float, n: int = 2) -> str:
    """A number to n significant digits, plainly."""
    if value == 0 or not np.isfinite(value):
        return f"{value:g}"
    places = max(0, n - 1 - int(np.floor(np.log10(abs(value)))))
    return f"{value:.{min(places, 8)}f}"


def _moment(seconds: float) -> str:
    at = datetime.fromtimestamp(seconds, UTC)
    return f"{at.day} {at:%b %Y, %H:%M} UTC"
