"""Columns as the text of JSON Lines and CSV, byte for byte what Python's `json` and `csv` write.

A column comes as pieces that stand one after the other in each row: an array of texts, or one text
that is the same in every row of the batch, which costs nothing by the row.
"""

import math
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

# What a spreadsheet takes for a formula.
_FORMULA_START = r"\A[=+\-@\t\r]"
# Between these Arrow writes a number as Python does, but for the point of a whole one.
_LEAST, _MOST = 1e-4, 1e9

Pieces = list[str | pa.Array]


def json_pieces(column: pa.Array) -> Pieces:
    """Each value as `codec.encode` writes it; NULL is null."""
    if is_constant(column):
        return ["".join(map(_only, _json_pieces(column[:1])))]
    return _json_pieces(column)


def csv_pieces(column: pa.Array) -> Pieces:
    """Each value as `csv.writer` writes it, harmless to a spreadsheet; NULL is empty."""
    if is_constant(column):
        return ["".join(map(_only, _csv_pieces(column[:1])))]
    return _csv_pieces(column)


def is_constant(column: pa.Array) -> bool:
    """Whether a column says the same in every row, to the last bit."""
    if column.null_count:
        return bool(column.null_count == len(column))
    if pa.types.is_string(column.type):
        ends, text = _ends(column), _bytes(column)
        size = ends[1] - ends[0]
        # All of one length, and all equal to the one before.
        same_size = bool((np.diff(ends) == size).all())
        return same_size and np.array_equal(text[size:], text[: len(text) - size])
    if pa.types.is_boolean(column.type):
        return column.true_count in (0, len(column))
    bits = column.view(pa.int64())  # not as numbers: 0.0 equals -0.0
    return bool(pc.all(pc.equal(bits, bits[0])).as_py())


def _json_pieces(column: pa.Array) -> Pieces:
    if pa.types.is_string(column.type):
        if _holds(column, b'"\\', controls=True):
            return [pc.fill_null(_distinctly(column, _quote_for_json), "null")]
    elif not pa.types.is_timestamp(column.type):
        return [pc.fill_null(_words(column), "null")]
    else:
        column = _words(column)
    if column.null_count:
        return [pc.fill_null(_around('"', column), "null")]
    return ['"', column, '"']


def _csv_pieces(column: pa.Array) -> Pieces:
    cells = column
    if not pa.types.is_string(column.type):
        cells = _words(column)
    elif _holds(column, b'",\r\n') or pc.any(_may_run(column)).as_py():
        cells = _distinctly(column, _quote_for_csv)
    return [pc.fill_null(cells, "")]


def _holds(texts: pa.Array, marks: bytes, *, controls: bool = False) -> bool:
    """Whether any text holds one of the marks, or a control character."""
    text = _bytes(texts)
    if controls and len(text) and text.min() < ord(" "):
        return True
    together = text.tobytes()
    return any(mark in together for mark in marks)


def _ends(texts: pa.Array) -> Any:
    """Where each text begins in the buffer, and where the last ends: int32, (n + 1,)."""
    return np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]


def _bytes(texts: pa.Array) -> Any:
    """The bytes of all texts, one after the other, uncopied: uint8."""
    ends, buffer = _ends(texts), texts.buffers()[2]
    if buffer is None or not len(texts):
        return np.empty(0, np.uint8)
    return np.frombuffer(buffer, np.uint8)[ends[0] : ends[-1]]


def _only(piece: str | pa.Array) -> str:
    return piece if isinstance(piece, str) else str(piece[0].as_py())


def _distinctly(column: pa.Array, of: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`of` the distinct values, at the place of each; NULL stays NULL."""
    encoded = column.dictionary_encode()
    return of(encoded.dictionary).take(encoded.indices)


def _quote_for_json(texts: pa.Array) -> pa.Array:
    return pa.array(map(encode_basestring, texts.to_pylist()), pa.string())


def _quote_for_csv(texts: pa.Array) -> pa.Array:
    texts = pc.if_else(_may_run(texts), pc.binary_join_element_wise("'", texts, ""), texts)
    quoted = _around('"', pc.replace_substring(texts, '"', '""'))
    return pc.if_else(pc.match_substring_regex(texts, r'[",\r\n]'), quoted, texts)


def _may_run(texts: pa.Array) -> pa.Array:
    return pc.match_substring_regex(texts, _FORMULA_START)


def _around(mark: str, texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(mark, texts, mark, "")


def _words(column: pa.Array) -> pa.Array:
    """Integers, numbers, booleans and times as text; NULL stays NULL."""
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_timestamp(column.type):
        # Without its zone, which is UTC: Arrow looks a zone up for every value.
        moments = column.cast(pa.timestamp("ms")).cast(pa.string())
        return pc.binary_join_element_wise(pc.binary_replace_slice(moments, 10, 11, "T"), "Z", "")
    if pa.types.is_floating(column.type):
        return _shortest(column)
    return column.cast(pa.string())


def _shortest(numbers: pa.Array) -> pa.Array:
    """Python's shortest form that reads back the same: Arrow's, but for points and exponents."""
    texts = numbers.cast(pa.string())
    is_whole = pc.equal(pc.floor(numbers), numbers)
    texts = pc.if_else(is_whole, pc.binary_join_element_wise(texts, ".0", ""), texts)
    size = pc.abs(numbers)
    is_alike = pc.and_(pc.less(size, _MOST), pc.or_(pc.equal(size, 0), pc.greater(size, _LEAST)))
    others = pc.fill_null(pc.invert(is_alike), False)
    values: list[float] = numbers.filter(others).to_pylist()
    if not all(map(math.isfinite, values)):
        raise ValueError("a number of the dataset is not finite")
    if not values:
        return texts
    return pc.replace_with_mask(texts, others, pa.array(map(repr, values), pa.string()))
