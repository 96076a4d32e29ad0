"""The moving baseline against direct weighted moments, direct inverses and scikit-learn."""

import numpy as np
import pytest
from sklearn.covariance import OAS

from scoring.core.baseline import BaselineError, MovingBaseline, oas_shrinkage


def naive_moments(mean, covariance, rows, rate):
    """Weighted mean and covariance from all records at once: no recursion."""
    n = len(rows)
    weights = np.concatenate([[(1 - rate) ** n], rate * (1 - rate) ** np.arange(n - 1, -1, -1)])
    centres = np.vstack([mean, rows])
    expected = weights @ centres
    centred = centres - expected
    return expected, weights[0] * covariance + (weights[:, None] * centred).T @ centred


def correlated(rng, n, d):
    mixing = rng.normal(size=(d, d)) + 2.0 * np.eye(d)
    return rng.normal(size=(n, d)) @ mixing + rng.normal(size=d)


def test_moments_equal_the_direct_weighted_ones():
    rng = np.random.default_rng(1)
    x = correlated(rng, 700, 5)
    baseline = MovingBaseline.start(x[:300], rate=0.01)
    mean, covariance = naive_moments(baseline.mean_, baseline.covariance_, x[300:], 0.01)
    baseline._limit2 = np.inf  # the oracle does not winsorise
    for row in x[300:]:
        assert baseline.update(row)
        baseline._limit2 = np.inf
    np.testing.assert_allclose(baseline.mean_, mean, atol=1e-12)
    np.testing.assert_allclose(baseline.covariance_, covariance, atol=1e-11)


@pytest.mark.parametrize("rate", [0.002, 0.05])
def test_precision_stays_the_inverse_for_1e5_steps(rate):
    rng = np.random.default_rng(2)
    x = correlated(rng, 2000, 8)
    baseline = MovingBaseline.start(x, rate=rate)
    for step in range(100_000):
        baseline.update(x[step % 2000])
    direct = np.linalg.inv(baseline.covariance_)
    assert np.abs(baseline.precision_ - direct).max() <= 1e-8 * max(1.0, np.abs(direct).max())
    assert np.linalg.norm(baseline.precision_ @ baseline.covariance_ - np.eye(8)) <= 1e-8
    assert baseline.n_effective == pytest.approx((2 - rate) / rate)


def test_between_refactorings_precision_is_the_inverse_too():
    rng = np.random.default_rng(3)
    x = correlated(rng, 1500, 6)
    baseline = MovingBaseline.start(x[:600], rate=0.002)
    for row in x[600:1599]:
        baseline.update(row)
    assert 0 < baseline._steps < 1000
    np.testing.assert_allclose(
        baseline.precision_, np.linalg.inv(baseline.covariance_), rtol=0, atol=1e-10
    )


def test_batch_equals_single_updates():
    rng = np.random.default_rng(4)
    x = correlated(rng, 1300, 7)
    single = MovingBaseline.start(x[:300], rate=0.004)
    batch = MovingBaseline.start(x[:300], rate=0.004)
    p = rng.uniform(size=1000)
    confirmed = rng.uniform(size=1000) < 0.1
    single._limit2 = batch._limit2 = np.inf
    inliers = single.distances(x[300:]) < 3.0  # none of these is winsorised in either way
    p[~inliers] = 0.0
    for row, p_row, confirmed_row in zip(x[300:], p, confirmed, strict=True):
        single.update(row, p=p_row, confirmed=confirmed_row)
    done = batch.update_batch(x[300:], p=p, confirmed=confirmed)
    assert done.absorbed == single.n_absorbed_ == int(((p > 0.1) & ~confirmed).sum())
    assert done.refused == single.n_refused_ == 1000 - done.absorbed
    np.testing.assert_allclose(batch.mean_, single.mean_, atol=1e-11)
    np.testing.assert_allclose(batch.covariance_, single.covariance_, atol=1e-10)
    np.testing.assert_allclose(batch.precision_, single.precision_, atol=1e-10)
    assert batch.n_effective == pytest.approx(single.n_effective, rel=1e-12)


def test_oas_agrees_with_scikit_learn_and_with_the_equation():
    rng = np.random.default_rng(5)
    for n, d, tolerance in ((200, 64, 5e-4), (1000, 256, 5e-5)):  # it leaves the 2/d terms out
        x = rng.normal(size=(n, d)) * np.linspace(0.5, 2.0, d)
        sample = np.cov(x.T, bias=True)
        assert oas_shrinkage(sample, n) == pytest.approx(OAS().fit(x).shrinkage_, abs=tolerance)
    sample = np.cov(rng.normal(size=(200, 64)).T, bias=True)
    square = sum(sample[i, j] ** 2 for i in range(64) for j in range(64))
    trace = sum(sample[i, i] for i in range(64))
    numerator = (1 - 2 / 64) * square + trace**2
    denominator = (200 + 1 - 2 / 64) * (square - trace**2 / 64)
    assert oas_shrinkage(sample, 200) == pytest.approx(min(1, numerator / denominator))
    assert oas_shrinkage(np.eye(3), 50) == 1.0


def test_shrunk_moments_use_the_effective_sample_size():
    rng = np.random.default_rng(6)
    baseline = MovingBaseline.start(correlated(rng, 400, 10), rate=0.05)
    baseline.update_batch(correlated(rng, 800, 10))
    shrunk = baseline.shrunk()
    assert baseline.n_effective == pytest.approx(39.0)
    assert shrunk.shrinkage == oas_shrinkage(baseline.covariance_, baseline.n_effective)
    assert 0 < shrunk.shrinkage < 1
    np.testing.assert_allclose(shrunk.precision @ shrunk.covariance, np.eye(10), atol=1e-10)
    assert np.trace(shrunk.covariance) == pytest.approx(np.trace(baseline.covariance_))


def test_anomalies_and_confirmed_violations_do_not_teach_it():
    rng = np.random.default_rng(7)
    x = rng.normal(size=(3000, 4))
    far = rng.normal(size=(600, 4)) + 50.0
    stream = np.vstack([x[1000:], far])
    p = np.concatenate([np.full(2000, 0.5), np.full(600, 0.01)])
    order = rng.permutation(2600)
    baseline = MovingBaseline.start(x[:1000], rate=0.005)
    done = baseline.update_batch(stream[order], p=p[order])
    assert (done.absorbed, done.refused) == (2000, 600)
    assert np.abs(baseline.mean_).max() < 0.3


def test_winsorising_bounds_what_unnoticed_anomalies_do():
    """5 % gross outliers that the scorer missed: the mean moves by less than a deviation."""
    rng = np.random.default_rng(8)
    x = rng.normal(size=(4000, 4))
    outlier = rng.uniform(size=4000) < 0.05
    x[outlier] += 1000.0
    robust = MovingBaseline.start(rng.normal(size=(1000, 4)), rate=0.005)
    robust.update_batch(x)
    naive_mean, _ = naive_moments(np.zeros(4), np.eye(4), x, 0.005)
    assert robust.n_winsorised_ >= outlier.sum()
    assert np.abs(robust.mean_).max() < 1 < 10 < np.abs(naive_mean).max()


def test_winsorising_leaves_clean_records_alone():
    """99.9 % of normal records stay inside, also where the effective sample is only 4 d."""
    rng = np.random.default_rng(9)
    baseline = MovingBaseline.start(rng.normal(size=(500, 20)), rate=2 / 81)
    done = baseline.update_batch(rng.normal(size=(6000, 20)))
    assert done.winsorised / done.absorbed < 0.02
    assert np.trace(baseline.covariance_) / 20 == pytest.approx(1.0, abs=0.15)


def test_it_follows_a_slow_change():
    rng = np.random.default_rng(10)
    baseline = MovingBaseline.start(rng.normal(size=(500, 3)), rate=0.01)
    drift = np.linspace(0.0, 5.0, 4000)[:, None]
    baseline.update_batch(rng.normal(size=(4000, 3)) + drift)
    assert np.abs(baseline.mean_ - 5.0).max() < 0.6


@pytest.mark.parametrize("d", [1, 3])
def test_constant_columns_stay_invertible(d):
    baseline = MovingBaseline.start(np.full((50, d), 7.0), rate=0.05)
    for _ in range(5000):
        baseline.update(np.full(d, 7.0))
    assert np.isfinite(baseline.precision_).all()
    assert (np.linalg.eigvalsh(baseline.precision_) > 0).all()
    assert baseline.distances(np.full((1, d), 7.0))[0] == pytest.approx(0.0, abs=1e-6)


def test_fewer_records_than_dimensions_are_enough_to_start():
    rng = np.random.default_rng(11)
    baseline = MovingBaseline.start(rng.normal(size=(20, 40)), rate=0.004)
    baseline.update_batch(rng.normal(size=(4000, 40)))
    np.testing.assert_allclose(np.diag(baseline.covariance_).mean(), 1.0, atol=0.15)


def test_checkpoint_continues_bit_for_bit():
    rng = np.random.default_rng(12)
    x = correlated(rng, 1500, 5)
    one = MovingBaseline.start(x[:200], rate=0.003)
    for row in x[200:777]:
        one.update(row)
    two = MovingBaseline.from_arrays(one.to_arrays())
    for row in x[777:]:
        one.update(row)
        two.update(row)
    for name, array in one.to_arrays().items():
        np.testing.assert_array_equal(array, two.to_arrays()[name])


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays.pop("mean"),
        lambda arrays: arrays.update(mean=np.array([np.nan, 0.0])),
        lambda arrays: arrays.update(covariance=np.eye(3)),
        lambda arrays: arrays.update(scalars=arrays["scalars"][:4]),
        lambda arrays: arrays.update(scalars=-arrays["scalars"]),
    ],
)
def test_a_broken_checkpoint_is_refused(change):
    arrays = MovingBaseline.start(np.random.default_rng(0).normal(size=(9, 2)), rate=0.1)
    arrays = arrays.to_arrays()
    change(arrays)
    with pytest.raises(BaselineError):
        MovingBaseline.from_arrays(arrays)


def test_non_finite_records_are_refused_and_inputs_kept():
    x = np.random.default_rng(13).normal(size=(30, 2))
    x[3, 1] = np.nan
    kept = x.copy()
    baseline = MovingBaseline.start(x, rate=0.1)
    assert not baseline.update(np.array([np.inf, 0.0]))
    assert baseline.update_batch(x).refused == 1
    np.testing.assert_array_equal(x, kept)
    with pytest.raises(BaselineError):
        baseline.update(np.zeros(3))
    with pytest.raises(BaselineError):
        baseline.update_batch(x, p=np.ones(4))
    with pytest.raises(BaselineError):
        MovingBaseline.start(x[:1], rate=0.1)
    with pytest.raises(BaselineError):
        MovingBaseline.start(x, rate=1.0)


def test_scaling_the_data_scales_the_moments():
    rng = np.random.default_rng(14)
    x = correlated(rng, 900, 3)
    small = MovingBaseline.start(x[:300], rate=0.01)
    large = MovingBaseline.start(1e3 * x[:300], rate=0.01)
    small.update_batch(x[300:])
    large.update_batch(1e3 * x[300:])
    np.testing.assert_allclose(large.covariance_, 1e6 * small.covariance_, rtol=1e-9)
    np.testing.assert_allclose(large.distances(1e3 * x), small.distances(x), rtol=1e-7)
