"""Rates: identities, edges, public oracles, and coverage by simulation."""

import dataclasses
import math

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from scoring.core.estimation.estimate import METRICS
from scoring.core.estimation.intervals import (
    clopper_pearson,
    degrees_of_freedom,
    design_effective_size,
    floor_upper_bound,
)
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import (
    FLAGGED,
    UNFLAGGED,
    Window,
    census,
    floor_testimony,
    make_round,
)
from scoring.core.estimation.uniform_comparison import rate_base, uniform_at_equal_budget
from scoring.core.sampling import floored_order_sample


def draw_windows(rng, y, flagged, f, *, budget, floor, tau, n_rounds=2):
    """Rounds of an informed design with a fixed model ``f``, as the estimators take them."""
    left, rounds = np.ones(y.size, bool), []
    for _ in range(n_rounds):
        pool = np.flatnonzero(left)
        draw = floored_order_sample(
            f[pool], rng.random(pool.size), budget=budget, tau=tau, floor=floor
        )
        drawn = pool[draw.selected]
        floor_draws, hazard = floor_testimony(
            draw.exponentials, draw.floor_hazard, draw.threshold, draw.threshold_exponential
        )
        rounds.append(
            make_round(
                y[drawn],
                draw.inclusion_probabilities,
                domain=flagged[drawn],
                predictions=f[drawn],
                prediction_totals=(f[pool][~flagged[pool]].sum(), f[pool][flagged[pool]].sum()),
                floor_draws=floor_draws,
                floor_hazards=(hazard, hazard),
            )
        )
        left[drawn] = False
    return [Window(y.size, (int((~flagged).sum()), int(flagged.sum())), tuple(rounds))]


@pytest.fixture(scope="module")
def traffic():
    """2,000 records, 5 % violations, 60 flagged; a decent but not a perfect model."""
    rng = np.random.default_rng(11)
    y = (rng.random(2000) < 0.05).astype(float)
    lean = 1.6 * y + rng.normal(size=2000)
    flagged = np.argsort(np.argsort(-lean)) < 60
    return y, flagged, 1 / (1 + np.exp(4.0 - 1.8 * lean))


def truth(y, flagged, metric):
    a, b = y[flagged].sum(), y[~flagged].sum()
    return {
        "prevalence": y.mean(),
        "precision": a / flagged.sum(),
        "recall": a / (a + b),
        "fnr": b / (a + b),
        "fpr": (flagged.sum() - a) / (y.size - a - b),
    }[metric]


def test_limits_cover_under_informed_sampling(traffic):
    y, flagged, f = traffic
    rng = np.random.default_rng(2)
    n_runs, hits = 150, dict.fromkeys(METRICS, 0)
    for _ in range(n_runs):
        windows = draw_windows(rng, y, flagged, f, budget=60, floor=0.3, tau=8.0, n_rounds=3)
        for metric in METRICS:
            estimate = estimate_rate(windows, metric)
            hits[metric] += estimate.low <= truth(y, flagged, metric) <= estimate.high
    assert min(hits.values()) >= 0.92 * n_runs


def test_limits_cover_when_a_model_foresees_nothing_of_rare_harm():
    """The regime of METHODS §11.1: the design interval alone must be seen to fail there."""
    rng = np.random.default_rng(5)
    size, n_runs = 40_000, 120
    f = np.full(size, 1e-5)
    f[:30] = 0.9  # foreseen
    y = np.zeros(size)
    y[:30] = 1.0
    y[-30:] = 1.0  # looks like everything else
    flagged = np.arange(size) < 100
    covered, naive = 0, 0
    for _ in range(n_runs):
        windows = draw_windows(rng, y, flagged, f, budget=100, floor=0.3, tau=30.0, n_rounds=3)
        estimate = estimate_rate(windows, "recall")
        covered += estimate.low <= 0.5 <= estimate.high
        naive += estimate.design_low <= 0.5 <= estimate.design_high
    assert naive <= 0.8 * n_runs
    assert covered >= 0.95 * n_runs


@pytest.mark.parametrize("metric", METRICS)
def test_full_knowledge_has_no_width(traffic, metric):
    y, flagged, _ = traffic
    estimate = estimate_rate([census(y, flagged)], metric)
    assert estimate.value == estimate.low == estimate.high
    assert estimate.value == pytest.approx(truth(y, flagged, metric))
    assert estimate.effective_sample_size == math.inf
    assert not estimate.is_weak


@pytest.mark.parametrize("metric", METRICS)
def test_more_confidence_is_wider_and_value_stays_inside(traffic, metric):
    windows = draw_windows(np.random.default_rng(0), *traffic, budget=80, floor=0.2, tau=8.0)
    narrow, wide = (estimate_rate(windows, metric, level=level) for level in (0.8, 0.99))
    assert wide.low <= narrow.low <= narrow.value <= narrow.high <= wide.high
    assert narrow.value == wide.value


def test_miss_rate_mirrors_recall(traffic):
    windows = draw_windows(np.random.default_rng(0), *traffic, budget=80, floor=0.2, tau=8.0)
    recall, fnr = (estimate_rate(windows, metric) for metric in ("recall", "fnr"))
    assert fnr.value == pytest.approx(1 - recall.value)
    assert fnr.low == pytest.approx(1 - recall.high)
    assert fnr.high == pytest.approx(1 - recall.low)


def test_order_of_cases_inside_a_round_does_not_matter(traffic):
    (window,) = draw_windows(np.random.default_rng(0), *traffic, budget=50, floor=0.2, tau=8.0)
    shuffle = np.random.default_rng(1).permutation(50)
    arrays = ("labels", "inclusion_probabilities", "domain", "predictions", "floor_draws")
    rounds = tuple(
        dataclasses.replace(one, **{name: getattr(one, name)[shuffle] for name in arrays})
        for one in window.rounds
    )
    shuffled = dataclasses.replace(window, rounds=rounds)
    for metric in METRICS:
        was, now = (estimate_rate([w], metric) for w in (window, shuffled))
        assert [was.value, was.low, was.high] == pytest.approx([now.value, now.low, now.high])


def uniform_window(x, n, size):
    """n of N drawn uniformly, x violations: every draw is a floor draw."""
    labels = np.r_[np.ones(x), np.zeros(n - x)]
    hazard = -math.log1p(-n / size)
    one = make_round(
        labels, np.full(n, n / size), floor_draws=np.ones(n, bool), floor_hazards=(hazard, hazard)
    )
    return [Window(size, (size, 0), (one,))]


@pytest.mark.parametrize(("x", "n"), [(0, 7), (1, 30), (15, 30), (30, 30), (3, 400)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_clopper_pearson_is_statsmodels(x, n, level):
    expected = proportion_confint(x, n, alpha=1 - level, method="beta")
    assert clopper_pearson(x, n, level=level) == pytest.approx(expected, abs=1e-12)


def test_design_size_of_a_uniform_sample_is_its_size():
    """With n-1 degrees of freedom and the sample variance, up to the t quantile."""
    n, x = 2000, 400
    terms = (np.r_[np.ones(x), np.zeros(n - x)] - x / n) ** 2 / n**2
    assert design_effective_size(x / n, terms) == pytest.approx(n, rel=0.01)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [([], math.inf), ([0.0, 0.0], math.inf), ([2.0] * 7, 14.0), ([1.0, 0.0], 2.0)],
)
def test_degrees_of_freedom(terms, expected):
    assert degrees_of_freedom(np.array(terms)) == pytest.approx(expected)


@pytest.mark.parametrize("x", [0, 1, 4])
def test_floor_bound_of_one_uniform_round_is_clopper_pearson(x):
    """At a small sampling fraction; the Poisson form then agrees with the binomial one."""
    n, size = 500, 2_000_000
    bound = floor_upper_bound(uniform_window(x, n, size), (UNFLAGGED,))
    assert bound.upper / size == pytest.approx(clopper_pearson(x, n)[1], rel=0.02)
    assert (bound.n_draws, bound.positives) == (n, x)


def test_floor_bound_is_exact_for_no_hit():
    """P(no hit | R remain) = exp(-bR) = 2.5 % at the limit, over any number of rounds."""
    one = make_round(np.zeros(5), np.full(5, 0.2), floor_hazards=(0.01, 0.0))
    window = Window(10_000, (10_000, 0), (one,) * 4)
    bound = floor_upper_bound([window], (UNFLAGGED,))
    assert math.exp(-0.04 * bound.upper) == pytest.approx(0.025)


def test_floor_bound_counts_what_was_found_and_stops_at_what_is_left():
    hidden = make_round([1.0, 1.0, 0.0], [0.9, 0.9, 0.9])
    without_floor = Window(10, (10, 0), (hidden,))
    assert floor_upper_bound([without_floor], (UNFLAGGED,)).upper == 2 + 7
    certain = census([1.0, 0.0])
    assert floor_upper_bound([certain], (UNFLAGGED,)).upper == 1
    assert floor_upper_bound([without_floor, certain], (UNFLAGGED,)).upper == 10


def floor_window(hazard, size, hits=0):
    one = make_round(
        np.ones(hits), np.full(hits, 0.5), floor_draws=np.ones(hits), floor_hazards=(hazard, hazard)
    )
    return Window(size, (size, 0), (one,))


def test_floor_bound_gives_up_small_cells_with_a_thin_floor():
    limit = -math.log(0.025)
    both = floor_upper_bound([floor_window(0.5, 1000), floor_window(0.1, 10)], (UNFLAGGED,)).upper
    assert both == pytest.approx(10 + limit / 0.5)
    alone = floor_upper_bound([floor_window(0.1, 1000)], (UNFLAGGED,)).upper
    assert alone == pytest.approx(limit / 0.1)


def test_floor_bound_does_not_care_where_like_floors_were_drawn():
    """Two strata with one hazard say what one stratum with all of it says."""
    apart = [floor_window(0.05, 400, hits=6), floor_window(0.05, 100, hits=3)]
    together = [floor_window(0.05, 500, hits=9)]
    bounds = [floor_upper_bound(windows, (UNFLAGGED,)).upper for windows in (apart, together)]
    assert bounds[0] == pytest.approx(bounds[1])
    thin = [floor_window(0.05, 400, hits=6), floor_window(0.02, 100)]
    assert 6 + 9 / 0.05 < floor_upper_bound(thin, (UNFLAGGED,)).upper < 6 + 100 + 14 / 0.05


@pytest.mark.parametrize(
    "cells",
    [
        [(0.05, 2300, 0.1), (0.02, 250, 0.1)],
        [(0.05, 2300, 0.0), (0.02, 250, 0.4)],
        [(0.05, 2300, 0.02), (0.004, 250, 0.3)],
        [(0.3, 300, 0.05), (0.1, 300, 0.05), (0.03, 300, 0.05), (0.01, 300, 0.05)],
        [(0.02, 5000, 0.0005), (0.002, 5000, 0.0005)],
    ],
)
def test_floor_bound_covers_whatever_the_hazards(cells):
    """(hazard, records, share of violations) by cell; the bound alone, at 97.5 %."""
    rng = np.random.default_rng(8)
    total = sum(round(size * share) for _, size, share in cells)
    covered = 0
    for _ in range(400):
        windows = [
            floor_window(b, size, hits=int(rng.binomial(round(size * share), -math.expm1(-b))))
            for b, size, share in cells
        ]
        covered += floor_upper_bound(windows, (UNFLAGGED,)).upper >= total - 1e-9
    assert covered >= 0.965 * 400


@pytest.mark.parametrize(
    ("windows", "metric", "reason"),
    [
        ([], "prevalence", "holds no records"),
        ([Window(0, (0, 0))], "prevalence", "holds no records"),
        ([Window(5, (5, 0))], "precision", "Nothing was flagged"),
        ([Window(5, (5, 0))], "recall", "Nothing was flagged"),
        ([Window(5, (5, 0))], "fpr", "No case"),
        ([Window(5, (3, 2))], "recall", "No case"),
        ([census([1.0, 0.0]), Window(5, (5, 0))], "prevalence", "no finished review"),
        ([census([0.0, 0.0], [0, 1])], "recall", "No violation"),
        ([census([1.0, 1.0], [0, 1])], "fpr", "appears to be a violation"),
        ([Window(5, (5, 0), (make_round([math.nan], [0.5]),))], "prevalence", "No case"),
    ],
)
def test_what_cannot_be_said_is_null_with_a_reason(windows, metric, reason):
    estimate = estimate_rate(windows, metric)
    assert estimate.value is estimate.low is estimate.high is None
    assert reason in estimate.reason
    assert uniform_at_equal_budget(estimate, base=1.0).value is None


def test_unanswered_cases_widen_but_never_vanish(traffic):
    (window,) = draw_windows(np.random.default_rng(7), *traffic, budget=80, floor=0.3, tau=8.0)
    first = window.rounds[0]
    labels = first.labels.copy()
    labels[::9] = np.nan
    gaps = dataclasses.replace(
        window, rounds=(dataclasses.replace(first, labels=labels), *window.rounds[1:])
    )
    for metric in METRICS:
        estimate = estimate_rate([gaps], metric)
        for fill in [(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (1.0, 1.0)]:
            settled = estimate_rate([gaps.filled(fill)], metric)
            assert estimate.low <= settled.low
            assert settled.high <= estimate.high
        assert estimate.n_verdicts == 160 - 9
        assert any("9 unanswered" in said for said in estimate.assumptions)


def test_few_effective_positives_are_called_weak():
    few, many = (estimate_rate(uniform_window(x, 400, 10**6), "prevalence") for x in (4, 60))
    assert few.is_weak
    assert any("effective positives" in said for said in few.assumptions)
    assert few.effective_positives == pytest.approx(4, rel=0.02)
    assert not many.is_weak


def test_a_missing_floor_is_said_and_leaves_the_upper_limit_open():
    one = make_round(np.zeros(50), np.full(50, 0.9))
    estimate = estimate_rate([Window(1000, (1000, 0), (one,))], "prevalence")
    assert estimate.high == pytest.approx(0.95)
    assert any("no floor" in said for said in estimate.assumptions)


def test_uniform_figure_beside_it_is_clopper_pearson_at_expected_counts():
    windows = uniform_window(20, 400, 10**6)
    estimate = estimate_rate(windows, "prevalence")
    beside = uniform_at_equal_budget(estimate, base=rate_base(windows, "prevalence"))
    assert (beside.low, beside.high) == pytest.approx(
        proportion_confint(20, 400, method="beta"), rel=1e-9
    )
    with pytest.raises(ValueError, match="base"):
        uniform_at_equal_budget(estimate, base=1.5)


def test_rate_base_is_the_share_of_the_denominator(traffic):
    y, flagged, _ = traffic
    windows = [census(y, flagged)]
    assert rate_base(windows, "prevalence") == 1.0
    assert rate_base(windows, "precision") == pytest.approx(flagged.mean())
    assert rate_base(windows, "recall") == pytest.approx(y.mean())
    assert rate_base(windows, "fpr") == pytest.approx(1 - y.mean())


@pytest.mark.parametrize("arguments", [{"metric": "f1"}, {"metric": "fpr", "level": 1.0}])
def test_wrong_questions_are_refused(arguments):
    with pytest.raises(ValueError, match=r"metric|level"):
        estimate_rate([census([1.0])], **arguments)


def test_a_certain_stratum_adds_its_own_count(traffic):
    """Escalated cases are a stratum of weight 1: totals add, doubt does not."""
    y, flagged, f = traffic
    windows = draw_windows(np.random.default_rng(3), y, flagged, f, budget=80, floor=0.3, tau=8.0)
    alone = estimate_rate(windows, "prevalence")
    joined = estimate_rate([*windows, census(np.ones(40), np.full(40, FLAGGED))], "prevalence")
    assert joined.value * 2040 == pytest.approx(alone.value * 2000 + 40)
    assert joined.high * 2040 <= alone.high * 2000 + 40 + 1
