"""What intake does by arrays, against the slow and obvious version of each, kept here."""

import base64
import json
from datetime import UTC, datetime, timedelta
from unittest import mock

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib import codec
from oversight.lib.errors import InvalidInput
from scoring import ids
from scoring.core.fingerprint import as_stored
from scoring.intake import counting, decoding, fingerprints
from scoring.intake.wire import PackedFingerprint
from tests.factories import make_record

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(
    st.integers(1, 2**62),
    st.lists(st.tuples(st.text(max_size=40), st.integers(0, 2**42)), max_size=20),
)
def test_ids_of_a_batch_are_the_ids_of_its_records(project_id, records):
    names = [name.encode("utf-8", "replace").decode() for name, _ in records]
    moments = np.array([ms for _, ms in records], dtype=np.int64)
    made = ids.record_ids(project_id, names, moments)
    assert [row.tobytes() for row in made] == [
        ids.record_id(project_id, name, EPOCH + timedelta(milliseconds=ms)).bytes
        for name, (_, ms) in zip(names, records, strict=True)
    ]


# Keys and texts made of what a counter of keys may stumble over.
TRICKY = st.text(st.sampled_from('":\\{}[], \n\tau0é'), max_size=12)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | TRICKY,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TRICKY, inner, max_size=4),
    max_leaves=12,
)
SEPARATORS = st.sampled_from([(",", ":"), (", ", ": "), (" , ", " : "), ("\n,", "\t\n:\r")])


def keys_sent(raw):
    """Every key in the order of the text, repeated ones too."""
    found = []
    json.JSONDecoder(object_pairs_hook=lambda pairs: found.extend(pairs) or {}).decode(raw)
    return len(found)


@given(st.lists(st.tuples(JSON, SEPARATORS, st.booleans()), max_size=6), st.integers(1, 60))
def test_the_count_of_keys_is_never_too_small(documents, at_once):
    texts = [
        json.dumps(value, separators=separators, ensure_ascii=is_ascii)
        for value, separators, is_ascii in documents
    ]
    slices = [text.encode("utf-8", "surrogatepass") for text in texts]
    counts, may_hold_nul = counting.survey(slices)
    with mock.patch.object(counting, "_AT_ONCE", at_once):
        assert counting.survey(slices) == (counts, may_hold_nul)
    for text, raw, counted, suspect in zip(texts, slices, counts, may_hold_nul, strict=True):
        assert counted >= keys_sent(text)
        assert suspect == (b"\\u0000" in raw)


def test_ordinary_texts_are_counted_exactly():
    texts = ['{"a":1,"b": {"c" : "x: \\"y\\": z"}}', '{"a":"\\\\","b":[{"c":"d : e"}]}', "{}"]
    assert counting.survey([text.encode() for text in texts])[0] == [3, 3, 0]


@given(
    st.dictionaries(
        st.sampled_from(
            ["signals", "context", "conversation_id", "subject_id", "consent", "fingerprint"]
        ),
        st.none() | st.just("") | st.just({}) | st.dictionaries(TRICKY, TRICKY, max_size=3),
    ),
    st.dictionaries(TRICKY, JSON, max_size=3),
    TRICKY,
    st.none() | st.sampled_from(["input", "signals", "subject_id"]),
    SEPARATORS,
)
def test_a_batch_decodes_as_its_records_looked_at_closely(
    optional, decoder, text, repeated, separators
):
    model = {"name": "m", "version": "1", "decoder": decoder}
    record = {**make_record(0, input=text, model=model), **optional}
    raw = json.dumps(record, separators=separators).encode()
    if repeated is not None:
        raw = b'{"%s": "twice",' % repeated.encode() + raw[1:]
    (fast,) = decoding.decode_batch([raw])
    if isinstance(fast, InvalidInput):
        with pytest.raises(InvalidInput) as refused:
            decoding.decode(raw)
        assert fast.errors == refused.value.errors
    else:
        assert fast == decoding.decode(raw)
        codec.decode(raw)  # nothing came through that the strict codec refuses


@pytest.mark.parametrize("field", ["signals", "context", "conversation_id", "input", "output"])
def test_a_key_twice_is_found_at_every_depth(field):
    ordinary = json.dumps(make_record(0, conversation_id="c")).encode()
    twice = b'{"%s": "x",' % field.encode() + ordinary[1:]
    within = json.dumps(make_record(1, signals={"a": 1.0})).encode()
    within = within.replace(b'{"a": 1.0}', b'{"a": 1.0, "\\u0061": 2.0}')
    decoded = decoding.decode_batch([ordinary, twice, within])
    assert not isinstance(decoded[0], InvalidInput)
    if field in ("input", "output", "conversation_id"):
        assert decoded[1].errors[0].code == "duplicate_key"
    else:
        assert isinstance(decoded[1], InvalidInput)
    assert decoded[2].errors[0].code == "duplicate_key"


def pack_obviously(given):
    """One fingerprint at a time, as the rules are told."""
    if isinstance(given, list):
        values = np.array(given, dtype=np.float64)
    else:
        wire = np.dtype("<f2" if given.dtype == "float16" else "<f4")
        if not given.data or len(given.data) % wire.itemsize:
            return "length"
        values = np.frombuffer(given.data, dtype=wire)
    if values.size > fingerprints.MAX_DIMENSION:
        return "length"
    if not np.isfinite(values).all():
        return "not_finite"
    if np.abs(values.astype(np.float64)).max() > np.finfo(np.float32).max:
        return "out_of_range"
    return as_stored(values).tobytes(), values.size


NUMBERS = st.floats(width=64, allow_nan=False, allow_infinity=False) | st.sampled_from(
    [0.0, -0.0, 65504.0, -65504.0, 65505.0, 65520.0, 1e-8, 3.4e38, 3.5e38]
)


@given(
    st.lists(
        st.lists(NUMBERS, min_size=1, max_size=5)
        | st.builds(
            PackedFingerprint,
            dtype=st.sampled_from(["float16", "float32"]),
            data=st.binary(max_size=24),
        ),
        max_size=12,
    )
)
def test_fingerprints_are_packed_together_as_one_by_one(given_ones):
    packed = fingerprints.pack_batch(given_ones)
    assert len(packed) == len(given_ones)
    for one, told in zip(given_ones, packed, strict=True):
        expected = pack_obviously(one)
        if isinstance(expected, str):
            assert told.errors[0].code == expected
        else:
            assert told == expected


@given(st.lists(st.booleans(), min_size=1, max_size=8), st.integers(1, 6))
def test_stored_fingerprints_come_back_as_a_matrix(are_large, dimension):
    rng = np.random.default_rng(len(are_large))
    rows = [rng.normal(size=dimension) * (1e6 if large else 1.0) for large in are_large]
    stored = [as_stored(row).tobytes() for row in rows]
    matrix = fingerprints.unpack_batch(stored, dimension)
    assert matrix.dtype == np.float32
    for row, one in zip(matrix, stored, strict=True):
        assert (row == fingerprints.unpack(one, dimension)).all()


@given(st.binary(max_size=30) | st.text("ABCabc09+/= \n", max_size=12).map(str.encode))
def test_base64_means_what_the_standard_library_says(data):
    text = data.decode("latin-1")
    try:
        expected = base64.b64decode(data, validate=True)
    except ValueError:
        expected = None
    fingerprint = {"dtype": "float32", "data": text}
    raw = json.dumps(make_record(0, fingerprint=fingerprint)).encode()
    (decoded,) = decoding.decode_batch([raw])
    if not isinstance(decoded, InvalidInput):
        assert decoded.fingerprint.data == expected
    else:
        # Refused too is what the library reads, but would have written otherwise.
        assert expected is None or base64.b64encode(expected) != data
        assert (decoded.errors[0].path, decoded.errors[0].code) in {
            ("fingerprint.data", "not_base64"),
            ("fingerprint.data", "unstorable_text"),
        }
