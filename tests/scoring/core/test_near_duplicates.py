import numpy as np
import pytest

from scoring.core.near_duplicates import discount_near_duplicates, local_multiplicity
from scoring.core.sampling import floored_order_sample
from scoring.core.temperature import tau_for_effective_sample_size


def pool_with_copies(n_unlike=150, n_copies=60, noise=1e-4, d=12, seed=0):
    rng = np.random.default_rng(seed)
    unlike = rng.normal(size=(n_unlike, d))
    copies = rng.normal(size=d) + noise * rng.normal(size=(n_copies, d))
    return np.vstack([copies, unlike])


def test_copies_count_each_other_and_others_count_themselves():
    multiplicity = local_multiplicity(pool_with_copies(), rng=np.random.default_rng(1))
    np.testing.assert_allclose(multiplicity[:60], 60, rtol=0.02)
    np.testing.assert_allclose(multiplicity[60:], 1, atol=0.01)


@pytest.mark.parametrize(("distance", "low", "high"), [(0.25, 1.75, 1.95), (1.0, 1.4, 1.6),
                                                       (10.0, 1.0, 1.01)])  # fmt: skip
def test_pairs_fade_with_their_distance_in_radii(distance, low, high):
    """Half a count at one radius: the kernel promised by the docstring, over many pairs."""
    rng = np.random.default_rng(2)
    first = rng.normal(size=(400, 10))
    step = rng.normal(size=(400, 10))
    step /= np.linalg.norm(step, axis=1, keepdims=True)
    radius = 0.02 * np.sqrt(2 * 10)
    pool = np.vstack([first, first + distance * radius * step])
    multiplicity = local_multiplicity(pool, rng=rng, n_tables=32)
    assert low <= multiplicity.mean() <= high


def test_order_and_unit_leave_no_trace():
    pool = pool_with_copies(noise=0.05)
    order = np.random.default_rng(3).permutation(len(pool))
    straight = local_multiplicity(pool, rng=np.random.default_rng(4))
    shuffled = local_multiplicity(pool[order], rng=np.random.default_rng(4))
    np.testing.assert_array_equal(shuffled, straight[order])
    scaled = local_multiplicity(pool * 1024.0, rng=np.random.default_rng(4))
    np.testing.assert_array_equal(scaled, straight)


def test_copies_together_weigh_one_record_and_do_not_fill_the_round():
    pool = pool_with_copies()
    gains = np.append(np.full(60, 1.0), np.linspace(0.3, 0.9, 150))
    rng = np.random.default_rng(5)
    multiplicity = local_multiplicity(pool, rng=rng)
    plain_tau = tau_for_effective_sample_size(gains, 40.0)
    tau = tau_for_effective_sample_size(gains, 40.0, counts=1 / multiplicity)
    discounted = discount_near_duplicates(gains, multiplicity, tau)
    weights = np.exp(tau * discounted)
    assert weights[:60].sum() == pytest.approx(np.exp(tau * 1.0), rel=0.05)
    copies = np.zeros(2)
    for uniforms in rng.random((100, 210)):
        options = {"budget": 20, "floor": 0.1}
        plain = floored_order_sample(gains, uniforms, tau=plain_tau, **options)
        fair = floored_order_sample(discounted, uniforms, tau=tau, **options)
        copies += (plain.selected < 60).sum(), (fair.selected < 60).sum()
    assert copies[0] / 100 > 10
    assert copies[1] / 100 < 3


def test_weights_stay_unbiased_under_the_discount():
    """The share of copies in the stream is estimated right although the round avoids them."""
    pool = pool_with_copies()
    rng = np.random.default_rng(6)
    multiplicity = local_multiplicity(pool, rng=rng)
    discounted = discount_near_duplicates(np.ones(210), multiplicity, 8.0)
    totals = []
    for uniforms in rng.random((1500, 210)):
        draw = floored_order_sample(discounted, uniforms, budget=30, tau=8.0, floor=0.3)
        totals.append((1 / draw.inclusion_probabilities[draw.selected < 60]).sum())
    error = np.std(totals) / np.sqrt(len(totals))
    assert abs(np.mean(totals) - 60) <= 4 * error


def test_degenerate_pools():
    rng = np.random.default_rng(7)
    assert local_multiplicity(np.empty((0, 3)), rng=rng).size == 0
    assert local_multiplicity(np.ones((1, 3)), rng=rng).tolist() == [1.0]
    assert local_multiplicity(np.ones((4, 0)), rng=rng).tolist() == [1.0] * 4
    assert local_multiplicity(np.ones((5, 3)), rng=rng).tolist() == [5.0] * 5
    broken = np.ones((4, 2))
    broken[0, 0] = np.nan
    assert local_multiplicity(broken, rng=rng).tolist() == [1.0, 3.0, 3.0, 3.0]


def test_uniform_rounds_keep_their_gains_and_bad_arguments_are_refused():
    gains, multiplicity = np.array([0.1, 0.2]), np.array([1.0, 7.0])
    assert discount_near_duplicates(gains, multiplicity, 0.0).tolist() == gains.tolist()
    with pytest.raises(ValueError, match="multiplicity"):
        discount_near_duplicates(gains, np.array([0.5, 1.0]), 1.0)
    with pytest.raises(ValueError, match="tau"):
        discount_near_duplicates(gains, multiplicity, -1.0)
    with pytest.raises(ValueError, match="positive"):
        local_multiplicity(np.ones((2, 2)), rng=np.random.default_rng(0), relative_radius=0.0)


def test_no_discount_goes_below_the_least_gain():
    gains, multiplicity = np.array([0.1, 0.5, 0.9, np.nan]), np.array([50.0, 50.0, 2.0, 2.0])
    found = discount_near_duplicates(gains, multiplicity, 5.0, least_gain=0.1)
    np.testing.assert_allclose(found, [0.1, 0.1, 0.9 - np.log(2) / 5, np.nan])
    low = discount_near_duplicates(gains[:1], multiplicity[:1], 5.0, least_gain=0.3)
    assert low == pytest.approx([0.1])
