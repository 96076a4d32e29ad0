"""The text of the files against the standard library, which writes value by value."""

import csv
import hashlib
import io
from contextlib import closing
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib import codec
from oversight.lib.clock import rfc3339
from review.datasets.columns import Column
from review.datasets.reading import ARROW
from review.datasets.writers import GROUP_BYTES, open_writer

MAY_RUN = ("=", "+", "-", "@", "\t", "\r")
MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)).map(
    lambda moment: moment.replace(microsecond=moment.microsecond // 1000 * 1000)
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")) | st.text(
    '",\r\n\t=+-@\\\x01 é'
)
VALUES = {
    "text": TEXTS,
    "integer": st.integers(-(2**63), 2**63 - 1),
    "number": st.floats(allow_nan=False, allow_infinity=False),
    "boolean": st.booleans(),
    "time": MOMENTS,
}
COLUMNS = [Column(f"the_{name}", name, "") for name in VALUES]
ROWS = st.lists(
    st.fixed_dictionaries({f"the_{name}": st.none() | made for name, made in VALUES.items()})
)


def written(format_name, rows, folder):
    writer = open_writer(format_name, folder / "file", COLUMNS)
    schema = pa.schema([(column.name, ARROW[column.type]) for column in COLUMNS])
    with closing(writer):
        for start in range(0, len(rows), 3):
            writer.write(pa.RecordBatch.from_pylist(rows[start : start + 3], schema=schema))
    assert writer.n_rows == len(rows)
    data = (folder / "file").read_bytes()
    assert writer.file.n_bytes == len(data)
    assert writer.file.sha256 == hashlib.sha256(data).hexdigest()
    return data


def plain(value):
    return rfc3339(value) if isinstance(value, datetime) else value


@given(rows=ROWS)
def test_json_lines_are_those_of_the_codec(rows, tmp_path_factory):
    told = [{c.name: plain(row[c.name]) for c in COLUMNS} for row in rows]
    expected = b"".join(codec.encode(row) + b"\n" for row in told)
    assert written("jsonl", rows, tmp_path_factory.mktemp("jsonl")) == expected


def plain_cell(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str) and value.startswith(MAY_RUN):
        return f"'{value}"
    return plain(value)


@given(rows=ROWS)
def test_csv_is_that_of_the_standard_library(rows, tmp_path_factory):
    buffer = io.StringIO()
    lines = csv.writer(buffer, lineterminator="\r\n")
    lines.writerow(column.name for column in COLUMNS)
    lines.writerows([plain_cell(row[column.name]) for column in COLUMNS] for row in rows)
    assert written("csv", rows, tmp_path_factory.mktemp("csv")) == buffer.getvalue().encode()


@pytest.mark.parametrize("format_name", ["jsonl", "csv"])
@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_refused(format_name, number, tmp_path):
    row = dict.fromkeys((column.name for column in COLUMNS), None) | {"the_number": number}
    with pytest.raises(ValueError, match="not finite"):
        written(format_name, [row], tmp_path)


@given(
    row=st.fixed_dictionaries({f"the_{name}": st.none() | made for name, made in VALUES.items()}),
    n_rows=st.integers(1, 7),
)
def test_rows_that_are_all_the_same_are_written_as_any_others(row, n_rows, tmp_path_factory):
    line = codec.encode({c.name: plain(row[c.name]) for c in COLUMNS}) + b"\n"
    folder = tmp_path_factory.mktemp("same")
    assert written("jsonl", [row] * n_rows, folder) == line * n_rows


def test_zeros_of_both_signs_are_told_apart(tmp_path):
    empty = dict.fromkeys((column.name for column in COLUMNS), None)
    rows = [empty | {"the_number": number} for number in (0.0, -0.0)]
    assert b'"the_number":-0.0' in written("jsonl", rows, tmp_path).splitlines()[1]


def test_parquet_gathers_batches_into_row_groups(tmp_path):
    schema = pa.schema([(column.name, ARROW[column.type]) for column in COLUMNS])
    empty = dict.fromkeys((column.name for column in COLUMNS), None)
    rows = [empty | {"the_text": f"{n}" * 100_000} for n in range(10)]
    batch = pa.RecordBatch.from_pylist(rows, schema=schema)
    n_batches = 3 * (-(-GROUP_BYTES // batch.nbytes)) + 1
    with closing(open_writer("parquet", tmp_path / "file", COLUMNS)) as writer:
        for _ in range(n_batches):
            writer.write(batch)
    found = pq.ParquetFile(tmp_path / "file")
    assert found.num_row_groups == 4
    assert found.read().equals(pa.Table.from_batches([batch] * n_batches))
    assert writer.file.sha256 == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()
