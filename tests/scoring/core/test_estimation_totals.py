"""Totals against the formulas written out, and unbiasedness by simulation."""

import math

import numpy as np
import pytest

from scoring.core.estimation.rounds import (
    FLAGGED,
    OUTSIDE,
    UNFLAGGED,
    Window,
    census,
    floor_testimony,
    make_round,
)
from scoring.core.estimation.totals import (
    export_weights,
    hajek_mean,
    horvitz_thompson,
    round_totals,
    round_weights,
    sum_totals,
    window_total,
)
from scoring.core.estimation.tuning import power_tuned
from scoring.core.sampling import floored_order_sample


def random_rounds(rng, sizes=(4, 1, 7), *, with_model=False):
    rounds = []
    for size in sizes:
        q = rng.uniform(0.05, 1.0, size)
        labels = (rng.random(size) < 0.5).astype(float)
        f = rng.random(size) if with_model else None
        totals = tuple(rng.uniform(1, 5, 2)) if with_model else (0.0, 0.0)
        domain = rng.integers(0, 2, size)
        rounds.append(make_round(labels, q, domain=domain, predictions=f, prediction_totals=totals))
    return tuple(rounds)


def naive_total(window, domain):
    """METHODS §3 in loops: Σω_t(Σ_L y + Σ_U f + Σ_S (y-f)/q) and Σω_t²Σ_S(1-q)(y-f)²/q²."""
    big, n = window.n_records, sum(one.size for one in window.rounds)
    value = variance = known = 0.0
    before = 0
    for one in window.rounds:
        after = before + one.size
        omega = big * (big - n) / n * (1 / (big - after) - 1 / (big - before))
        total = known + one.prediction_totals[domain]
        for y, q, f, d in zip(
            one.labels, one.inclusion_probabilities, one.predictions, one.domain, strict=True
        ):
            if d == domain:
                total += (y - f) / q
                variance += omega**2 * (1 - q) * (y - f) ** 2 / q**2
                known += y
        value += omega * total
        before = after
    return value, variance


@pytest.mark.parametrize("with_model", [False, True])
@pytest.mark.parametrize("domain", [UNFLAGGED, FLAGGED])
def test_window_total_is_the_formula(rng_seed, domain, with_model):
    rng = np.random.default_rng(rng_seed)
    window = Window(200, (120, 80), random_rounds(rng, with_model=with_model))
    total = window_total(window, domain)
    value, variance = naive_total(window, domain)
    assert total.value == pytest.approx(value, rel=1e-12)
    assert total.variance == pytest.approx(variance, rel=1e-12)
    assert total.terms.sum() == pytest.approx(variance, rel=1e-12)


@pytest.fixture(params=[0, 1, 2])
def rng_seed(request):
    return request.param


def test_export_weights_reproduce_the_total(rng_seed):
    rounds = random_rounds(np.random.default_rng(rng_seed), (5, 9, 2, 6))
    window = Window(1000, (600, 400), rounds)
    weights = export_weights(1000, [one.inclusion_probabilities for one in rounds])
    weighted = sum(w @ one.labels for w, one in zip(weights, rounds, strict=True))
    total = sum_totals(window_total(window, domain) for domain in (UNFLAGGED, FLAGGED))
    assert weighted == pytest.approx(total.value, abs=1e-9)


def test_uniform_rounds_of_any_size_weigh_all_labels_alike():
    sizes, left, q = [3, 10, 1, 40], 500, []
    for size in sizes:
        q.append(np.full(size, size / left))
        left -= size
    weights = np.concatenate(export_weights(500, q))
    np.testing.assert_allclose(weights, 500 / 54, rtol=1e-12)


def test_a_single_round_weighs_one_over_q():
    q = np.array([0.1, 1.0, 0.5])
    np.testing.assert_allclose(export_weights(40, [q])[0], 1 / q, rtol=1e-12)


def test_rounds_of_one_are_lure():
    """Farquhar, Gal, Rainforth (2021): v_m = 1 + (N-M)/(N-m) (1/((N-m+1) q_m) - 1)."""
    big, q = 30, np.random.default_rng(3).uniform(0.01, 0.9, 12)
    weights = np.concatenate(export_weights(big, [np.array([one]) for one in q]))
    m = np.arange(1, 13)
    lure = 1 + (big - 12) / (big - m) * (1 / ((big - m + 1) * q) - 1)
    np.testing.assert_allclose(weights * 12 / big, lure, rtol=1e-12)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([], []),
        ([0], [1.0]),
        ([0, 0], [0.0, 1.0]),
        ([4, 6], [0.0, 1.0]),
        ([4, 6, 0], [0.0, 1.0, 0.0]),
        ([0, 5], [0.0, 1.0]),
    ],
)
def test_round_weights_at_the_edges(sizes, expected):
    np.testing.assert_allclose(round_weights(10, sizes), expected)


@pytest.mark.parametrize("sizes", [[11], [-1, 3]])
def test_round_weights_refuse_impossible_sizes(sizes):
    with pytest.raises(ValueError, match="fit into the window"):
        round_weights(10, sizes)


def test_round_weights_keep_their_digits_in_a_large_pool():
    weights = round_weights(10**9, [30] * 40)
    assert weights.sum() == pytest.approx(1.0, abs=1e-14)
    np.testing.assert_allclose(weights, 1 / 40, rtol=1e-5)


def test_hajek_knows_a_constant_exactly_and_ignores_the_scale_of_q():
    rng = np.random.default_rng(0)
    q, y = rng.uniform(0.01, 0.4, 50), rng.random(50)
    assert hajek_mean(np.full(50, 0.7), q)[0] == pytest.approx(0.7)
    assert hajek_mean(np.full(50, 0.7), q)[1] == pytest.approx(0.0, abs=1e-25)
    assert hajek_mean(y, q)[0] == pytest.approx(hajek_mean(y, q / 2)[0])
    with pytest.raises(ValueError, match="at least one"):
        hajek_mean(np.empty(0), np.empty(0))


def adaptive_window(rng, y, flagged, n_rounds, budget):
    """Rounds whose gain and predictions react to what earlier rounds found."""
    left, tilt, rounds = np.ones(y.size, bool), 0.0, []
    lean = np.where(flagged, 1.0, 0.0) + 0.5 * np.arange(y.size) / y.size
    for _ in range(n_rounds):
        pool = np.flatnonzero(left)
        f = np.clip(0.1 + tilt * lean[pool], 0, 1)
        draw = floored_order_sample(lean[pool], rng.random(pool.size), budget=budget,
                                    tau=1.0 + tilt, floor=0.2)  # fmt: skip
        drawn = pool[draw.selected]
        rounds.append(
            make_round(
                y[drawn],
                draw.inclusion_probabilities,
                domain=flagged[drawn],
                predictions=f[draw.selected],
                prediction_totals=(f[~flagged[pool]].sum(), f[flagged[pool]].sum()),
            )
        )
        left[drawn] = False
        tilt = float(y[drawn].mean())
    return Window(y.size, (int((~flagged).sum()), int(flagged.sum())), tuple(rounds))


def test_totals_and_their_variances_are_unbiased_under_adaptive_rounds():
    rng = np.random.default_rng(8)
    flagged = np.arange(150) >= 120
    y = (rng.random(150) < np.where(flagged, 0.6, 0.08)).astype(float)
    n_runs = 600
    found = np.empty((n_runs, 2, 2))
    for run in range(n_runs):
        window = adaptive_window(rng, y, flagged, 3, 10)
        for domain in (UNFLAGGED, FLAGGED):
            total = window_total(window, domain)
            found[run, domain] = total.value, total.variance
    for domain in (UNFLAGGED, FLAGGED):
        values, variances = found[:, domain].T
        truth = y[flagged == bool(domain)].sum()
        error = values.std() / math.sqrt(n_runs)
        assert abs(values.mean() - truth) <= 4 * error
        spread = np.std((values - truth) ** 2 - variances) / math.sqrt(n_runs)
        assert abs(((values - truth) ** 2 - variances).mean()) <= 4 * spread


def test_census_has_weight_one_and_no_doubt():
    total = window_total(census([1.0, 0.0, 1.0], [FLAGGED, FLAGGED, UNFLAGGED]), FLAGGED)
    assert (total.value, total.variance, total.is_exact) == (1.0, 0.0, True)
    assert window_total(census([]), FLAGGED).value == 0.0


def test_soft_labels_add_the_variance_of_the_label_itself():
    """One round: Σ y(1-y)/q² on top of the design."""
    y, q = np.array([0.25, 1.0]), np.array([0.5, 0.5])
    total = window_total(Window(10, (10, 0), (make_round(y, q),)), UNFLAGGED)
    _, design = horvitz_thompson(y, q)
    assert total.variance == pytest.approx(design + 0.25 * 0.75 / 0.25)
    assert (total.least, total.most) == (1.0, 10.0)


def test_records_outside_the_segment_count_for_the_rounds_but_not_for_the_total():
    y, q = np.ones(4), np.full(4, 0.5)
    domain = [OUTSIDE, UNFLAGGED, OUTSIDE, FLAGGED]
    window = Window(20, (5, 5), (make_round(y, q, domain=domain),))
    assert round_totals(window, FLAGGED)[0] == pytest.approx([2.0])
    assert window_total(window, UNFLAGGED).value == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"inclusion_probabilities": [0.0, 0.5]}, "inclusion probabilities"),
        ({"inclusion_probabilities": [0.5]}, "one length"),
        ({"labels": [2.0, 0.0]}, "labels"),
        ({"domain": [0, 7]}, "domain"),
        ({"predictions": [0.5, 0.5]}, "totals over the pool"),
        ({"floor_hazards": (-1.0, 0.0)}, "hazards"),
        ({"predictions": [0.5, 1.5], "prediction_totals": (2.0, 0.0)}, "predictions"),
        ({"prediction_totals": (math.nan, 0.0)}, "finite"),
    ],
)
def test_rounds_refuse_what_cannot_be(changes, message):
    arguments = {"labels": [1.0, 0.0], "inclusion_probabilities": [0.5, 0.5]} | changes
    with pytest.raises(ValueError, match=message):
        make_round(**arguments)


def test_windows_refuse_more_draws_than_records():
    one = make_round([1.0, 0.0], [0.5, 0.5])
    with pytest.raises(ValueError, match="more records"):
        Window(1, (1, 0), (one,))
    with pytest.raises(ValueError, match="from a domain"):
        Window(9, (1, 8), (one,))
    with pytest.raises(ValueError, match="fit into"):
        Window(9, (5, 5))


def test_unresolved_labels_must_be_settled_first():
    window = Window(9, (9, 0), (make_round([math.nan, 0.0], [0.5, 0.5]),))
    with pytest.raises(ValueError, match="filled first"):
        window_total(window, UNFLAGGED)
    assert window_total(window.filled((1.0, 0.0)), UNFLAGGED).value == pytest.approx(2.0)


@pytest.mark.parametrize(("tau", "share"), [(0.0, 1.0), (4.0, 0.3)])
def test_floor_testimony_is_a_fair_sample_whatever_the_gain(tau, share):
    """Each record is in it at 1 - exp(-hazard): E[1{in}/p] = 1, however likely its draw."""
    rng = np.random.default_rng(4)
    gains = np.linspace(0, 1, 40)
    counted = np.zeros(40)
    n_runs = 1500
    for _ in range(n_runs):
        draw = floored_order_sample(gains, rng.random(40), budget=12, tau=tau, floor=0.3)
        log_normalizer = draw.log_normalizer
        mask, hazard = floor_testimony(
            draw.exponentials,
            draw.floor_hazard,
            draw.threshold,
            draw.threshold_exponential,
            least_log_softmax=tau * gains[0] - log_normalizer,
        )
        counted[draw.selected[mask]] += 1.0 / -math.expm1(-hazard)
        if share == 1.0:
            assert mask.all()
    frequency = counted / n_runs
    assert abs(frequency - 1.0).max() <= 0.35
    assert abs(frequency.mean() - 1.0) <= 0.05


def test_a_finished_pool_testifies_in_full():
    mask, hazard = floor_testimony(np.array([0.3, 2.0]), 0.1, -math.inf, math.nan)
    assert mask.all()
    assert hazard == math.inf


def test_a_domain_run_dry_is_known_although_the_pool_is_not():
    first = make_round([1.0, 0.0], [0.3, 0.4], domain=[FLAGGED, UNFLAGGED])
    second = make_round([1.0, 0.0], [0.5, 0.4], domain=[FLAGGED, UNFLAGGED])
    total = window_total(Window(50, (48, 2), (first, second)), FLAGGED)
    assert (total.value, total.variance, total.is_exact) == (2.0, 0.0, True)


def test_power_tuning_of_a_round_looks_at_earlier_rounds_only():
    """λ = Σ c y f / Σ c f², c = (1-q)/q²; the first round gets 0."""
    q = np.array([0.2, 0.5])
    rounds = tuple(
        make_round([0.0, 1.0], q, domain=[0, 0], predictions=f, prediction_totals=(5.0, 0.0))
        for f in ([0.5, 0.25], [0.9, 0.9], [0.1, 0.1])
    )
    window = power_tuned(Window(40, (40, 0), rounds))
    costs = (1 - q) / q**2
    second = costs[1] * 0.25 / (costs @ np.array([0.25, 0.0625]))
    third = costs[1] * 1.15 / (costs @ np.array([0.25 + 0.81, 0.0625 + 0.81]))
    totals = [one.prediction_totals[0] for one in window.rounds]
    assert totals == pytest.approx([0.0, 5.0 * second, 5.0 * third])
    np.testing.assert_allclose(window.rounds[2].predictions, 0.1 * third)
