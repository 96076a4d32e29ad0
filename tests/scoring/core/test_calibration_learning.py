"""Calibrations learnt from weighted verdicts: better out of fold, and compared without flattery."""

import numpy as np
import pytest
from scipy.special import expit

from scoring.core.calibration_learning import (
    TooFewLabelsError,
    compare_losses,
    learn_calibration,
    log_losses,
)


def stream(rng, n, *, slope=2.0, base=-2.5):
    """Raw scores, labels by a logistic law, weights of an importance sample, folds by chance."""
    raw = rng.normal(size=n)
    p = expit(slope * raw + base)
    inclusion = np.clip(3.0 * p, 0.1, 1.0)
    taken = rng.random(n) < inclusion
    labels = (rng.random(n) < p).astype(float)[taken]
    folds = rng.integers(0, 10, n).astype(np.int8)[taken]
    return raw[taken], labels, 1.0 / inclusion[taken], folds


def test_it_beats_the_base_rate_on_records_it_never_saw_and_says_by_how_much():
    rng = np.random.default_rng(1)
    fresh_raw = rng.normal(size=20_000)
    fresh = (rng.random(20_000) < expit(2.0 * fresh_raw - 2.5)).astype(float)
    flattery = []
    for _ in range(8):
        raw, labels, weights, folds = stream(rng, 900)
        learnt = learn_calibration(raw, labels, weights, folds)
        of_curve = log_losses(learnt.calibration.probability(fresh_raw), fresh).mean()
        rate = np.full(20_000, np.average(labels, weights=weights))
        assert of_curve < log_losses(rate, fresh).mean() - 0.03
        own = np.average(log_losses(learnt.out_of_fold, labels), weights=weights)
        flattery.append(of_curve - own)
    # out of fold it speaks of itself as fresh records do: 8 estimates of sd about 0.05
    assert abs(np.mean(flattery)) < 0.06


def test_out_of_fold_means_without_the_own_fold():
    rng = np.random.default_rng(2)
    raw, labels, weights, folds = stream(rng, 800)
    learnt = learn_calibration(raw, labels, weights, folds)
    changed = labels.copy()
    changed[folds == 3] = 1.0 - changed[folds == 3]
    again = learn_calibration(raw, changed, weights, folds)
    if learnt.calibration.method == again.calibration.method:
        mine = folds == 3
        np.testing.assert_array_equal(learnt.out_of_fold[mine], again.out_of_fold[mine])
    np.testing.assert_array_equal(learnt.base_rate[folds == 3], again.base_rate[folds == 3])
    assert not np.array_equal(learnt.base_rate[folds != 3], again.base_rate[folds != 3])


def test_few_in_effect_get_the_plain_curve():
    rng = np.random.default_rng(3)
    raw, labels, _, folds = stream(rng, 9000)
    assert learn_calibration(raw, labels, np.ones(len(raw)), folds).calibration.method == "isotonic"
    heavy = np.where(rng.random(len(raw)) < 0.01, 1000.0, 1.0)
    lopsided = learn_calibration(raw, labels, heavy, folds)
    assert lopsided.effective_size < 150
    assert lopsided.calibration.method == "platt"


@pytest.mark.parametrize(("n", "n_violations"), [(29, 10), (200, 4), (200, 196), (0, 0)])
def test_too_few_labels_are_refused_with_a_count(n, n_violations):
    labels = np.repeat([1.0, 0.0], [n_violations, n - n_violations])
    with pytest.raises(TooFewLabelsError, match="are needed"):
        learn_calibration(np.arange(n) * 1.0, labels, np.ones(n), np.zeros(n, np.int8))


def test_a_single_fold_knows_no_other_and_stays_finite():
    rng = np.random.default_rng(4)
    raw, labels, weights, _ = stream(rng, 600)
    learnt = learn_calibration(raw, labels, weights, np.zeros(len(raw), np.int8))
    assert np.all(learnt.out_of_fold == 0.5)


def test_equals_are_seldom_called_better():
    """Two probabilities that are right alike, one with noise: 95 % intervals, 400 worlds."""
    rng = np.random.default_rng(5)
    better = worse = 0
    for _ in range(400):
        raw, labels, weights, _ = stream(rng, 400)
        p = expit(2.0 * raw - 2.5)
        one, other = (expit(2.0 * raw - 2.5 + rng.normal(0, 0.3, len(raw))) for _ in range(2))
        assert p.shape == one.shape
        found = compare_losses(one, other, labels, weights)
        better += found.value is not None and found.high < 0
        worse += found.value is not None and found.low > 0
    assert better <= 22  # 2.5 % is 10; more than 22 has probability .0002
    assert worse <= 22


def test_a_better_one_is_found_and_its_interval_holds_the_truth():
    rng = np.random.default_rng(6)
    raw, labels, weights, _ = stream(rng, 4000)
    right, flat = expit(2.0 * raw - 2.5), np.full(len(raw), 0.17)
    found = compare_losses(right, flat, labels, weights)
    assert found.is_better
    fresh = rng.normal(size=200_000)
    truth = expit(2.0 * fresh - 2.5)
    expected = np.mean(
        truth * (np.log(0.17) - np.log(truth)) + (1 - truth) * (np.log1p(-0.17) - np.log1p(-truth))
    )
    assert found.low < expected < found.high
    back = compare_losses(flat, right, labels, weights)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low))


def test_too_few_to_compare_say_why():
    found = compare_losses(np.full(10, 0.5), np.full(10, 0.4), np.zeros(10), np.ones(10))
    assert found.value is None
    assert not found.is_better
    assert "10 labels" in found.reason
    nothing = np.empty(0)
    assert compare_losses(nothing, nothing, nothing, nothing).value is None
