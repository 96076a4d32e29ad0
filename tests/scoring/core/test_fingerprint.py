"""Fingerprints against equation 1 written as loops, and on activations of odd shapes."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.core.fingerprint import (
    Fingerprinter,
    FingerprintError,
    FingerprintSpec,
    attention_features,
    fit_pca,
    random_projections,
    thin,
)
from scoring.core.state import ScorerState, from_bytes, to_bytes

SPEC = FingerprintSpec(layers=(("a", 12), ("b", 5)), size=20, pools=("mean", "max"), max_tokens=50)


def record(seed, n_tokens=9, scale=1.0):
    rng = np.random.default_rng(seed)
    return {"a": scale * rng.normal(size=(n_tokens, 12)), "b": rng.normal(size=(n_tokens, 5)) + 2}


def naive_fingerprint(spec, weights, means, activations):
    """⊕_l Pool(σ(W_l · A_l)), one token and one output at a time."""
    parts = []
    for (name, width), sizes in zip(spec.layers, spec.slots(), strict=True):
        squashed = []
        for token in activations[name].astype(np.float64):
            if means is None:
                token = token / math.sqrt(sum(v * v for v in token) / width + 1e-6)
            else:
                token = token - means[name]
            squashed.append([math.tanh(token @ column) for column in weights[name].T])
        table = np.array(squashed)
        pools = {"mean": table.mean(axis=0), "max": table.max(axis=0)}
        for pool, size in zip(spec.pools, sizes, strict=True):
            parts.extend(pools[pool][:size])
    return np.array(parts)


def parts_of(fingerprinter):
    arrays = fingerprinter.to_state().arrays
    weights = {name: arrays[f"{i}/weights"] for i, (name, _) in enumerate(SPEC.layers)}
    if "0/mean" not in arrays:
        return weights, None
    return weights, {name: arrays[f"{i}/mean"] for i, (name, _) in enumerate(SPEC.layers)}


def test_matches_the_equation():
    for fingerprinter in (
        random_projections(SPEC),
        fit_pca(SPEC, [record(seed) for seed in range(20)]),
    ):
        one = record(100)
        got = fingerprinter.extract(one)
        assert got.shape == (20,)
        assert got.dtype == np.float32
        expected = naive_fingerprint(SPEC, *parts_of(fingerprinter), one)
        np.testing.assert_allclose(got, expected, atol=1e-5)


@given(st.integers(1, 40), st.sampled_from([np.float16, np.float32, np.float64]))
@settings(max_examples=30, deadline=None)
def test_size_is_fixed_whatever_the_length(n_tokens, dtype):
    activations = {name: x.astype(dtype) for name, x in record(1, n_tokens).items()}
    fingerprint = random_projections(SPEC).extract(activations)
    assert fingerprint.shape == (20,)
    assert (np.abs(fingerprint) <= 1).all()


def test_default_size_is_256_and_layers_share_it_evenly():
    spec = FingerprintSpec(layers=(("a", 8), ("b", 8), ("c", 8)))
    assert spec.slots() == [[86], [85], [85]]
    assert random_projections(spec).extract({"a": np.ones((2, 8))}).shape == (256,)


def test_batches_equal_single_records():
    fingerprinter = random_projections(SPEC)
    records = [record(seed, n_tokens=seed + 1) for seed in range(6)]
    batch = fingerprinter.extract_batch(records)
    for row, one in zip(batch, records, strict=True):
        np.testing.assert_array_equal(row, fingerprinter.extract(one))
    assert fingerprinter.extract_batch([]).shape == (0, 20)


def test_missing_and_empty_layers_give_zeros_in_their_place():
    fingerprinter = random_projections(SPEC)
    whole = fingerprinter.extract(record(1))
    for without in ({"a": record(1)["a"]}, {**record(1), "b": np.empty((0, 5))}):
        fingerprint = fingerprinter.extract(without)
        np.testing.assert_array_equal(fingerprint[:10], whole[:10])
        assert (fingerprint[10:] == 0).all()


def test_random_projections_ignore_the_scale_of_activations():
    fingerprinter = random_projections(SPEC)
    one, large = fingerprinter.extract(record(1)), fingerprinter.extract(record(1, scale=1000.0))
    np.testing.assert_allclose(one, large, atol=1e-5)


def test_seed_and_layer_name_choose_the_projection():
    def weights(seed, name="a"):
        spec = FingerprintSpec(layers=((name, 12),), size=4, seed=seed)
        return random_projections(spec).to_state().arrays["0/weights"]

    assert (weights(0) == weights(0)).all()
    assert (weights(0) != weights(1)).any()
    assert (weights(0) != weights(0, "b")).any()
    assert set(np.abs(weights(0)).ravel()) == {np.float32(1 / math.sqrt(12))}


def test_random_signs_are_the_same_for_ever():
    spec = FingerprintSpec(layers=(("layer.0", 4),), size=2)
    signs = np.sign(random_projections(spec).to_state().arrays["0/weights"])
    assert signs.tolist() == [[1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [-1.0, -1.0]]


def test_pca_projects_on_the_directions_of_variance():
    rng = np.random.default_rng(0)
    tokens = rng.normal(size=(5000, 2)) * [3.0, 0.5] @ np.array([[0.6, 0.8], [-0.8, 0.6]]) + 4
    spec = FingerprintSpec(layers=(("a", 2),), size=3, squash="identity")
    state = fit_pca(spec, [{"a": tokens[:2000]}, {"a": tokens[2000:]}]).to_state()
    weights = state.arrays["0/weights"]
    np.testing.assert_allclose(state.arrays["0/mean"], tokens.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(np.abs(weights[:, 0]) * 3, [0.6, 0.8], atol=0.05)
    assert (weights[:, 2] == 0).all()  # there is no third direction
    np.testing.assert_allclose(((tokens - tokens.mean(axis=0)) @ weights[:, :2]).std(axis=0), 1.0)


def test_the_distance_of_shifted_records_shows():
    """A fingerprint that cannot tell a shifted layer from a normal one is no fingerprint."""
    spec = FingerprintSpec(layers=(("a", 12), ("b", 5)), size=32)
    fingerprinter = fit_pca(spec, [record(seed) for seed in range(50)])
    normal = fingerprinter.extract_batch([record(seed) for seed in range(100, 140)])
    shifted = fingerprinter.extract_batch(
        [{**record(seed), "a": record(seed)["a"] + 1.0} for seed in range(100, 140)]
    )
    gap = np.linalg.norm(shifted.mean(axis=0) - normal.mean(axis=0))
    assert gap > 5 * np.linalg.norm(normal.std(axis=0)) / math.sqrt(40)


@pytest.mark.parametrize("make", [random_projections, lambda spec: fit_pca(spec, [record(1)])])
def test_saved_and_loaded_fingerprints_are_equal(make):
    fingerprinter = make(SPEC)
    again = Fingerprinter.from_state(from_bytes(to_bytes(fingerprinter.to_state())))
    np.testing.assert_array_equal(again.extract(record(3)), fingerprinter.extract(record(3)))
    assert again.spec == SPEC


def test_thinning_keeps_the_last_token_and_the_order():
    tokens = np.arange(1000)[:, None]
    thinned = thin(tokens, 7)[:, 0]
    assert len(thinned) == 7
    assert thinned[-1] == 999
    assert set(np.diff(thinned)) == {143}
    assert thin(tokens[:7], 7)[:, 0].tolist() == list(range(7))
    assert thin(tokens[:8], 7)[:, 0].tolist() == [1, 3, 5, 7]
    assert all(len(thin(tokens[:n], 7)) <= 7 for n in range(200))


def test_attention_features():
    uniform, itself = np.full((4, 4), 0.25), np.eye(4)
    features = attention_features(np.stack([uniform, itself]))
    assert features.shape == (4, 10)
    entropy, largest, distance, first, own = np.split(features, 5, axis=1)
    np.testing.assert_allclose(entropy, [[1.0, 0.0]] * 4, atol=1e-6)
    np.testing.assert_allclose(largest, [[0.25, 1.0]] * 4)
    np.testing.assert_allclose(distance[:, 0], np.array([1.5, 1.0, 1.0, 1.5]) / 4)
    np.testing.assert_allclose(distance[:, 1], 0.0)
    np.testing.assert_allclose(first, [[0.25, 1], [0.25, 0], [0.25, 0], [0.25, 0]])
    np.testing.assert_allclose(own, [[0.25, 1.0]] * 4)
    assert attention_features(np.ones((3, 1, 1))).shape == (1, 15)
    assert attention_features(np.ones((3, 0, 0))).shape == (0, 15)


@pytest.mark.parametrize(
    "activations",
    [
        {},
        {"other": np.ones((2, 2))},
        {"a": np.ones((2, 11))},
        {"a": np.ones(12)},
        {"a": np.full((2, 12), np.nan)},
        {"a": np.where(np.eye(12) == 1, np.inf, 0.0)},
    ],
)
def test_unusable_activations_are_refused(activations):
    with pytest.raises(FingerprintError):
        random_projections(SPEC).extract(activations)


@pytest.mark.parametrize(
    "changes",
    [
        {"layers": ()},
        {"layers": (("a", 1), ("a", 2))},
        {"layers": (("a", 0),)},
        {"pools": ("median",)},
        {"pools": ()},
        {"squash": "step"},
        {"size": 3},
        {"max_tokens": 0},
    ],
)
def test_malformed_specs_are_refused(changes):
    fields = {"layers": SPEC.layers, "pools": SPEC.pools, **changes}
    with pytest.raises(FingerprintError):
        FingerprintSpec(**fields)


def test_too_few_tokens_and_foreign_states_are_refused():
    with pytest.raises(FingerprintError, match="two or more"):
        fit_pca(SPEC, [record(1, n_tokens=1)])
    with pytest.raises(FingerprintError):
        Fingerprinter.from_state(ScorerState(config={"kind": "percentile"}))
