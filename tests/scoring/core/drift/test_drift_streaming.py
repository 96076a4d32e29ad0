"""The sequential detector: run length without a change, delay and dating with one."""

import numpy as np
import pytest

from scoring.core.drift.contract import DriftError
from scoring.core.drift.streaming import MeanShiftDetector


def run(detector, stream):
    for x in stream:
        alarm = detector.update(float(x))
        if alarm is not None:
            return alarm
    return None


def test_average_run_length_is_at_least_the_stated_one():
    """ARL >= 150 at the band's very edge, on the least favourable (two-valued) stream; 150 runs.

    Runs are cut at 6 ARL, which can only shorten the average.
    """
    rng = np.random.default_rng(1)
    lengths = []
    for _ in range(150):
        detector = MeanShiftDetector(low=0.3, high=0.3, average_run_length=150)
        alarm = run(detector, rng.uniform(size=900) < 0.3)
        lengths.append(900 if alarm is None else alarm.at + 1)
    assert np.mean(lengths) >= 150


@pytest.mark.parametrize(("after", "direction"), [(0.75, "up"), (0.25, "down")])
def test_a_shift_is_found_soon_and_dated(after, direction):
    rng = np.random.default_rng(2)
    delays, errors = [], []
    for _ in range(40):
        before = rng.uniform(size=500)
        later = np.clip(rng.normal(after, 0.2, size=500), 0, 1)
        detector = MeanShiftDetector(low=0.45, high=0.55, average_run_length=20_000)
        alarm = run(detector, np.concatenate([before, later]))
        assert alarm.at >= 500
        assert alarm.direction == direction
        assert alarm.mean_since == pytest.approx(after, abs=0.12)
        delays.append(alarm.at - 500)
        errors.append(alarm.since - 500)
    assert np.median(delays) <= 80
    assert np.median(np.abs(errors)) <= 20


def test_inside_the_band_it_keeps_quiet_even_with_seasons():
    """A mean that swings between the edges of the band: 20,000 records, ARL 100,000."""
    rng = np.random.default_rng(3)
    hours = np.arange(20_000) / 50
    mean = 0.5 + 0.1 * np.sin(2 * np.pi * hours / 24)
    stream = np.clip(mean + rng.uniform(-0.4, 0.4, size=mean.size), 0, 1)
    detector = MeanShiftDetector(low=0.4, high=0.6, average_run_length=100_000)
    assert run(detector, stream) is None


def test_after_an_alarm_it_starts_anew_and_a_checkpoint_continues():
    rng = np.random.default_rng(4)
    stream = np.concatenate([rng.uniform(size=200), np.ones(120), rng.uniform(size=80)])
    one = MeanShiftDetector(low=0.45, high=0.55, average_run_length=1000)
    alarms = []
    for i, x in enumerate(stream):
        if i == 215:
            one = MeanShiftDetector.from_arrays(one.to_arrays())
        alarms.append(one.update(float(x)))
    raised = [alarm for alarm in alarms if alarm is not None]
    assert len(raised) >= 2
    other = MeanShiftDetector(low=0.45, high=0.55, average_run_length=1000)
    assert [other.update(float(x)) for x in stream] == alarms


def test_refusals():
    with pytest.raises(DriftError):
        MeanShiftDetector(low=0.0, high=0.5, average_run_length=100)
    with pytest.raises(DriftError):
        MeanShiftDetector(low=0.6, high=0.5, average_run_length=100)
    detector = MeanShiftDetector(low=0.4, high=0.5, average_run_length=100)
    for x in (-0.1, 1.1, np.nan):
        with pytest.raises(DriftError):
            detector.update(x)
    arrays = detector.to_arrays()
    arrays["state"] = arrays["state"][:2]
    with pytest.raises(DriftError):
        MeanShiftDetector.from_arrays(arrays)
