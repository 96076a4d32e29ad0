"""Confidence sequences by simulated watching, and error correction against its closed form."""

import math

import numpy as np
import pytest

from scoring.core.agreement.gold import BetaPosterior, GoldAccuracy
from scoring.core.estimation.corrected import error_corrected
from scoring.core.estimation.intervals import clopper_pearson
from scoring.core.estimation.rates import estimate_rate
from scoring.core.estimation.rounds import Window, census, floor_testimony, make_round
from scoring.core.estimation.sequences import (
    asymptotic_sequence,
    betting_sequence,
    floor_tuning_variance,
    running_total_radius,
)
from scoring.core.queue_profiles import UNTAUGHT_FLOOR
from scoring.core.sampling import floored_order_sample

LOOKS = 26
RHO = floor_tuning_variance(0.3 * 40 / 1000) / 1000**2


def watched(rng, n_runs, prevalence=0.1, per_round=40, floor=0.3):
    """Poisson rounds from a stream: estimates, complements and variances, (n_runs, LOOKS)."""
    size = 1000
    lean = rng.random((n_runs, LOOKS, size)) < 0.2
    y = rng.random(lean.shape) < np.where(lean, 3 * prevalence, prevalence / 2)
    q = per_round / size * np.where(lean, (1 - floor) / 0.2 + floor, floor)
    drawn = rng.random(lean.shape) < q
    shares = (drawn * y / q).mean(axis=2)
    complements = (drawn * ~y / q).mean(axis=2)
    variances = (drawn * y * (1 - q) / q**2).sum(axis=2) / size**2
    return shares, complements, variances + prevalence * (1 - prevalence) / size


def test_watching_every_round_misses_as_rarely_as_promised():
    shares, complements, variances = watched(np.random.default_rng(0), 120)
    truth = 0.1 * (0.2 * 3 + 0.8 / 2)
    fixed, asymptotic, betting = 0, 0, 0
    n = np.arange(1, LOOKS + 1)
    for row, rest, spread in zip(shares, complements, variances, strict=True):
        sequence = asymptotic_sequence(row, spread, tuning_variance=RHO)
        asymptotic += bool(((sequence.low > truth) | (sequence.high < truth)).any())
        sequence = betting_sequence(row, rest)
        betting += bool(((sequence.low > truth) | (sequence.high < truth)).any())
        wald = 1.96 * np.sqrt(np.cumsum(spread)) / n
        fixed += bool((np.abs(np.cumsum(row) / n - truth) > wald).any())
    assert fixed >= 0.1 * 120  # the reason for all this
    assert asymptotic <= 0.06 * 120
    assert betting <= 0.06 * 120


def test_sequences_tighten_and_nest():
    shares, complements, variances = watched(np.random.default_rng(1), 1)
    for sequence in (
        asymptotic_sequence(shares[0], variances[0], tuning_variance=RHO),
        betting_sequence(shares[0], complements[0]),
    ):
        assert (np.diff(sequence.low) >= 0).all()
        assert (np.diff(sequence.high) <= 0).all()
        assert sequence.high[-1] - sequence.low[-1] < 0.6 * (sequence.high[2] - sequence.low[2])
        assert sequence.low[-1] <= sequence.value[-1] <= sequence.high[-1]


def test_asymptotic_radius_is_the_formula():
    variances = np.array([1.0, 2.0, 0.5])
    sequence = asymptotic_sequence(np.zeros(3), variances, level=0.9, tuning_variance=4.0)
    radius = [
        math.sqrt((v + 4) * math.log((v + 4) / (4 * 0.01))) / n
        for n, v in enumerate(np.cumsum(variances), start=1)
    ]
    np.testing.assert_allclose(sequence.high, np.minimum.accumulate(radius), rtol=1e-12)


def naive_capital(estimates, m, stakes):
    return np.mean([math.prod(1 + s * (x / m - 1) for x in estimates) for s in stakes])


def test_betting_limit_is_where_the_mixture_stops_winning():
    estimates = np.random.default_rng(3).gamma(2.0, 0.15, 30)
    lows = betting_sequence(estimates, np.ones(30)).low
    stakes = np.geomspace(1e-3, 0.9, 16)
    for n in (5, 12, 30):
        refuted, kept = (
            max(naive_capital(estimates[:k], m, stakes) for k in range(1, n + 1))
            for m in (lows[n - 1] or 1e-9, lows[n - 1] + 1 / 2000)
        )
        assert refuted >= 2 / 0.05 > kept


@pytest.mark.parametrize(
    "call",
    [
        lambda: asymptotic_sequence(np.zeros(2), np.zeros(3), tuning_variance=1.0),
        lambda: asymptotic_sequence(np.zeros(1), np.array([-1.0]), tuning_variance=1.0),
        lambda: floor_tuning_variance(0.0),
        lambda: asymptotic_sequence(np.zeros(1), np.ones(1), tuning_variance=0.0),
        lambda: betting_sequence(np.zeros(2), np.zeros(3)),
        lambda: betting_sequence(np.array([-0.1]), np.zeros(1)),
    ],
)
def test_wrong_sequences_are_refused(call):
    with pytest.raises(ValueError, match=r"length|negative|positive"):
        call()


def verdict_rate(positives, n):
    return estimate_rate([census(np.r_[np.ones(positives), np.zeros(n - positives)])], "prevalence")


def gold(n, *, sensitivity=0.95, specificity=0.95):
    return GoldAccuracy(
        BetaPosterior(n * sensitivity, n * (1 - sensitivity)),
        BetaPosterior(n * specificity, n * (1 - specificity)),
    )


def test_five_percent_error_at_one_percent_prevalence_is_taken_back():
    """METHODS §11.3: 5.9 % of verdicts, 1 % of records."""
    raw = verdict_rate(5_900, 100_000)
    fixed = error_corrected(raw, gold(1e7), rng=np.random.default_rng(0))
    assert fixed.value == pytest.approx(0.01, abs=1e-4)
    # All were judged, once: what is left is how these reviewers happened to err this time.
    sd = math.sqrt(0.05 * 0.95 / 100_000) / 0.9
    assert (fixed.low, fixed.high) == pytest.approx((0.01 - 1.96 * sd, 0.01 + 1.96 * sd), abs=1e-4)
    assert fixed.method != raw.method


def test_little_gold_widens_and_perfect_reviewers_change_nothing():
    one = make_round([1.0] * 6 + [0.0] * 54, np.full(60, 0.06), floor_draws=np.ones(60, bool),
                     floor_hazards=(0.0619, 0.0619))  # fmt: skip
    raw = estimate_rate([Window(1000, (1000, 0), (one,))], "prevalence")
    rng = np.random.default_rng(1)
    perfect = error_corrected(raw, gold(1e9, sensitivity=1.0, specificity=1.0), rng=rng)
    assert (perfect.value, perfect.low, perfect.high) == pytest.approx(
        (raw.value, raw.low, raw.high), abs=0.004
    )
    much, little = (error_corrected(raw, gold(n), rng=rng) for n in (5000, 60))
    assert little.low <= much.low + 0.002
    assert little.high - little.low > much.high - much.low


def test_corrected_limits_cover_when_reviewers_err():
    rng = np.random.default_rng(6)
    covered, n_runs = 0, 200
    for _ in range(n_runs):
        truth = rng.random(2000) < 0.08
        said = np.where(truth, rng.random(2000) < 0.9, rng.random(2000) < 0.06)
        seen = rng.random(2000) < 0.25
        one = make_round(said[seen], np.full(seen.sum(), 0.25))
        raw = estimate_rate([Window(2000, (2000, 0), (one,))], "prevalence")
        hits, passes = rng.binomial(60, 0.9), rng.binomial(60, 0.94)
        accuracy = GoldAccuracy(BetaPosterior(hits, 60 - hits), BetaPosterior(passes, 60 - passes))
        fixed = error_corrected(raw, accuracy, rng=rng)
        covered += fixed.low <= truth.mean() <= fixed.high
    assert covered >= 0.93 * n_runs


@pytest.mark.parametrize(("n_gold", "share"), [(40, 0.12), (150, 0.12), (150, 0.4)])
def test_corrected_limits_of_a_first_round_cover_and_are_of_use(n_gold, share):
    """120 verdicts, half of them by the floor of an informed round; reviewers err by 5 %."""
    rng = np.random.default_rng(9)
    truth = np.arange(2600) < share * 2600
    lean = 0.75 * truth + rng.normal(size=truth.size)
    found, n_runs = [], 150
    for _ in range(n_runs):
        said = np.where(rng.random(truth.size) < 0.05, ~truth, truth).astype(float)
        draw = floored_order_sample(
            lean, rng.random(truth.size), budget=120, tau=2.0, floor=UNTAUGHT_FLOOR
        )
        hits, hazard = floor_testimony(
            draw.exponentials, draw.floor_hazard, draw.threshold, draw.threshold_exponential
        )
        one = make_round(
            said[draw.selected],
            draw.inclusion_probabilities,
            floor_draws=hits,
            floor_hazards=(hazard, hazard),
        )
        raw = estimate_rate([Window(truth.size, (truth.size, 0), (one,))], "prevalence")
        right = rng.binomial(n_gold, 0.95, 2)
        accuracy = GoldAccuracy(*(BetaPosterior(hits, n_gold - hits) for hits in right))
        fixed = error_corrected(raw, accuracy, rng=rng)
        found.append((fixed.low, fixed.high, raw.high - raw.low))
    low, high, raw_width = np.array(found).T
    assert ((low <= truth.mean()) & (truth.mean() <= high)).mean() >= 0.95
    # As wide as the rate of verdicts, stretched by 1/(se + sp - 1), and the errors' own doubt.
    assert np.median(high - low) < 1.7 * np.median(raw_width)
    # And against as many uniform verdicts of reviewers who never err.
    assert np.median(high - low) < 2.6 * np.diff(clopper_pearson(120 * share, 120))[0]


def test_reviewers_no_better_than_chance_cannot_be_corrected():
    raw = verdict_rate(59, 1000)
    result = error_corrected(
        raw, gold(20, sensitivity=0.5, specificity=0.6), rng=np.random.default_rng(0)
    )
    assert result.value is result.low is result.high is None
    assert "gold" in result.reason


def test_only_what_has_a_correction_is_corrected():
    recall = estimate_rate([census([1.0, 0.0], [1, 0])], "recall")
    with pytest.raises(ValueError, match="prevalence and precision"):
        error_corrected(recall, gold(9), rng=np.random.default_rng(0))
    null = estimate_rate([], "prevalence")
    assert error_corrected(null, gold(9), rng=np.random.default_rng(0)).reason == null.reason


def test_a_running_total_is_held_at_every_look_though_windows_differ():
    """Each window has its own share of violations; the limits speak of the sum so far."""
    rng, size, floor, runs = np.random.default_rng(3), 1000, 0.3, 300
    missed = naive = 0
    for _ in range(runs):
        lean = rng.random((LOOKS, size)) < 0.2
        prevalence = rng.uniform(0.01, 0.2, (LOOKS, 1))
        y = rng.random(lean.shape) < np.where(lean, 3 * prevalence, prevalence / 2)
        q = 40 / size * np.where(lean, (1 - floor) / 0.2 + floor, floor)
        drawn = rng.random(lean.shape) < q
        totals = (drawn * y / q).sum(axis=1)
        variances = (drawn * y * (1 - q) / q**2).sum(axis=1)
        error = np.abs(np.cumsum(totals - y.sum(axis=1)))
        tuning = floor_tuning_variance(floor * 40 / size)
        missed += bool((error > running_total_radius(variances, tuning_variance=tuning)).any())
        naive += bool((error > 1.96 * np.sqrt(np.cumsum(variances))).any())
    assert missed <= 0.06 * runs
    assert naive >= 0.1 * runs


def test_a_running_total_refuses_what_makes_no_sense():
    with pytest.raises(ValueError, match="negative"):
        running_total_radius(np.array([-1.0]), tuning_variance=1.0)
    with pytest.raises(ValueError, match="positive"):
        running_total_radius(np.array([1.0]), tuning_variance=0.0)
