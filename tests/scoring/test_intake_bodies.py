"""From a body to the slices of its records: all of them, of one list, and never too many."""

import json
import tracemalloc

import pytest

from oversight.lib import errors
from scoring.intake import body, decoding
from scoring.intake.body import JSON, MAX_RECORDS, NDJSON

ONE, OTHER = b'{"external_id": "a, ]}"}', b"[1, 2]"


@pytest.mark.parametrize(
    ("opening", "element", "closing", "kind"),
    [
        (b'{"records":[', b"1,", b"1]}", JSON),
        (b'{"records":[', b"{},", b"{}]}", JSON),
        (b"", b"11\n", b"", NDJSON),
    ],
)
def test_a_body_of_tiny_records_is_refused_before_they_are_made(opening, element, closing, kind):
    sent = opening + element * (2**22 // len(element)) + closing
    tracemalloc.start()
    try:
        with pytest.raises(errors.TooLarge):
            body.split(sent, kind)
        assert tracemalloc.get_traced_memory()[1] < len(sent)
    finally:
        tracemalloc.stop()


def test_lines_without_a_record_cost_nothing():
    sent = b"\n" * 2**20 + b"{}\r\n \n{}"
    tracemalloc.start()
    try:
        assert body.split(sent, NDJSON) == [b"{}\r\n", b"{}"]
        assert tracemalloc.get_traced_memory()[1] < 2**19
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("size", [2, 100])  # shorter and longer than what is read with more care
@pytest.mark.parametrize("kind", [JSON, NDJSON])
def test_as_many_records_as_allowed_and_not_one_more(size, kind):
    def sent(n):
        elements = [b'"%s"' % (b"%d" % i).rjust(size, b".") for i in range(n)]
        return (
            b"\n".join(elements) if kind == NDJSON else b'{"records":[%s]}' % b",".join(elements)
        ), elements

    whole, elements = sent(MAX_RECORDS)
    assert [raw.strip() for raw in body.split(whole, kind)] == elements
    with pytest.raises(errors.TooLarge):
        body.split(sent(MAX_RECORDS + 1)[0], kind)


@pytest.mark.parametrize("padding", [0, 2**18])
@pytest.mark.parametrize(
    "text",
    [
        b'{"records":[A,B]}',
        b'{"records": [A, B]}',
        b' {\n"records"\t: [\r\n  A ,\n  B\n ] } \n',
        b'{"\\u0072ecords":[A,B]}',
    ],
)
def test_records_are_cut_out_however_they_are_set(text, padding):
    first = b'{"b": "%s"}' % (b"x" * padding)
    sent = text.replace(b"A", first).replace(b"B", OTHER)
    assert body.split(sent, JSON) == [first, OTHER]


@pytest.mark.parametrize("padding", [0, 2**18])
@pytest.mark.parametrize(
    "text",
    [
        b'{"records":[A],"records":[B]}',
        b'{"records":[A],"records":[A]}',
        b'{"records":[A, B],"records":[A]}',
        b'{"records":[A],"records":[A, B]}',
        b'{"records": [], "records": [A]}',
        b'{"records":[A],"\\u0072ecords":[B]}',
        b'{"records":[A],"records":[B],"records":[A]}',
    ],
)
def test_a_second_list_is_refused_and_not_taken_for_the_first(text, padding):
    sent = text.replace(b"A", ONE).replace(b"B", OTHER) + b" " * padding
    json.loads(sent)
    with pytest.raises(errors.InvalidInput) as refused:
        body.split(sent, JSON)
    (error,) = refused.value.errors
    assert (error.path, error.code) == ("records", "duplicate_key")


def test_long_settings_of_decoders_are_not_kept():
    def decode(length):
        settings = b'{"stop": "%s"}' % (b"x" * length)
        return decoding._normal(settings), decoding._kept.cache_info().currsize

    (n_keys, settings), before = decode(decoding._KEPT_DECODER_BYTES)
    assert (n_keys, bytes(settings)[:8]) == (1, b'{"stop":')
    assert decode(decoding.MAX_DECODER_BYTES)[1] == before
    assert decode(3)[1] == before + 1
