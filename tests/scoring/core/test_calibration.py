"""Calibration: recovers planted curves, never falls, honours weights; reliability by hand."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss

from scoring.core.calibration import (
    Calibration,
    calibration_from_arrays,
    choose_method,
    fit_calibration,
)
from scoring.core.reliability import reliability

METHODS = ("platt", "beta", "isotonic")


def verdicts(n, *, seed=0, slope=2.0, intercept=-2.0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(3.0, 5.0, n)
    truth = expit(slope * (scores - 3.0) / 5.0 + intercept)
    return scores, (rng.random(n) < truth).astype(float), truth


@pytest.mark.parametrize(
    ("n", "positives", "method"),
    [(0, 0, "platt"), (149, 70, "platt"), (199, 99, "platt"), (200, 100, "beta"),
     (999, 400, "beta"), (1000, 400, "isotonic"), (5000, 15, "platt"), (5000, 60, "beta"),
     (5000, 4990, "platt"), (400, 400, "platt")],
)  # fmt: skip
def test_richer_maps_need_more_labels_and_both_kinds(n, positives, method):
    assert choose_method(n, positives) == method


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("with_weights", [False, True])
def test_never_falls_and_stays_inside(method, with_weights):
    scores, labels, _ = verdicts(1200, slope=0.4)
    weights = np.random.default_rng(1).gamma(0.3, 1.0, 1200) if with_weights else None
    fitted = fit_calibration(scores, labels, weights=weights, method=method)
    p = fitted.probability(np.linspace(-60, 60, 4001))
    assert (np.diff(p) >= -1e-15).all()
    assert p.min() >= 0.0
    assert p.max() <= 1.0


@pytest.mark.parametrize("method", METHODS)
def test_recovers_the_planted_curve(method):
    scores, labels, truth = verdicts(6000, seed=3)
    fitted = fit_calibration(scores, labels, method=method)
    assert np.abs(fitted.probability(scores) - truth).mean() < 0.02


@pytest.mark.parametrize(
    ("n", "bars"), [(100, {"platt": 0.025}), (400, {"platt": 0.01, "beta": 0.012})]
)
def test_excess_log_loss_is_that_of_the_methods(n, bars):
    """METHODS §6: Platt .014 / .006, beta .002 at 400, isotonic .097 / .018."""
    held_out, _, truth = verdicts(4000, seed=99)
    best = np.mean(-(truth * np.log(truth) + (1 - truth) * np.log1p(-truth)))

    def excess(method):
        found = []
        for seed in range(25):
            scores, labels, _ = verdicts(n, seed=seed)
            p = fit_calibration(scores, labels, method=method).probability(held_out)
            found.append(np.mean(-(truth * np.log(p) + (1 - truth) * np.log1p(-p))) - best)
        return np.mean(found)

    for method, bar in bars.items():
        assert excess(method) <= bar


def test_platt_without_its_targets_is_logistic_regression():
    """With many labels the targets tend to 0 and 1, by about 1/n₊."""
    scores, labels, _ = verdicts(20_000)
    plain = LogisticRegression(C=np.inf, tol=1e-10).fit(scores[:, None], labels)
    np.testing.assert_allclose(
        fit_calibration(scores, labels, method="platt").probability(scores),
        plain.predict_proba(scores[:, None])[:, 1],
        atol=5e-4,
    )


@pytest.mark.parametrize("method", METHODS)
def test_a_weight_is_a_repetition(method):
    scores, labels, _ = verdicts(900)
    times = np.random.default_rng(0).integers(1, 4, 900)
    weighted = fit_calibration(scores, labels, weights=times, method=method)
    repeated = fit_calibration(np.repeat(scores, times), np.repeat(labels, times), method=method)
    grid = np.linspace(-15, 20, 50)
    # A pseudo-label weighs as much as one label of mean weight, which shows at the ends.
    atol = 0.05 if method == "isotonic" else 0.01
    np.testing.assert_allclose(weighted.probability(grid), repeated.probability(grid), atol=atol)


@pytest.mark.parametrize("method", METHODS)
def test_weights_undo_informed_selection(method):
    """Violations drawn five times as often: unweighted fits overstate, weighted ones do not."""
    scores, labels, _ = verdicts(20_000, seed=5)
    rng = np.random.default_rng(5)
    q = np.where(labels == 1, 0.5, 0.1)
    drawn = rng.random(labels.size) < q
    weighted, plain = (
        fit_calibration(scores[drawn], labels[drawn], weights=w, method=method)
        for w in (1 / q[drawn], None)
    )
    assert weighted.probability(scores).mean() == pytest.approx(labels.mean(), abs=0.01)
    assert plain.probability(scores).mean() > labels.mean() + 0.1


@pytest.mark.parametrize("method", METHODS)
def test_scale_and_shift_of_the_score_do_not_matter(method):
    scores, labels, _ = verdicts(500)
    was = fit_calibration(scores, labels, method=method)
    now = fit_calibration(1000 * scores - 7, labels, method=method)
    np.testing.assert_allclose(
        now.probability(1000 * scores - 7), was.probability(scores), atol=1e-4
    )


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("positives", [0, 1])
def test_one_class_and_constant_scores_stay_off_certainty(method, positives):
    scores = np.random.default_rng(0).normal(size=40)
    for values in (scores, np.zeros(40)):
        p = fit_calibration(values, np.full(40, float(positives)), method=method).probability(
            values
        )
        assert np.abs(p - positives).max() < 0.2
        if method != "isotonic":
            assert ((p > 0) & (p < 1)).all()


def test_an_inverted_score_is_worth_its_base_rate():
    scores, labels, _ = verdicts(400)
    p = fit_calibration(-scores, labels, method="platt").probability(-scores)
    np.testing.assert_allclose(p, p[0], atol=1e-6)
    assert p[0] == pytest.approx(labels.mean(), abs=0.01)


@pytest.mark.parametrize("method", METHODS)
def test_state_survives_storage(method):
    scores, labels, _ = verdicts(300)
    fitted = fit_calibration(scores, labels, method=method)
    stored = calibration_from_arrays(fitted.to_arrays())
    assert stored.method == method
    np.testing.assert_array_equal(stored.probability(scores), fitted.probability(scores))
    raw, p = fitted.to_points(scores)
    assert (np.diff(raw) > 0).all()
    assert (np.diff(p) >= 0).all()
    np.testing.assert_allclose(np.interp(scores, raw, p), fitted.probability(scores), atol=0.01)


@pytest.mark.parametrize(
    "broken",
    [
        {"method": np.array(9)},
        {"knots": np.array([1.0, np.nan, 0.0, 1.0])},
        {"knots": np.array([1.0])},
        {"method": np.array(2), "knots": np.array([1.0, 0.0]), "values": np.array([0.1, 0.2])},
        {"method": np.array(2), "knots": np.array([0.0, 1.0]), "values": np.array([0.3, 0.2])},
    ],
)
def test_broken_state_is_refused(broken):
    state = Calibration("platt", np.array([1.0, 0.0, 0.0, 1.0]), np.empty(0)).to_arrays()
    with pytest.raises(ValueError, match="calibration"):
        calibration_from_arrays(state | broken)


@pytest.mark.parametrize(
    ("scores", "labels", "options"),
    [
        ([], [], {}),
        ([1.0], [0.0, 1.0], {}),
        ([np.nan], [0.0], {}),
        ([1.0], [2.0], {}),
        ([1.0], [1.0], {"weights": np.array([-1.0])}),
        ([1.0], [1.0], {"weights": np.array([0.0])}),
        ([1.0], [1.0], {"method": "spline"}),
    ],
)
def test_wrong_verdicts_are_refused(scores, labels, options):
    with pytest.raises(ValueError, match=r"scores|weights|method"):
        fit_calibration(np.array(scores), np.array(labels), **options)


def test_scores_agree_with_scikit_learn():
    rng = np.random.default_rng(2)
    p, w = rng.random(500), rng.gamma(1.0, 1.0, 500)
    y = (rng.random(500) < p**2).astype(float)
    found = reliability(p, y, weights=w)
    assert found.log_loss == pytest.approx(log_loss(y, p, sample_weight=w))
    assert found.brier == pytest.approx(brier_score_loss(y, p, sample_weight=w))
    plain = reliability(p, y)
    observed, stated = calibration_curve(y, p, n_bins=10, strategy="quantile")
    np.testing.assert_allclose(plain.observed, observed, atol=1e-12)
    np.testing.assert_allclose(plain.stated, stated, atol=1e-12)
    assert plain.expected_calibration_error == pytest.approx(np.mean(np.abs(observed - stated)))


@pytest.mark.parametrize("with_weights", [False, True])
def test_chance_is_taken_off_a_perfect_forecast_and_bias_is_not(with_weights):
    rng = np.random.default_rng(4)
    fair, biased, plain = [], [], []
    for _ in range(300):
        p = rng.beta(1.0, 4.0, 300)
        y = (rng.random(300) < p).astype(float)
        w = rng.gamma(2.0, 1.0, 300) if with_weights else None
        found = reliability(p, y, weights=w)
        fair.append(found.squared_calibration_error)
        plain.append(found.expected_calibration_error)
        biased.append(reliability(np.minimum(p + 0.1, 1.0), y, weights=w).calibration_error)
    assert abs(np.mean(fair)) <= 4 * np.std(fair) / np.sqrt(300)
    assert np.mean(plain) > 0.04
    assert np.mean(biased) == pytest.approx(0.1, abs=0.01)


def test_bins_share_the_weight_and_keep_ties_together():
    p = np.repeat([0.1, 0.2, 0.9], [50, 30, 20])
    found = reliability(p, np.zeros(100), n_bins=10)
    assert found.stated.tolist() == pytest.approx([0.1, 0.2, 0.9])
    assert found.n_labels.tolist() == [50, 30, 20]
    assert found.share.sum() == pytest.approx(1.0)
    one = reliability(np.array([0.3]), np.array([1.0]))
    assert (one.observed.tolist(), one.low[0] < 0.3, one.high[0]) == ([1.0], True, 1.0)


def test_weightless_labels_do_not_move_the_curve():
    rng = np.random.default_rng(0)
    p, y = rng.random(200), rng.integers(0, 2, 200).astype(float)
    w = np.r_[np.ones(150), np.zeros(50)]
    with_them, without = reliability(p, y, weights=w), reliability(p[:150], y[:150])
    np.testing.assert_allclose(with_them.observed, without.observed)
    assert with_them.calibration_error == pytest.approx(without.calibration_error)
    assert with_them.n_labels.tolist() == without.n_labels.tolist()


@pytest.mark.parametrize(
    ("p", "y", "options"),
    [([], [], {}), ([2.0], [1.0], {}), ([0.5], [1.0, 0.0], {}), ([0.5], [1.0], {"n_bins": 0}),
     ([0.5], [1.0], {"weights": np.zeros(1)})],
)  # fmt: skip
def test_wrong_probabilities_are_refused(p, y, options):
    with pytest.raises(ValueError, match=r"probabilities|bin|weights"):
        reliability(np.array(p), np.array(y), **options)
