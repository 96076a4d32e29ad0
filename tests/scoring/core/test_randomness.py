import hashlib
import uuid

import numpy as np
import pytest
from scipy import stats

from scoring.core.randomness import _uniforms_from_hashes, keyed_uniforms


def some_ids(count: int) -> list[bytes]:
    return [uuid.UUID(int=(number * 0x9E3779B97F4A7C15) % 2**128).bytes for number in range(count)]


def test_number_belongs_to_the_record_and_not_to_its_place():
    ids = some_ids(500)
    order = np.random.default_rng(1).permutation(500)
    straight = keyed_uniforms(ids, seed=b"secret", stream="round-9")
    shuffled = keyed_uniforms([ids[place] for place in order], seed=b"secret", stream="round-9")
    single = keyed_uniforms([ids[17]], seed=b"secret", stream="round-9")
    assert (shuffled == straight[order]).all()
    assert single[0] == straight[17]


def test_formula_written_out():
    identifier, seed, stream = uuid.UUID(int=12345).bytes, b"seed", "round"
    key = hashlib.blake2b(
        (4).to_bytes(8, "big") + seed + b"sround", digest_size=64, person=b"uniforms-v1"
    ).digest()
    digest = hashlib.blake2b(identifier, digest_size=8, key=key).digest()
    expected = ((int.from_bytes(digest, "big") >> 11) + 0.5) * 2.0**-53
    assert keyed_uniforms([identifier], seed=seed, stream=stream)[0] == expected


@pytest.mark.parametrize("seed", [0, 7, 2**200, b"", b"\x07"])
def test_uniform_and_free_of_correlation_between_streams(seed):
    ids = some_ids(20_000)
    first = keyed_uniforms(ids, seed=seed, stream=1)
    second = keyed_uniforms(ids, seed=seed, stream=2)
    assert stats.kstest(first, "uniform").pvalue > 1e-4
    assert abs(np.corrcoef(first, second)[0, 1]) < 4 / np.sqrt(len(ids))
    assert np.unique(first).size == len(ids)


def test_pairs_of_seed_and_stream_never_collide():
    pairs = [(b"a", "bc"), (b"ab", "c"), (b"abc", ""), (b"a", 1), (b"a", "1"), (b"a1", ""), (97, 1)]
    numbers = {
        float(keyed_uniforms([bytes(16)], seed=seed, stream=stream)[0]) for seed, stream in pairs
    }
    # The int 97 stands for the byte "a" by contract, so one pair of the list repeats another.
    assert len(numbers) == len(pairs) - 1


def test_extreme_hashes_stay_inside_the_open_interval():
    low, high = _uniforms_from_hashes(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert low == 2.0**-54
    assert high == 1.0 - 2.0**-53
    assert -np.log(high) > 0.0


def test_rejects_ids_of_the_wrong_length_and_negative_seeds():
    with pytest.raises(ValueError, match="16 bytes"):
        keyed_uniforms([bytes(15), bytes(17)], seed=1, stream=1)
    with pytest.raises(ValueError, match="negative"):
        keyed_uniforms([], seed=-1, stream=1)


def test_no_ids_no_numbers():
    assert keyed_uniforms([], seed=1, stream=1).shape == (0,)
