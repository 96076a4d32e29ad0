"""Seasonal strata against the calendar of the standard library."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from scoring.core.drift import seasons as seasons_module
from scoring.core.drift.seasons import seasons, stratum

DAY = 86_400.0
MONDAY = datetime(2026, 11, 16, tzinfo=UTC).timestamp()


def test_strata_follow_the_calendar():
    moments = [datetime(1969, 12, 30, 23, tzinfo=UTC) + timedelta(hours=7 * i) for i in range(500)]
    times = np.array([moment.timestamp() for moment in moments])
    expected = [moment.weekday() * 24 + moment.hour for moment in moments]
    assert stratum(seasons_module.HOUR_OF_WEEK, times).tolist() == expected
    weekend = [24 * (moment.weekday() >= 5) + moment.hour for moment in moments]
    assert stratum(seasons_module.HOUR_AND_WEEKEND, times).tolist() == weekend


@pytest.mark.parametrize(
    ("days", "expected"),
    [
        (28, seasons_module.HOUR_OF_WEEK),
        (9, seasons_module.HOUR_AND_WEEKEND),
        (3, seasons_module.HOUR_OF_DAY),
        (0.5, seasons_module.NONE),
    ],
)
def test_the_finest_season_with_enough_history_is_taken(days, expected):
    reference = np.linspace(MONDAY - days * DAY, MONDAY - 1, 9000)
    window = np.linspace(MONDAY, MONDAY + DAY / 4, 300)
    chosen = seasons(reference, window)
    assert chosen.name == expected
    assert chosen.matched.all()


def test_a_window_at_hours_never_seen_falls_back():
    """Three weeks of history from office hours only, and a window at night."""
    days = np.arange(21)[:, None] * DAY + np.linspace(9, 17, 50)[None, :] * 3600
    reference = MONDAY - 21 * DAY + days.ravel()
    window = MONDAY + np.linspace(1, 5, 80) * 3600
    assert seasons(reference, window).name == seasons_module.NONE


def test_empty_samples_have_no_season():
    assert seasons(np.zeros(0), np.zeros(3)).name == seasons_module.NONE
    assert seasons(np.zeros(3), np.zeros(0)).name == seasons_module.NONE
