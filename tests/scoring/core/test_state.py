"""Scorer states survive the way to bytes and back exactly, and nothing else is read."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scoring.core.state import FORMAT, ScorerState, StateError, from_bytes, to_bytes

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=8,
)
dtypes = st.sampled_from(["<f8", "<f4", "<i8", "<i4", "<i2", "u1", "?"]).map(np.dtype)
arrays = dtypes.flatmap(
    lambda dtype: hnp.arrays(
        dtype, hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    )
)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda s: s[0] != "_")
states = st.builds(
    ScorerState,
    config=st.dictionaries(st.text(max_size=5), json_values, max_size=4),
    arrays=st.dictionaries(names, arrays, max_size=4),
)


LONE_SURROGATE = ScorerState(config={"a": "\ud800"})


def sealed(header: object, body: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + body


METADATA = {"config": "{}", "format": FORMAT}


@given(states)
@example(LONE_SURROGATE)
def test_round_trip_is_exact(state):
    again = from_bytes(to_bytes(state))
    assert again.config == state.config
    assert list(again.arrays) == list(state.arrays)
    for name, array in state.arrays.items():
        assert again.arrays[name].dtype == array.dtype
        assert again.arrays[name].shape == array.shape
        assert again.arrays[name].tobytes() == array.tobytes()
    assert to_bytes(again) == to_bytes(state)
    assert again.digest() == state.digest()


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data):
    with pytest.raises(StateError):
        from_bytes(data)


@given(states, st.data())
def test_a_changed_byte_never_reads_as_the_same_version(state, data):
    original = to_bytes(state)
    position = data.draw(st.integers(0, len(original) - 1))
    changed = bytearray(original)
    changed[position] ^= data.draw(st.integers(1, 255))
    try:
        other = from_bytes(bytes(changed))
    except StateError:
        return
    assert other.digest() != state.digest()


def test_digest_does_not_depend_on_insertion_order_or_memory_layout():
    matrix = np.arange(12.0).reshape(3, 4)
    one = ScorerState(config={"a": 1, "b": 2}, arrays={"x": matrix, "y": np.ones(2, np.float32)})
    two = ScorerState(
        config={"b": 2, "a": 1},
        arrays={"y": np.ones(2, np.float32), "x": np.asfortranarray(matrix).astype(">f8")},
    )
    assert one.digest() == two.digest()


def test_digest_is_stable_across_releases():
    state = ScorerState(config={"kind": "k", "w": 0.5}, arrays={"x": np.array([1.0, 2.5])})
    assert state.digest() == ("5dcb2382d9f2f9610bd21c40bb181ebc594baab17ae789d4d416316c5e2ee3b7")


def test_arrays_are_copied_and_read_only():
    source = np.zeros(3)
    state = ScorerState(config={}, arrays={"x": source})
    source[0] = 1.0
    assert state.arrays["x"][0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        state.arrays["x"][0] = 1.0
    with pytest.raises(ValueError, match="read-only"):
        from_bytes(to_bytes(state)).arrays["x"][0] = 1.0


@pytest.mark.parametrize(
    "config",
    [{1: 2}, {"a": (1, 2)}, {"a": float("nan")}, {"a": float("inf")}, {"a": object()}, {"a": b""}],
    ids=["int key", "tuple", "nan", "inf", "object", "bytes"],
)
def test_config_must_be_plain_json(config):
    with pytest.raises(StateError):
        ScorerState(config=config)


@pytest.mark.parametrize(
    "array",
    [
        np.array([object()]),
        np.array(["text"]),
        np.array([1 + 2j]),
        np.zeros(2, np.float16),
        np.zeros(2, "datetime64[s]"),
        np.zeros(2, [("a", "f8")]),
    ],
    ids=["object", "text", "complex", "float16", "datetime", "record"],
)
def test_other_array_types_are_refused(array):
    with pytest.raises(StateError, match="not allowed"):
        ScorerState(config={}, arrays={"x": array})


def entry(**changes: object) -> dict[str, object]:
    return {"data_offsets": [0, 8], "dtype": "F64", "shape": [1], **changes}


@pytest.mark.parametrize(
    ("header", "body"),
    [
        ({"__metadata__": METADATA, "x": entry(shape=[2**40])}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(shape=[-1])}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(shape=[True])}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(dtype="O")}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(dtype=["F64"])}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(data_offsets=[8, 0])}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(data_offsets=[0, 16], shape=[2])}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(extra=1)}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry(), "y": entry()}, b"\0" * 8),
        ({"__metadata__": METADATA, "x": entry()}, b"\0" * 16),
        ({"__metadata__": METADATA, "x": entry(dtype="BOOL", shape=[8])}, b"\x02" * 8),
        ({"__metadata__": METADATA, "x": []}, b""),
        ({"__metadata__": {**METADATA, "format": "other"}}, b""),
        ({"__metadata__": {**METADATA, "extra": "1"}}, b""),
        ({"__metadata__": {**METADATA, "config": '{"a": NaN}'}}, b""),
        ({"__metadata__": {**METADATA, "config": '{"a":1,"a":2}'}}, b""),
        ({"__metadata__": {**METADATA, "config": "[" * 100_000}}, b""),
        ({"__metadata__": {**METADATA, "config": '{"a":' + "9" * 5000 + "}"}}, b""),
        ({}, b""),
        (b"[]", b""),
        (b"{" * 50_000, b""),
        (b'{"\xff":1}', b""),
    ],
)
def test_hostile_headers_are_refused(header, body):
    with pytest.raises(StateError):
        from_bytes(sealed(header, body))


def test_a_header_longer_than_the_file_is_refused():
    with pytest.raises(StateError, match="longer"):
        from_bytes((2**63).to_bytes(8, "little") + b"{}")


def test_the_same_state_in_another_spelling_is_refused():
    good = to_bytes(ScorerState(config={}))
    header = json.loads(good[8:])
    with pytest.raises(StateError, match="canonical"):
        from_bytes(sealed(json.dumps(header, indent=1).encode()))
