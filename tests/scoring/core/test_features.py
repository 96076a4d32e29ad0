import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.special import expit

from scoring.core.features import feature_map_from_arrays, fit_feature_map, median_distance
from scoring.core.posterior import prior_posterior


def some_reference(n=600, p=50, seed=0):
    rng = np.random.default_rng(seed)
    fingerprint = rng.normal(size=(n, 5)) @ rng.normal(size=(5, p)) + 0.1 * rng.normal(size=(n, p))
    return rng.random(n), rng.normal(3, 2, size=(n, 2)), fingerprint


def fitted(**options):
    score, signals, fingerprint = some_reference()
    found = fit_feature_map(
        score,
        base_rate=0.05,
        rng=np.random.default_rng(1),
        signals=signals,
        fingerprint=fingerprint,
        **options,
    )
    return found, score, signals, fingerprint


def test_layout_and_standardised_columns():
    found, score, signals, fingerprint = fitted()
    features = found.transform(score, signals=signals, fingerprint=fingerprint)
    assert features.shape == (600, found.n_features) == (600, 2 + 2 + 32 + 96)
    assert (features[:, 0] == 1).all()
    np.testing.assert_allclose(features[:, 1:4].mean(axis=0), 0, atol=1e-9)
    np.testing.assert_allclose(features[:, 1:4].std(axis=0), 1, atol=1e-9)
    np.testing.assert_allclose(features[:, 4:9].std(axis=0), 1, atol=1e-6)
    assert (features[:, 9:36].std(axis=0) <= 1 + 1e-9).all()


def test_fourier_features_approximate_the_gaussian_kernel():
    found, score, signals, fingerprint = fitted(n_fourier=20_000)
    features = found.transform(score[:40], signals=signals[:40], fingerprint=fingerprint[:40])
    waves = features[:, 36:]
    standard = np.clip((fingerprint - found.fingerprint_mean) / found.fingerprint_sd, -8, 8)
    natural = standard @ np.linalg.svd(standard, full_matrices=False)[2][:32].T
    bandwidth = np.median(cdist(natural, natural)[np.triu_indices(600, 1)])
    expected = np.exp(-(cdist(natural[:40], natural[:40]) ** 2) / (2 * bandwidth**2))
    np.testing.assert_allclose(waves @ waves.T / 20_000, expected, atol=0.06)


def test_prior_speaks_through_the_score_alone():
    found, score, signals, fingerprint = fitted()
    features = found.transform(score, signals=signals, fingerprint=fingerprint)
    mean, variance = prior_posterior(found.prior()).moments(features)
    assert np.corrcoef(mean, score)[0, 1] == pytest.approx(1.0)
    top = np.quantile(score, 0.95)
    assert expit(mean[np.abs(score - top).argmin()]) == pytest.approx(0.05, rel=0.05)
    assert (variance >= 4.0).all()


def test_missing_values_count_as_average():
    found, score, signals, fingerprint = fitted()
    score, signals, fingerprint = score[:3].copy(), signals[:3].copy(), fingerprint[:3].copy()
    score[0], signals[1, 0], fingerprint[2] = np.nan, np.nan, np.nan
    features = found.transform(score, signals=signals, fingerprint=fingerprint)
    assert np.isfinite(features).all()
    assert features[0, 1] == features[1, 2] == 0
    assert (features[2, 4:36] == 0).all()


def test_reference_with_gaps_and_constants_is_usable():
    score, signals, fingerprint = some_reference()
    signals[:, 0] = 7.0
    fingerprint[:, 3] = np.nan
    fingerprint[5, 4] = np.inf
    found = fit_feature_map(
        np.full(600, 0.5),
        base_rate=0.1,
        rng=np.random.default_rng(2),
        signals=signals,
        fingerprint=fingerprint,
    )
    features = found.transform(score, signals=signals, fingerprint=fingerprint)
    assert np.isfinite(features).all()
    assert (features[:, 1:3] == 0).all()


@pytest.mark.parametrize("n", [1, 2, 10])
def test_small_references_and_no_fingerprint(n):
    score, _, fingerprint = some_reference(n=n)
    found = fit_feature_map(
        score, base_rate=0.1, rng=np.random.default_rng(2), fingerprint=fingerprint
    )
    assert np.isfinite(found.transform(score, fingerprint=fingerprint)).all()
    plain = fit_feature_map(score, base_rate=0.1, rng=np.random.default_rng(2))
    assert plain.transform(score).shape == (n, 2)
    assert plain.prior().mean.shape == (2,)


def test_far_outliers_stay_within_the_clip():
    found, score, signals, fingerprint = fitted()
    features = found.transform(
        score[:1], signals=signals[:1] * 1e12, fingerprint=fingerprint[:1] * 1e12
    )
    assert np.abs(features).max() < 8 * np.sqrt(50) * 10


def test_same_generator_same_map_and_arrays_carry_it():
    found, score, signals, fingerprint = fitted()
    again = fitted()[0]
    restored = feature_map_from_arrays(found.to_arrays())
    expected = found.transform(score, signals=signals, fingerprint=fingerprint)
    for other in (again, restored):
        np.testing.assert_array_equal(
            other.transform(score, signals=signals, fingerprint=fingerprint), expected
        )
    with pytest.raises(ValueError, match="fit together"):
        feature_map_from_arrays(found.to_arrays() | {"signal_sd": np.ones(5)})


def test_refuses_what_does_not_fit_the_map():
    found, score, signals, fingerprint = fitted()
    with pytest.raises(ValueError, match="signals must have 2 columns"):
        found.transform(score, fingerprint=fingerprint)
    with pytest.raises(ValueError, match="fingerprint must have 50 columns"):
        found.transform(score, signals=signals, fingerprint=fingerprint[:, :9])
    with pytest.raises(ValueError, match="600 rows"):
        found.transform(score, signals=signals[:5], fingerprint=fingerprint)
    with pytest.raises(ValueError, match="empty"):
        fit_feature_map(np.empty(0), base_rate=0.1, rng=np.random.default_rng(0))


def test_median_distance_agrees_with_scipy_and_never_vanishes():
    rows = np.random.default_rng(3).normal(size=(80, 4))
    expected = np.median(cdist(rows, rows)[np.triu_indices(80, 1)])
    assert median_distance(rows, np.random.default_rng(0)) == pytest.approx(expected)
    assert median_distance(np.ones((5, 2)), np.random.default_rng(0)) == 1.0


def test_signals_carry_their_own_prior():
    sd = np.array([0.3, 2.0])
    found = fitted(signal_prior_sd=sd)[0]
    np.testing.assert_allclose(found.prior().precision[2:4], sd**-2.0)
    restored = feature_map_from_arrays(found.to_arrays())
    np.testing.assert_array_equal(restored.prior().precision, found.prior().precision)
    for wrong in (np.ones(3), np.array([1.0, 0.0])):
        with pytest.raises(ValueError, match="one positive number"):
            fitted(signal_prior_sd=wrong)
