"""Backtest figures by hand, their intervals by simulation."""

import dataclasses

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from scoring.core.backtest import JudgedRecords, backtest, proportion

NAN = float("nan")


def small():
    """Eight judged records; weights make record 1 count three times."""
    records = JudgedRecords(
        label=np.array([1, 1, 0, 0, 1, 0, NAN, 1.0]),
        sampling_weight=np.array([1, 3, 1, 1, 1, 1, 2, 1.0]),
        occurred_at=np.array([100, 200, 210, 220, 300, 310, 320, 330.0]),
        episode=["leak", "leak", "", "", "slur", "", "", "lost"],
        segments={"region": ["EU", "EU", "EU", "US", "US", "US", "US", "US"]},
    )
    candidate = np.array([0, 3, 2, 0, 2, 0, 2, 0], np.int8)
    previous = np.array([2, 0, 2, 2, 0, 0, 0, 0], np.int8)
    return records, candidate, previous


def test_figures_by_hand():
    report = backtest(*small())
    two = report.by_tier[1]
    # alarms of the candidate: records 1 (w 3, yes), 2 (w 1, no), 4 (w 1, yes), 6 (w 2, unsure)
    assert two.candidate.precision.value == pytest.approx(4 / 5)
    assert two.candidate.recall.value == pytest.approx(4 / 6)
    assert two.candidate.dismissed.value == pytest.approx(3 / 7)
    assert two.candidate.precision.n_records == 3
    assert two.candidate.precision.n_effective == pytest.approx(25 / 11)
    # alarms of the previous version: 0 (yes), 2 (no), 3 (no)
    assert two.previous.precision.value == pytest.approx(1 / 3)
    assert two.previous.recall.value == pytest.approx(1 / 6)
    assert two.precision_gain.value == pytest.approx(4 / 5 - 1 / 3)
    assert two.recall_gain.value == pytest.approx(3 / 6)
    assert report.by_tier[2].candidate.precision.value == 1.0
    assert report.by_tier[3].candidate.precision.value is None


def test_time_to_detection():
    two = backtest(*small()).by_tier[1]
    assert two.candidate.detection.n_episodes == 3
    assert two.candidate.detection.n_detected == 2
    assert two.candidate.detection.median_seconds == pytest.approx(50.0)  # leak 100, slur 0
    assert two.previous.detection.median_seconds == 0.0
    records, candidate, previous = small()
    silent = backtest(dataclasses.replace(records, episode=()), candidate, previous)
    assert silent.by_tier[0].candidate.detection.median_seconds is None


def test_segments_partition_the_records():
    report = backtest(*small())
    assert set(report.by_segment) == {("region", "EU"), ("region", "US")}
    europe = report.by_segment["region", "EU"].candidate
    assert europe.precision.value == pytest.approx(3 / 4)
    assert europe.recall.value == pytest.approx(3 / 4)
    assert report.by_segment["region", "US"].candidate.recall.value == pytest.approx(1 / 2)


def test_equal_weights_give_clopper_pearson():
    rng = np.random.default_rng(0)
    success, everyone = rng.random(60) < 0.2, np.ones(60, bool)
    figure = proportion(np.full(60, 7.0), success, everyone)
    expected = proportion_confint(success.sum(), 60, method="beta")
    assert (figure.low, figure.high) == pytest.approx(expected)
    assert figure.n_effective == pytest.approx(60)
    for k in (0, 60):
        figure = proportion(np.ones(60), np.arange(60) < k, everyone)
        assert (figure.low, figure.high) == pytest.approx(proportion_confint(k, 60, method="beta"))


def test_weights_scale_out_and_order_does_not_matter():
    records, candidate, previous = small()
    plain = backtest(records, candidate, previous)
    scaled = dataclasses.replace(records, sampling_weight=records.sampling_weight * 64)
    assert backtest(scaled, candidate, previous).by_tier == plain.by_tier
    order = np.array([7, 6, 5, 4, 3, 2, 1, 0])
    turned = JudgedRecords(
        label=records.label[order],
        sampling_weight=records.sampling_weight[order],
        occurred_at=records.occurred_at[order],
        episode=[records.episode[i] for i in order],
    )
    other = backtest(turned, candidate[order], previous[order])
    assert other.by_tier[1].candidate.detection == plain.by_tier[1].candidate.detection
    assert other.by_tier[1].recall_gain.value == pytest.approx(plain.by_tier[1].recall_gain.value)


def test_intervals_cover_under_unequal_sampling():
    """Poisson samples of a fixed stream: precision, recall and both gains against the truth."""
    rng = np.random.default_rng(1)
    n = 20_000
    label = (rng.random(n) < 0.1).astype(float)
    strength = label * 1.5 + rng.normal(size=n)
    other = label * 1.2 + rng.normal(size=n)
    candidate = np.where(strength > 1.5, 2, 0).astype(np.int8)
    previous = np.where(other > 1.5, 2, 0).astype(np.int8)
    chance = np.clip(0.02 + 0.1 * (strength > 1), 0, 1)

    def figures(rows, weight):
        records = JudgedRecords(label[rows], weight, np.arange(len(rows), dtype=float))
        two = backtest(records, candidate[rows], previous[rows]).by_tier[1]
        metrics = two.candidate
        return [metrics.precision, metrics.recall, two.precision_gain, two.recall_gain]

    truth = [figure.value for figure in figures(np.arange(n), np.ones(n))]
    covered = []
    for _ in range(200):
        rows = np.flatnonzero(rng.random(n) < chance)
        sample = figures(rows, 1 / chance[rows])
        covered.append([f.low <= t <= f.high for f, t in zip(sample, truth, strict=True)])
    assert (np.mean(covered, axis=0) >= 0.90).all(), np.mean(covered, axis=0)


def test_no_alarms_and_no_violations_are_defined():
    records = JudgedRecords(np.zeros(4), np.ones(4), np.zeros(4))
    quiet = np.zeros(4, np.int8)
    one = backtest(records, quiet, quiet).by_tier[0]
    assert one.candidate.precision.value is None
    assert one.candidate.recall.value is None
    assert one.recall_gain.value is None
    assert one.precision_gain.value is None
    nobody = JudgedRecords(np.empty(0), np.empty(0), np.empty(0))
    empty = backtest(nobody, np.empty(0, np.int8), np.empty(0, np.int8))
    assert empty.by_tier[0].candidate.precision.value is None


@pytest.mark.parametrize(
    "changes",
    [
        {"label": np.array([0.5] * 8)},
        {"sampling_weight": np.zeros(8)},
        {"sampling_weight": np.ones(7)},
        {"occurred_at": np.full(8, NAN)},
        {"episode": ["a"]},
        {"segments": {"region": ["EU"]}},
    ],
)
def test_columns_that_do_not_fit_are_refused(changes):
    with pytest.raises(ValueError, match=r"expected|labels|weights|times"):
        dataclasses.replace(small()[0], **changes)
