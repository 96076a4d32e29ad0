"""Strata of like with like: an hour is compared with the same hour of earlier weeks."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_OF_WEEK, HOUR_AND_WEEKEND, HOUR_OF_DAY, NONE = (
    "hour of week",
    "hour of day and weekend",
    "hour of day",
    "none",
)
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday; Monday is 0


@dataclass(frozen=True, eq=False)
class Seasons:
    """name: the finest season with enough history.

    reference, window: int64 (n,) stratum labels.  matched: bool (n_window,), whether the record's
    stratum has enough reference records.
    """

    name: str
    reference: NDArray[np.int64]
    window: NDArray[np.int64]
    matched: NDArray[np.bool_]


def seasons(
    reference: Floats, window: Floats, *, min_reference: int = 5, min_matched: float = 0.9
) -> Seasons:
    """The finest of hour of week, hour of day and weekend, hour of day, or nothing at all.

    A season is taken if the reference reaches back far enough to have seen it come round (two
    weeks for the week, two days for the day) and at least `min_matched` of the window's records
    have `min_reference` reference records in their stratum.

    reference, window: float64 (n,), seconds since the epoch, UTC.
    """
    span_days = float(np.ptp(reference)) / 86_400.0 if reference.size else 0.0
    for name, days in ((HOUR_OF_WEEK, 13.0), (HOUR_AND_WEEKEND, 6.0), (HOUR_OF_DAY, 1.5)):
        if span_days < days or not window.size:
            continue
        ours, theirs = stratum(name, reference), stratum(name, window)
        counts = np.bincount(ours, minlength=168)
        matched = counts[theirs] >= min_reference
        if matched.mean() >= min_matched:
            return Seasons(name, ours, theirs, matched)
    return Seasons(
        NONE, stratum(NONE, reference), stratum(NONE, window), np.ones(len(window), np.bool_)
    )


def stratum(name: str, times: Floats) -> NDArray[np.int64]:
    """Stratum labels in 0..167 of times, float64 (n,), in seconds since the epoch, UTC."""
    hours = np.floor_divide(times, 3600.0).astype(np.int64)
    hour = hours % 24
    day = (hours // 24 + _EPOCH_WEEKDAY) % 7
    if name == HOUR_OF_WEEK:
        return np.asarray(day * 24 + hour)
    if name == HOUR_AND_WEEKEND:
        return np.asarray((day >= 5) * 24 + hour)
    return np.asarray(hour) if name == HOUR_OF_DAY else np.zeros(len(times), np.int64)
