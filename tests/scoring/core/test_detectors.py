"""Detectors against scikit-learn or loops, their state, and the contamination they must survive."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest as SklearnIsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.mixture import GaussianMixture as SklearnGaussianMixture

from scoring.core.covariance import oas
from scoring.core.detectors import fitting
from scoring.core.detectors.contract import DetectorError
from scoring.core.detectors.contrastive import Contrastive
from scoring.core.detectors.gmm import GaussianMixture
from scoring.core.detectors.isolation_forest import IsolationForest
from scoring.core.detectors.knn import NearestNeighbours
from scoring.core.detectors.mahalanobis import Mahalanobis
from scoring.core.detectors.projection import fit_pca_projection
from scoring.core.detectors.robust import fit_robust_scale
from scoring.core.detectors.trimming import chance_of_tail, trim


def baseline(n=400, d=5, seed=0):
    """Two linked clusters, so that neither the mean nor the columns alone tell the shape."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(7).normal(size=(d, d))
    centre = np.where(rng.random((n, 1)) < 0.5, -4.0, 4.0)
    return (rng.normal(size=(n, d)) @ mixing + centre).astype(np.float32)


FITS = {
    "mahalanobis": lambda x, rng: Mahalanobis.fit(x),
    "knn": lambda x, rng: NearestNeighbours.fit(x, rng=rng),
    "gmm": lambda x, rng: fitting.fit_gmm(x, rng=rng),
    "isolation_forest": lambda x, rng: fitting.fit_isolation_forest(x, rng=rng),
    "contrastive": lambda x, rng: fitting.fit_contrastive(x, rng=rng),
}
all_detectors = pytest.mark.parametrize("fit", FITS.values(), ids=FITS)


def fitted(fit, x=None, seed=1):
    return fit(baseline() if x is None else x, np.random.default_rng(seed))


@all_detectors
def test_state_round_trip_and_reproducibility(fit):
    detector = fitted(fit)
    again = type(detector).from_arrays(detector.to_arrays())
    queries = baseline(50, seed=2)
    np.testing.assert_array_equal(again.score(queries), detector.score(queries))
    np.testing.assert_array_equal(fitted(fit).score(queries), detector.score(queries))


@all_detectors
def test_finds_far_records(fit):
    detector = fitted(fit)
    normal = baseline(300, seed=3)
    far = normal + np.random.default_rng(4).choice([-25.0, 25.0], normal.shape).astype(np.float32)
    scores = np.concatenate([detector.score(normal), detector.score(far)])
    assert roc_auc_score(np.repeat([0, 1], 300), scores) > 0.9


@all_detectors
def test_rows_are_scored_independently(fit):
    detector = fitted(fit)
    queries = baseline(1500, seed=5)
    whole = detector.score(queries)
    assert whole.dtype == np.float64
    order = np.random.default_rng(0).permutation(1500)
    np.testing.assert_allclose(detector.score(queries[order]), whole[order], rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(detector.score(queries[:1]), whole[:1], rtol=1e-3, atol=1e-3)
    assert detector.score(queries[:0]).shape == (0,)


@all_detectors
def test_constant_baselines_are_defined(fit):
    x = np.full((60, 3), 2.0, np.float32)
    scores = fitted(fit, x).score(np.array([[2, 2, 2], [9, 9, 9]], np.float32))
    assert np.isfinite(scores).all()


@all_detectors
@pytest.mark.parametrize(
    "x",
    [
        np.full((50, 3), np.nan, np.float32),
        np.full((50, 3), np.inf, np.float32),
        np.zeros((1, 3), np.float32),
        np.zeros(50, np.float32),
        np.zeros((50, 0), np.float32),
    ],
    ids=["nan", "inf", "one row", "vector", "no columns"],
)
def test_unusable_baselines_are_refused(fit, x):
    with pytest.raises(DetectorError):
        fitted(fit, x)


@all_detectors
def test_foreign_states_are_refused(fit):
    detector = fitted(fit)
    arrays = detector.to_arrays()
    kind = type(detector)
    for name, array in arrays.items():
        for broken in (
            {k: v for k, v in arrays.items() if k != name},
            {**arrays, name: array[:0]},
            {**arrays, name: array.astype(np.float64)},
            {**arrays, "more": array},
        ):
            with pytest.raises(DetectorError):
                kind.from_arrays(broken)


def test_mahalanobis_is_the_distance_under_the_shrunk_covariance():
    x = baseline(300)
    scale = x.astype(np.float64).std(axis=0)
    estimate = oas(x / scale)
    precision = np.linalg.inv(estimate.covariance)
    queries = baseline(20, seed=6)
    centred = queries / scale - estimate.mean
    expected = [float(np.sqrt(row @ precision @ row)) for row in centred]
    np.testing.assert_allclose(Mahalanobis.fit(x, oas).score(queries), expected, rtol=1e-3)


def test_knn_is_the_log_mean_distance_to_ten_neighbours():
    x = baseline(200)
    queries = baseline(30, seed=8)
    scale = x.astype(np.float64).std(axis=0)
    expected = []
    for row in queries:  # with d <= 64 PCA only turns the standardised space
        distances = sorted(np.linalg.norm((x - row) / scale, axis=1))
        expected.append(np.log(np.mean(distances[:10])))
    detector = NearestNeighbours.fit(x, rng=np.random.default_rng(0))
    np.testing.assert_allclose(detector.score(queries), expected, rtol=1e-3, atol=1e-3)


def test_knn_samples_its_references():
    detector = NearestNeighbours.fit(baseline(2500), rng=np.random.default_rng(0))
    assert detector.references.shape == (2000, 5)


def test_isolation_forest_equals_scikit_learn():
    for n in (100, 1000):
        x = np.round(baseline(n), 1)  # ties at the thresholds
        ours = fitting.fit_isolation_forest(x, rng=np.random.default_rng(3))
        seed = int(np.random.default_rng(3).integers(2**31))
        theirs = SklearnIsolationForest(max_samples=min(n, 256), random_state=seed).fit(x)
        queries = np.concatenate([x, baseline(200, seed=9) * 3])
        np.testing.assert_allclose(ours.score(queries), -theirs.score_samples(queries), rtol=1e-5)


def test_isolation_forest_refuses_features_out_of_range():
    arrays = fitted(FITS["isolation_forest"]).to_arrays()
    with pytest.raises(DetectorError, match="feature"):
        IsolationForest.from_arrays({**arrays, "features": arrays["features"] + 5})


def test_gmm_equals_scikit_learn():
    x = baseline(600)
    ours = fitting.fit_gmm(x, rng=np.random.default_rng(3))
    assert len(ours.means) >= 2  # the clusters are seen
    z = ours.projection.apply(x).astype(np.float64)
    theirs = SklearnGaussianMixture(len(ours.means))
    theirs.weights_ = np.exp(ours.log_weights.astype(np.float64))
    theirs.means_ = ours.means.astype(np.float64)
    theirs.precisions_cholesky_ = ours.roots.astype(np.float64)
    np.testing.assert_allclose(ours.score(x), -theirs.score_samples(z), rtol=1e-3, atol=1e-3)
    assert np.isfinite(ours.score(x * 1e6)).all()


def test_contrast_with_violations_beats_synthetic_outliers_on_them():
    rng = np.random.default_rng(0)
    x, direction = baseline(600), np.array([1, -1, 1, -1, 1], np.float32)
    violations = baseline(40, seed=11) + 0.3 * direction
    test = np.concatenate([baseline(300, seed=12), baseline(300, seed=13) + 0.3 * direction])
    label = np.repeat([0, 1], 300)
    taught = fitting.fit_contrastive(x, rng=rng, violations=violations)
    untaught = fitting.fit_contrastive(x, rng=rng, violations=violations[:19])
    assert roc_auc_score(label, taught.score(test)) > 0.75
    assert roc_auc_score(label, taught.score(test)) > roc_auc_score(label, untaught.score(test))


def test_pca_keeps_standardised_distances():
    x = baseline(100) * np.array([1, 1e3, 1e-3, 1, 1], np.float32)
    z = fit_pca_projection(x, 64, whiten=False).apply(x)
    standardised = x / x.astype(np.float64).std(axis=0)
    expected = np.linalg.norm(standardised[0] - standardised[1:], axis=1)
    np.testing.assert_allclose(np.linalg.norm(z[0] - z[1:], axis=1), expected, rtol=1e-3)
    whitened = fit_pca_projection(x, 3, whiten=True).apply(x)
    np.testing.assert_allclose(whitened.std(axis=0), 1.0, rtol=1e-3)


def test_trimming_saves_a_contaminated_baseline():
    rng = np.random.default_rng(0)

    def clean(n):
        return rng.normal(size=(n, 6))

    def dirt(n):
        return rng.normal(size=(n, 6)) + 6.0

    mixed = rng.permutation(np.concatenate([clean(900), dirt(100)])).astype(np.float32)
    cut = trim(mixed, lambda x: Mahalanobis.fit(x).score)
    kept = cut.kept
    assert cut.chance < 1e-6
    assert not cut.cuts_a_tail
    assert cut.dropped_share == pytest.approx(1 - len(kept) / 1000)
    assert np.sum(kept.mean(axis=1) > 3) == 0
    assert len(kept) >= 890  # and the clean tails came back
    test = np.concatenate([clean(300), dirt(300)]).astype(np.float32)

    def found_at_1_percent(detector):
        scores = detector.score(test)
        return np.mean(scores[300:] > np.quantile(scores[:300], 0.99))

    assert found_at_1_percent(Mahalanobis.fit(mixed)) < 0.5
    assert found_at_1_percent(Mahalanobis.fit(kept)) > 0.95


def test_trimming_leaves_a_clean_baseline_and_its_order_alone():
    x = np.random.default_rng(1).normal(size=(500, 4)).astype(np.float32)
    cut = trim(x, lambda rows: Mahalanobis.fit(rows).score)
    np.testing.assert_array_equal(cut.kept, x)
    assert (cut.dropped_share, cut.chance) == (0.0, 1.0)


def test_small_baselines_are_not_trimmed():
    x = np.concatenate([baseline(59), np.full((1, 5), 1e4, np.float32)])
    assert trim(x, lambda rows: Mahalanobis.fit(rows).score, minimum=50).kept is x
    assert len(trim(x, lambda rows: Mahalanobis.fit(rows).score, minimum=40).kept) == 59


@pytest.mark.parametrize("scale", [1.5, 2.5, 3.5])
def test_a_long_tail_is_no_contamination_and_a_bulge_at_its_end_is(scale):
    """Up to a tenth of exponential samples lie beyond 8; their chances are near to uniform."""
    rng = np.random.default_rng(3)
    tails = [rng.exponential(scale, size=500) for _ in range(300)]
    chances = np.array([chance_of_tail(tail) for tail in tails])
    assert np.mean(chances < 0.10) <= 0.20
    assert np.mean(chances < 0.50) >= 0.25  # nor is it always 1
    bulges = [np.append(tail, rng.normal(12, 1, size=75)) for tail in tails]
    assert np.mean([chance_of_tail(bulge) < 0.10 for bulge in bulges]) >= 0.9


@pytest.mark.parametrize("share", [0.05, 0.15, 0.25])
def test_much_contamination_does_not_pass_for_a_tail(share):
    """The tail is judged by the near values, so that a bulge cannot stand model for itself."""
    rng = np.random.default_rng(4)
    n_far = int(share * 1000)
    spreads = np.concatenate([rng.normal(0, 1.5, 1000 - n_far), rng.normal(20, 3, n_far)])
    assert chance_of_tail(spreads) < 1e-9


def test_tails_of_odd_values_are_defined():
    assert chance_of_tail(np.zeros(50)) == 1.0
    assert chance_of_tail(np.full(3, 9.0)) == 0.0
    assert chance_of_tail(np.append(np.zeros(50), 9.0)) == 0.0


def test_robust_scale():
    scale = fit_robust_scale(np.random.default_rng(0).normal(5.0, 2.0, 100_000))
    assert scale.median == pytest.approx(5.0, abs=0.05)
    assert scale.spread == pytest.approx(2.0, abs=0.05)
    squashed = scale.squashed(np.array([scale.median, 1e308, -1e308, np.inf, np.nan]))
    assert squashed[0] == 0.0
    assert squashed[1] == -squashed[2] > 600
    assert np.isfinite(squashed[3])
    assert np.isnan(squashed[4])


@pytest.mark.parametrize(
    ("values", "spread"), [([3.0] * 5, 1.0), ([0.0] * 95 + [1.0] * 5, np.sqrt(0.05 * 0.95))]
)
def test_robust_scale_of_ties(values, spread):
    assert fit_robust_scale(np.array(values)).spread == pytest.approx(spread)


@pytest.mark.parametrize("values", [[], [np.nan, 1.0], [np.inf]])
def test_robust_scale_refuses_what_is_not_finite(values):
    with pytest.raises(ValueError, match="scale"):
        fit_robust_scale(np.array(values))


def golden(kind):
    """A small state written by hand, so that fitting libraries may change without notice."""
    rng = np.random.default_rng(2024)
    d, k = 4, 3

    def matrix(*shape):
        return (rng.integers(-8, 9, shape) / 8).astype(np.float32)

    root = np.triu(matrix(d, d)) + np.eye(d, dtype=np.float32) * 2
    roots = np.stack([np.triu(matrix(k, k)) + np.eye(k, dtype=np.float32) * 2] * 2)
    projection = {"mean": matrix(d), "weights": matrix(d, k)}
    states = {
        Mahalanobis: {"mean": matrix(d), "root": root},
        NearestNeighbours: {**projection, "references": matrix(12, k)},
        GaussianMixture: {
            **projection,
            "log_weights": np.log(np.array([0.25, 0.75], np.float32)),
            "means": matrix(2, k),
            "roots": roots,
        },
        Contrastive: {
            **projection,
            "frequencies": matrix(k, 5),
            "phases": matrix(5),
            "linear": matrix(k),
            "fourier": matrix(5),
            "intercept": matrix(1),
        },
        IsolationForest: {
            "features": rng.integers(0, d, (3, 255)).astype(np.int32),
            "thresholds": matrix(3, 255),
            "path_lengths": np.abs(matrix(3, 256)) * 8,
            "sizes": np.array([d, 256], np.int32),
        },
    }
    return kind.from_arrays(states[kind]), matrix(6, d)


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (Mahalanobis, [4.55082, 4.520839, 2.256555, 2.318878, 2.845552, 2.428016]),
        (NearestNeighbours, [0.6616472, 0.1569168, -0.1495378, 0.3864441, 0.4015107, 0.05823963]),
        (GaussianMixture, [9.170918, 11.57577, 4.613325, 0.6196027, 4.348965, 1.334892]),
        (Contrastive, [-0.2679988, 0.5790077, 0.216509, -0.4386865, 0.0498746, -0.133544]),
        (IsolationForest, [0.6369542, 0.7802962, 0.681541, 0.7980941, 0.7802962, 0.8734388]),
    ],
)
def test_released_scores_never_change(kind, expected):
    """If this fails, restore the old scoring and add a detector beside it."""
    detector, queries = golden(kind)
    np.testing.assert_allclose(detector.score(queries), expected, rtol=1e-4)
