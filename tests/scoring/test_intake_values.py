"""How many values a record holds is known before any of them is an object."""

import tracemalloc

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib import errors
from scoring.intake import body, counting, decoding
from tests.factories import make_record

MANY = 300_000
CROWDED = {
    "numbers": {"fingerprint": [0.5] * MANY},
    "nested lists": {"fingerprint": [[]] * MANY},
    "signals": {"signals": {str(i): 0.5 for i in range(MANY)}},
    "context": {"context": {str(i): "," for i in range(MANY)}},
    "messages": {"input": [{"role": "user", "content": ""}] * MANY},
    "parts": {"input": [{"role": "user", "content": [{"type": "text", "text": ""}] * MANY}]},
}


def peak_bytes(act):
    tracemalloc.start()
    try:
        answer = act()
        return answer, tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", sorted(CROWDED))
def test_too_many_values_are_refused_before_they_are_objects(kind):
    raw = msgspec.json.encode(make_record(**CROWDED[kind]))
    (refused,), peak = peak_bytes(lambda: decoding.decode_batch([raw]))
    assert [(error.path, error.code) for error in refused.errors] == [("", "length")]
    survey_bytes = 40 * min(len(raw), 2**20)
    assert peak < 2 * len(raw) + survey_bytes
    with pytest.raises(errors.InvalidInput, match="100,000 values"):
        decoding.decode(raw)


@pytest.mark.parametrize("text", [", " * MANY, '\\",\n' * MANY, ',\\"\\\\' * MANY])
def test_commas_in_a_text_are_no_values(text):
    raw = msgspec.json.encode(make_record(input=text))
    (decoded,) = decoding.decode_batch([raw])
    assert decoded.input == text


@given(st.lists(st.text('a,"\\\n'), max_size=30), st.integers(0, 30))
def test_values_are_counted_by_the_commas_between_them(texts, n):
    raw = msgspec.json.encode([texts])
    assert (counting.find_comma(raw, n) >= 0) is (max(len(texts) - 1, 0) > n)


def test_what_never_ends_is_looked_at_once():
    raw = b'{"input": "' + rb"\"," * 2_000_000  # a second look at each quote would take hours
    assert counting.find_comma(raw, 100) == -1


@pytest.mark.parametrize("value", [b"0.5", b"[]", b"{}"])
def test_nor_are_they_made_where_a_body_is_no_json(value):
    crowded = b'{"fingerprint": [%s]}' % b",".join([value] * 2**20)
    sent = b'{"records": [NaN, ' + crowded + b", " + crowded + b"]}"

    def split():
        with pytest.raises(errors.InvalidInput) as refused:
            body.split(sent, body.JSON)
        return refused.value.errors

    (error,), peak = peak_bytes(split)
    assert (error.path, error.code) == ("", "not_json")
    assert peak < 6 * len(sent) + 24 * 2**20


@pytest.mark.parametrize("size", [10, 400_000, 3_000_000])
def test_what_is_no_json_is_cut_out_however_long_the_records_are(size):
    records = [b'{"a": "%s, \\"", "b": [%d,NaN]}' % (b"\xff" * size, i) for i in range(5)]
    assert body.split(b'{"records": [%s]}' % b" , ".join(records), body.JSON) == records
