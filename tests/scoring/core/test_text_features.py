import numpy as np
import pytest

from scoring.core.features import fit_feature_map
from scoring.core.posterior import fit_posterior
from scoring.core.text_features import (
    MAX_WORDS,
    N_OVERLAPS,
    fit_text_map,
    hashed_words,
    overlap_signals,
    text_map_from_arrays,
    words,
)

TOPICS = ("bread flour oven salt", "engine brake wheel road", "violin bow string tune")


def some_texts(n=240, seed=0):
    """Inputs on three topics; outputs that take their words from the input or from elsewhere."""
    rng = np.random.default_rng(seed)
    topics = rng.integers(0, 3, n)
    elsewhere = rng.random(n) < 0.3
    inputs = [" ".join(rng.choice(TOPICS[t].split(), 8)) for t in topics]
    outputs = [
        " ".join(rng.choice(TOPICS[(t + away) % 3].split(), 6))
        for t, away in zip(topics, elsewhere, strict=True)
    ]
    return inputs, outputs, topics, elsewhere.astype(float)


def test_words_are_lower_case_keep_apostrophes_and_end_somewhere():
    assert words("Don't STOP — déjà vu, 3 times!") == ["don't", "stop", "déjà", "vu", "3", "times"]
    assert len(words("word " * (MAX_WORDS + 7))) == MAX_WORDS
    assert words("") == words("?!…") == []


def test_overlap_by_hand():
    (row, nothing, silent) = overlap_signals(
        ["the cat sat on the mat", "a b", "a b"], ["the cat ate the mat", "c", ""]
    )
    np.testing.assert_allclose(row, [4 / 5, 2 / 4, np.log(7), np.log(6)])
    np.testing.assert_allclose(nothing, [0, 0, np.log(3), np.log(2)])
    np.testing.assert_allclose(silent, [0, 0, np.log(3), 0])


def test_hashing_counts_words_and_pairs_whatever_the_order_of_the_texts():
    texts = ["salt and salt", "violin", ""]
    table = hashed_words(texts, side="input", n_buckets=1 << 16)
    assert sorted(np.abs(table[0][table[0] != 0])) == pytest.approx(
        [np.log(2)] * 3 + [np.log(3)]  # and, two pairs; salt twice
    )
    assert (table[2] == 0).all()
    backwards = hashed_words(texts[::-1], side="input", n_buckets=1 << 16)
    np.testing.assert_array_equal(backwards[::-1], table)
    assert (hashed_words(texts, side="output", n_buckets=1 << 16) != table).any()


def test_layout_prior_and_storage():
    inputs, outputs, _, _ = some_texts()
    found = fit_text_map(inputs, outputs, rng=np.random.default_rng(1), n_buckets=128)
    table = found.transform(inputs, outputs)
    assert table.shape == (240, found.prior_sd.size)
    np.testing.assert_array_equal(table[:, :N_OVERLAPS], overlap_signals(inputs, outputs))
    assert set(found.prior_sd[:N_OVERLAPS]) == {1.0}
    assert set(found.prior_sd[N_OVERLAPS:]) == {0.3}
    restored = text_map_from_arrays(found.to_arrays())
    np.testing.assert_array_equal(restored.transform(inputs, outputs), table)
    with pytest.raises(ValueError, match="fit together"):
        text_map_from_arrays(found.to_arrays() | {"input_mean": np.zeros(3)})


def test_rows_do_not_depend_on_their_company():
    inputs, outputs, _, _ = some_texts()
    found = fit_text_map(inputs, outputs, rng=np.random.default_rng(1), n_buckets=128)
    whole, part = found.transform(inputs, outputs), found.transform(inputs[7:9], outputs[7:9])
    np.testing.assert_allclose(part, whole[7:9], atol=1e-12)


def test_a_posterior_learns_what_stands_between_question_and_answer():
    """Topics alone say nothing here; only the pair of texts tells a violation."""
    inputs, outputs, _, y = some_texts()
    columns = fit_text_map(inputs, outputs, rng=np.random.default_rng(1), n_buckets=128)
    table = columns.transform(inputs, outputs)
    found = fit_feature_map(
        np.full(240, 0.5),
        base_rate=0.1,
        rng=np.random.default_rng(2),
        signals=table,
        signal_prior_sd=columns.prior_sd,
    )
    assert (found.prior().precision[2:] == columns.prior_sd**-2.0).all()
    features = found.transform(np.full(240, 0.5), signals=table)
    mean, _ = fit_posterior(features[:60], y[:60], found.prior()).moments(features[60:])
    assert mean[y[60:] == 1].min() > mean[y[60:] == 0].max()


@pytest.mark.parametrize("inputs", [["a"], ["", ""], ["one two"] * 5])
def test_few_or_empty_or_equal_texts_are_usable(inputs):
    found = fit_text_map(inputs, inputs, rng=np.random.default_rng(0), n_buckets=64)
    assert np.isfinite(found.transform(["new words", ""], ["", "other"])).all()


def test_refuses_texts_that_do_not_pair():
    with pytest.raises(ValueError, match="one length"):
        fit_text_map(["a"], [], rng=np.random.default_rng(0), n_buckets=64)
    with pytest.raises(ValueError, match="one length"):
        fit_text_map([], [], rng=np.random.default_rng(0), n_buckets=64)
    with pytest.raises(ValueError, match="one length"):
        fit_text_map(["a"], ["b"], rng=np.random.default_rng(0), n_buckets=64).transform(
            ["a", "b"], ["c"]
        )
