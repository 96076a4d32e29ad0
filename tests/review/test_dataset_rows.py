"""Whole columns against one row after the other, for rows of every sort."""

import json
import math
from collections import Counter
from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.tenancy.models import Project
from review.datasets import reading, selection, snapshot
from review.datasets.columns import CALIBRATION, CLASSIFICATION, EVALUATION_KIND, RAW, columns_of
from review.datasets.labels import Form, Labels
from review.datasets.rows import RowMaker
from review.datasets.selection import CONTENT_PATHS, PATHS, RESOLUTION_PATHS, VERDICT_PATHS
from review.models import CaseEvidence, DatasetVersion, Question, VerdictNote
from review.selectors.finished_rounds import FinishedRound
from review.services import rounds
from tests.judging import judge
from tests.review import dataset_oracle

JSON_COLUMNS = ("answers", "first", "resolution", "clause_hashes", "texts")
SOME_TEXT = st.sampled_from(["", "plain", 'say "so",\nplease', "é", "None", "\\N"])
MOMENT = st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1), timezones=st.just(UTC))
SHARE = st.floats(0.01, 1.0)
ANSWERS = st.fixed_dictionaries(
    {}, optional={"harmful": st.booleans(), "b": st.integers(0, 3), "ä": st.just(0.5)}
)
FORM = st.integers(1, 3)


def finished(number, prefix, omega, later):
    return FinishedRound(
        **{"round_id": number, "window_id": 1, "stratum": "stream", "number": number},
        **{"n_candidates": 50, "n_selected": 10, "tau": 3.0, "log_normalizer": 1.5},
        **{"floor_hazard": 0.01, "end": 10, "prefix": prefix, "omega": omega, "later": later},
        threshold=-math.inf if prefix == 10 else -2.0,
        threshold_exponential=0.7,
    )


DRAWS = {1: finished(1, 10, 0.25, 0.75), 2: finished(2, 4, 0.75, 0.0)}
DRAWN = st.fixed_dictionaries(
    {
        "round_id": st.sampled_from([1, 2]),
        "position": st.integers(0, 9),
        "gain": st.floats(0.0, 1.0),
        "inclusion_probability": SHARE,
        "round_stratum": st.sampled_from(["stream", "evaluation"]),
        "case_kind": st.just("sampled"),
    }
)
CHOSEN = st.fixed_dictionaries(
    {
        **dict.fromkeys(
            ("round_id", "position", "gain", "inclusion_probability", "round_stratum"), st.none()
        ),
        "case_kind": st.sampled_from(["escalated", "gold"]),
    }
)
EVERY = {
    "record_id": st.uuids().map(str),
    "external_id": SOME_TEXT,
    "occurred_at": MOMENT,
    "score": SHARE,
    "tier": st.integers(0, 4),
    "p_violation": st.none() | SHARE,
    "held_out": st.booleans(),
    "may_train": st.booleans(),
    "consent_basis": st.sampled_from(["", "contract"]),
    "erased_at": st.sampled_from([None, None, None, "2026-01-01"]),
    "raw_score": st.floats(-9, 9),
    "model_name": st.sampled_from(["a", "b"]),
    "model_version": st.sampled_from(["1", "2"]),
    "scorer": st.just("anomaly"),
    "scorer_version": st.integers(1, 2),
    "case_id": st.uuids().map(str),
    "is_certain_too": st.booleans(),
    "form": FORM,
    "answers": ANSWERS,
    "violation": st.none() | st.booleans(),
}
RESOLVED = {
    "label_rule": st.sampled_from(["single", "majority", "tie"]),
    "n_verdicts": st.integers(1, 5),
    "agreement": st.none() | SHARE,
    "first": st.none()
    | st.fixed_dictionaries(
        {"violation": st.none() | st.booleans(), "answers": ANSWERS, "form": FORM}
    ),
}
CONTENT = {"input": SOME_TEXT, "output": SOME_TEXT}
RESOLUTION = st.none() | st.fixed_dictionaries(
    {
        "n_verdicts": st.integers(1, 3),
        "agreement": st.none() | SHARE,
        "n_counted": st.integers(1, 3),
        "is_counted": st.booleans(),
    }
)
VERDICT = {
    "verdict_id": st.uuids().map(str),
    "supersedes": st.none() | st.uuids().map(str),
    "reviewer_id": st.sampled_from([None, "1", "2"]),
    "ai_rater": st.sampled_from(["", "", "robot"]),
    "is_blind": st.booleans(),
    "clause_hashes": st.sampled_from([{}, {"harmful": {"b": "2", "a": "1"}}]),
    "seconds": st.none() | SHARE,
    "created_at": MOMENT,
    "note": st.none() | SOME_TEXT,
    "texts": st.sampled_from([None, {}, {"why": "so", "a": [{"start": 0}]}]),
    "note_erased_at": st.sampled_from([None, None, "2026-01-01"]),
    "is_superseded": st.booleans(),
    "resolution": RESOLUTION,
}
SORTS = {
    RAW: ({**PATHS, **VERDICT_PATHS}, VERDICT),
    CALIBRATION: ({**PATHS, **RESOLUTION_PATHS}, RESOLVED),
    CLASSIFICATION: ({**PATHS, **RESOLUTION_PATHS, **CONTENT_PATHS}, {**RESOLVED, **CONTENT}),
    EVALUATION_KIND: ({**PATHS, **RESOLUTION_PATHS, **CONTENT_PATHS}, {**RESOLVED, **CONTENT}),
}


def labels_of(label_type):
    harmful = Question(key="harmful", kind="boolean", violation={"in": [True]})
    forms = {
        n: Form(
            "rubric", n, f"digest {n}", "policy", 10 + n, harmful if n > 1 else None, {"c": "d"}
        )
        for n in (1, 2, 3)
    }
    asked = "harmful" if label_type == "number" else ""
    return Labels(asked, label_type, forms, frozenset([2]))


@pytest.mark.parametrize("label_type", ["integer", "number"])
@pytest.mark.parametrize("rule", ["adjudicated", "single"])
@pytest.mark.parametrize("kind", SORTS)
@given(data=st.data())
def test_columns_say_what_rows_say(kind, rule, label_type, data):
    paths, own = SORTS[kind]
    one = st.tuples(DRAWN | CHOSEN, st.fixed_dictionaries({**EVERY, **own}))
    read = [{**drawn, **rest} for drawn, rest in data.draw(st.lists(one, max_size=12))]
    read.sort(key=lambda row: row["round_id"] or 9)
    dataset = DatasetVersion(project=Project(hash_key=b"key"), kind=kind, label_rule=rule)
    labels, emptied = labels_of(label_type), Counter()
    reasons = [dataset_oracle.withheld(dataset, row) for row in read]
    expected = [
        dataset_oracle.make_row(dataset, labels, DRAWS, row, emptied)
        for row, reason in zip(read, reasons, strict=True)
        if reason is None
    ]
    maker = RowMaker(dataset, labels, DRAWS, columns_of(kind, labels.type))
    made = [row for start in (0, 5) for row in _made(maker, paths, read[start : start + 5])]
    made += _made(maker, paths, read[10:])
    assert len(made) == len(expected)
    for row, wanted in zip(made, expected, strict=True):
        weight = row.pop("weight")
        assert weight == pytest.approx(wanted["weight"], rel=1e-12)
        assert row == {name: _to_milliseconds(wanted[name]) for name in row}
    tally = vars(maker.tally)
    assert tally["withheld"] == Counter(reason for reason in reasons if reason)
    assert +tally["emptied"] == +emptied
    for name, value in dataset_oracle.tally_of(expected, labels).items():
        assert tally[name] == (pytest.approx(value) if name == "weight_sum" else value), name


def _made(maker, paths, rows):
    told = [
        {
            name: json.dumps(value) if name in JSON_COLUMNS and value is not None else value
            for name, value in row.items()
        }
        for row in rows
    ]
    schema = pa.schema(reading.read_types(paths).items())
    return maker.make(pa.RecordBatch.from_pylist(told, schema=schema)).to_pylist()


def _to_milliseconds(value):
    if isinstance(value, datetime):
        return value.replace(microsecond=value.microsecond // 1000 * 1000)
    return value


@pytest.mark.django_db(transaction=True)
def test_copy_reads_what_the_cursor_reads(api, owner, queue, send, monkeypatch):
    """Every cell of every path, with all that a text may hold, over batches of three rows."""
    send(30)
    rounds.run(owner, queue=queue, budget=12)
    judge(api, queue)
    texts = ["", '"', '""', "a,b", "x\ny", "\r\n", "\\N", "\\.", "NULL", "t", "é\t", " ", "null"]
    for text, evidence in zip(texts, CaseEvidence.objects.order_by("pk"), strict=False):
        CaseEvidence.objects.filter(pk=evidence.pk).update(input=text, consent_basis=text)
    for text, note in zip(texts, VerdictNote.objects.order_by("pk"), strict=False):
        VerdictNote.objects.filter(pk=note.pk).update(note=text, texts={"why": text})
    monkeypatch.setattr(reading, "BATCH_ROWS", 3)
    for kind in SORTS:
        dataset = DatasetVersion(project=queue.project, queue=queue, kind=kind, filters={})
        found, paths = selection.rows_of(dataset)
        with snapshot.take() as moment:
            wanted = list(moment.rows(found, *paths.values()))
            read = [r for b in reading.batches(moment, found, paths) for r in b.to_pylist()]
        assert len(read) == len(wanted)
        assert len(read) > 6 or kind == EVALUATION_KIND
        for row, by_path in zip(read, wanted, strict=True):
            for name, path in paths.items():
                assert _same(row[name], by_path[path], name), (name, row[name], by_path[path])


def _same(cell, value, name):
    if name in JSON_COLUMNS and cell is not None:
        return json.loads(cell) == value
    if isinstance(cell, str) and not isinstance(value, str):
        return cell == str(value)
    return cell == value


@pytest.mark.django_db(transaction=True)
def test_leaving_a_copy_halfway_ends_it(api, owner, queue, send, monkeypatch):
    send(20)
    rounds.run(owner, queue=queue, budget=8)
    judge(api, queue)
    monkeypatch.setattr(reading, "BATCH_ROWS", 2)
    dataset = DatasetVersion(project=queue.project, queue=queue, kind=RAW, filters={})
    found, paths = selection.rows_of(dataset)
    with snapshot.take() as moment:
        read = reading.batches(moment, found, paths)
        assert next(read).num_rows == 2
        read.close()
    with snapshot.take() as moment:
        n_rows = sum(batch.num_rows for batch in reading.batches(moment, found, paths))
    assert n_rows == len(list(found))
    assert n_rows > 2
