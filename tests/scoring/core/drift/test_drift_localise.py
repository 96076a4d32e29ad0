"""Change points against a quadratic oracle, on made series and on the XSTest stream."""

import gzip
import json
import os
from pathlib import Path

import numpy as np
import pytest

from scoring.core.drift.contract import DriftError
from scoring.core.drift.localise import (
    change_points,
    cusum,
    fourier_features,
    joined,
    locate,
    remove_seasons,
    step_features,
    whitened,
)
from scoring.core.drift.streaming import MeanShiftDetector

ROOT = Path(__file__).parents[4]
XSTEST = Path(os.environ.get("OVERSIGHT_SHARED_DATA", ROOT.parent / "shared/data")) / "drift_xstest"
TRUTH = [450, 900, 1350, 1800]
DELAY = 40  # records between a model swap and where it is dated


@pytest.fixture(scope="module")
def stream():
    if not (XSTEST / "embeddings.npy").exists():
        pytest.skip("the shared data set drift_xstest is absent")
    with gzip.open(XSTEST / "records.ndjson.gz", "rt") as lines:
        records = [json.loads(line) for line in lines]
    prints = np.load(XSTEST / "embeddings.npy").astype(np.float64)
    length = np.array([float(len(record["output"])) for record in records])
    profanity = np.array([record["signals"]["profanity"] for record in records])
    return prints, length, profanity


def test_cusum_equals_the_definition():
    x = np.random.default_rng(1).normal(size=(30, 4))
    expected = [
        k * (30 - k) / 30 * np.sum((x[:k].mean(axis=0) - x[k:].mean(axis=0)) ** 2)
        for k in range(1, 30)
    ]
    np.testing.assert_allclose(cusum(x), expected, atol=1e-12)


def test_fourier_features_approximate_the_gaussian_kernel():
    rng = np.random.default_rng(2)
    x = rng.normal(size=(80, 3))
    features = fourier_features(x, np.random.default_rng(3))
    x = whitened(x)
    np.testing.assert_allclose(np.cov(x.T, bias=True), np.eye(3), atol=1e-9)
    first, second = np.random.default_rng(3).integers(80, size=(2, 200))
    bandwidth = np.median(np.linalg.norm(x[first] - x[second], axis=1))
    squared = np.sum((x[:, None] - x[None, :]) ** 2, axis=2)
    kernel = np.exp(-squared / (2 * bandwidth**2))
    assert np.abs(features @ features.T - kernel).mean() < 0.1


@pytest.mark.parametrize("kind", ["shift", "spread"])
def test_a_single_change_is_dated_with_its_range(kind):
    rng = np.random.default_rng(4)
    hits, errors = 0, []
    for _ in range(30):
        x = rng.normal(size=400)
        x[250:] = x[250:] + 1.0 if kind == "shift" else x[250:] * 2.5
        split, low, high = locate(step_features(x), rng)
        errors.append(abs(split - 250))
        hits += low <= 250 <= high
    assert np.median(errors) <= 10
    assert hits >= 24  # 90 % nominal


def test_no_change_points_without_a_change():
    """At alpha = .05, at most 8 % of 150 unchanged series show any; 5 dependent columns each."""
    rng = np.random.default_rng(5)
    found = 0
    for _ in range(150):
        x = rng.standard_t(3, size=(160, 5)) + rng.normal(size=(160, 1))
        points = change_points(fourier_features(x, rng), rng, alpha=0.05, n_permutations=39)
        found += bool(points)
    assert found / 150 <= 0.08


def test_short_series_are_refused():
    rng = np.random.default_rng(6)
    with pytest.raises(DriftError):
        locate(np.zeros((30, 2)), rng)
    with pytest.raises(DriftError):
        change_points(np.zeros((300, 2)), rng, alpha=0.001, n_permutations=99)
    assert change_points(np.zeros((30, 2)), rng) == []


def test_seasons_are_taken_out_by_the_reference():
    strata = np.array([0, 1, 0, 1, 2])
    reference = np.array([True, True, False, False, False])
    features = np.array([[1.0], [5.0], [2.0], [5.0], [9.0]])
    removed = remove_seasons(features, strata, reference)
    np.testing.assert_allclose(removed.ravel(), [0, 0, 1, 0, 6])


def matched(points):
    return [min((abs(p.index - truth) for p in points), default=10**6) for truth in TRUTH]


def test_the_large_model_swaps_are_found_from_embeddings_alone(stream):
    """The last two change little of what is said (most of both are refusals)."""
    rng = np.random.default_rng(7)
    points = change_points(fourier_features(stream[0][:1150], rng), rng)
    assert len(points) == 2
    assert max(matched(points)[:2]) <= DELAY


def test_all_model_swaps_are_found_from_signals_and_embeddings(stream):
    rng = np.random.default_rng(8)
    prints, length, profanity = stream
    blocks = [fourier_features(prints, rng), step_features(length), step_features(profanity)]
    points = change_points(joined(blocks), rng)
    assert len(points) == 4
    assert max(matched(points)) <= 15
    assert all(p.low <= p.index <= p.high for p in points)


def test_joined_blocks_weigh_the_same():
    rng = np.random.default_rng(11)
    blocks = [rng.normal(size=(50, 3)), 1e6 * rng.normal(size=(50, 9)), np.ones((50, 2))]
    features = joined(blocks)
    assert features.shape == (50, 12)
    assert features[:, :3].var(axis=0).sum() == pytest.approx(1)
    assert features[:, 3:].var(axis=0).sum() == pytest.approx(1)
    assert joined([np.ones((4, 2))]).shape == (4, 1)


def test_a_shuffled_stream_holds_no_change(stream):
    rng = np.random.default_rng(9)
    found = 0
    for _ in range(40):
        rows = rng.permutation(2250)[:500]
        features = fourier_features(stream[0][rows], rng)
        found += bool(change_points(features, rng, alpha=0.05, n_permutations=39))
    assert found <= 6  # binomial(40, .05) exceeds 6 with probability .3 %


def test_the_first_swap_is_found_online_from_one_signal(stream):
    """Ranks of the output's length in the first 300 records; ARL 10,000 records."""
    length = stream[1]
    past = np.sort(length[:300])
    ranks = np.searchsorted(past, length[300:], side="right") / 300
    detector = MeanShiftDetector(low=0.42, high=0.58, average_run_length=10_000)
    alarms = [detector.update(float(rank)) for rank in ranks]
    first = next(alarm for alarm in alarms if alarm is not None)
    assert 450 <= 300 + first.at <= 450 + 200
    assert abs(300 + first.since - 450) <= 60
