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


@pytest.mark.parametrize("noise", [None, 0.3])
@pytest.mark.parametrize("slope", [0.0, 1.0])
def test_intervals_cover_under_unequal_sampling(noise, slope):
    """Poisson samples of a fixed stream: precision, recall and both gains against the truth.

    noise: None for two versions that decide apart, else how far one strays from the other.
    slope: how much likelier a record is drawn for its score.
    """
    rng = np.random.default_rng(1)
    n = 20_000
    label = (rng.random(n) < 0.1).astype(float)
    strength = label * 1.5 + rng.normal(size=n)
    stray = rng.normal(size=n)
    other = label * 1.2 + stray if noise is None else strength + noise * stray
    candidate = np.where(strength > 1.5, 2, 0).astype(np.int8)
    previous = np.where(other > 1.5, 2, 0).astype(np.int8)
    chance = np.clip(0.015 * np.exp(slope * strength), 0, 1)

    def figures(rows, weight):
        records = JudgedRecords(label[rows], weight, np.arange(len(rows), dtype=float))
        two = backtest(records, candidate[rows], previous[rows]).by_tier[1]
        metrics = two.candidate
        return [metrics.precision, metrics.recall, two.precision_gain, two.recall_gain]

    truth = [figure.value for figure in figures(np.arange(n), np.ones(n))]
    covered = [[], [], [], []]
    for _ in range(200):
        rows = np.flatnonzero(rng.random(n) < chance)
        for k, figure in enumerate(figures(rows, 1 / chance[rows])):
            if figure.value is not None:
                covered[k].append(figure.low <= truth[k] <= figure.high)
    rates = [np.mean(one) for one in covered]
    assert min(len(one) for one in covered) >= 150
    assert min(rates) >= 0.92, rates


def test_identical_decisions_have_no_gain_to_tell():
    """A sample without a difference has variance 0: an interval made of that would be a lie."""
    records, candidate, _ = small()
    same = backtest(records, candidate, candidate)
    for compared in (*same.by_tier[:3], *same.by_segment.values()):
        assert compared.n_different == 0
        assert compared.recall_gain.value is None
        assert compared.precision_gain.value is None
        assert compared.candidate == compared.previous
    two = same.by_tier[1]
    assert (two.n_records, two.n_labels) == (8, 7)
    assert two.recall_gain.n_records == two.candidate.recall.n_records == 4
    # One more false alarm: violations are still decided alike, alarms are not.
    noisy = candidate.copy()
    noisy[3] = 2
    two = backtest(records, noisy, candidate).by_tier[1]
    assert (two.n_different, two.recall_gain.value) == (1, None)
    assert two.precision_gain.value == pytest.approx(4 / 6 - 4 / 5)


@pytest.mark.parametrize("weight", [np.ones(40), np.geomspace(1, 1000, 40)])
def test_disjoint_decisions_have_an_interval_that_is_no_point(weight):
    """One finds every violation and nothing else, the other only false alarms."""
    label = np.tile([1.0, 0.0], 20)
    records = JudgedRecords(label, weight, np.arange(40.0))
    right, wrong = (np.where(label == one, 2, 0).astype(np.int8) for one in (1.0, 0.0))
    two = backtest(records, right, wrong).by_tier[1]
    assert two.n_different == 40
    for gain in (two.recall_gain, two.precision_gain):
        assert gain.value == 1.0
        assert gain.high == 1.0
        lone = two.candidate.recall.low  # Clopper-Pearson of as many records without a miss
        assert 2 * lone - 1 - 1e-9 <= gain.low < lone
    back = backtest(records, wrong, right).by_tier[1]
    assert back.recall_gain.high == pytest.approx(-two.recall_gain.low)
    assert back.precision_gain.high == pytest.approx(-two.precision_gain.low)


def test_the_gain_of_one_record_among_many_is_narrow_and_holds_zero():
    records = JudgedRecords(np.ones(200), np.ones(200), np.arange(200.0))
    previous = np.where(np.arange(200) < 120, 2, 0).astype(np.int8)
    candidate = np.where(np.arange(200) < 121, 2, 0).astype(np.int8)
    gain = backtest(records, candidate, previous).by_tier[1].recall_gain
    assert gain.value == pytest.approx(1 / 200)
    won = proportion(np.ones(200), np.arange(200) < 1, np.ones(200, bool))
    assert gain.low < 0 < gain.high == pytest.approx(won.high)
    assert gain.high - gain.low < 0.05


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
