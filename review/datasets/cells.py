"""Columns as the text of JSON Lines and CSV, byte for byte what Python's `json` and `csv` write.

Text is quoted once for each distinct value; everything is joined and repeated by Arrow.
"""

import math
from collections.abc import Callable
from json.encoder import encode_basestring
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

# What JSON escapes; what makes CSV quote a cell; what a spreadsheet takes for a formula.
_ESCAPED = r'["\\\x00-\x1f]'
_QUOTED = r'[",\r\n]'
_FORMULA_START = r"\A[=+\-@\t\r]"


def json_cells(column: pa.Array) -> pa.Array:
    """Each value as `codec.encode` writes it; NULL is null."""
    if pa.types.is_string(column.type):
        cells = distinctly(column, _quote_for_json)
    elif pa.types.is_timestamp(column.type):
        cells = _around('"', _words(column))
    else:
        cells = _words(column)
    return pc.fill_null(cells, "null")


def csv_cells(column: pa.Array) -> pa.Array:
    """Each value as `csv.writer` writes it, harmless to a spreadsheet; NULL is empty."""
    is_text = pa.types.is_string(column.type)
    cells = distinctly(column, _quote_for_csv) if is_text else _words(column)
    return pc.fill_null(cells, "")


def distinctly(column: pa.Array, of: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """`of` the distinct values, at the place of each; NULL stays NULL."""
    encoded = column.dictionary_encode()
    return of(encoded.dictionary).take(encoded.indices)


def _quote_for_json(texts: pa.Array) -> pa.Array:
    if pc.any(pc.match_substring_regex(texts, _ESCAPED)).as_py():
        return pa.array(map(encode_basestring, texts.to_pylist()), pa.string())
    return _around('"', texts)


def _quote_for_csv(texts: pa.Array) -> pa.Array:
    risky = pc.match_substring_regex(texts, _FORMULA_START)
    texts = pc.if_else(risky, pc.binary_join_element_wise("'", texts, ""), texts)
    quoted = _around('"', pc.replace_substring(texts, '"', '""'))
    return pc.if_else(pc.match_substring_regex(texts, _QUOTED), quoted, texts)


def _around(mark: str, texts: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(mark, texts, mark, "")


def _words(column: pa.Array) -> pa.Array:
    """Integers, numbers, booleans and times as text; NULL stays NULL."""
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_timestamp(column.type):
        return pc.strftime(column, format="%Y-%m-%dT%H:%M:%SZ")
    if pa.types.is_floating(column.type):
        return distinctly(column, _shortest)
    return column.cast(pa.string())


def _shortest(numbers: pa.Array) -> pa.Array:
    """Python's shortest form that reads back the same, which is not Arrow's."""
    values: list[Any] = numbers.to_pylist()
    if not all(map(math.isfinite, values)):
        raise ValueError("a number of the dataset is not finite")
    return pa.array(map(repr, values), pa.string())
