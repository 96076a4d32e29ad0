"""The product's way of drawing: exact probabilities, tilts, one draw for two schedulers."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
from django.db import transaction

from oversight.tenancy.actors import system_actor
from review.beliefs.moments import ColdStart
from review.models import CaseEvidence, SamplingRound
from review.services import bases, draws, rounds, schedule, verification
from review.strata import candidate_rule
from scoring.columns import SEGMENT, SIGNAL, TERM, Column, Described, table
from scoring.models import InferenceRecord, RecordPayload
from scoring.selectors import candidates
from scoring.services import fitting, scorers, windows
from scoring.storage import fixed_rows, spool
from tests.factories import make_api, make_project, make_record
from tests.sessions import all_at_once


@dataclass(frozen=True)
class Moved:
    name: str
    value: str
    model_version: int | None = None
    severity: float = 1.0


def chunk_of(scores, marks=None):
    n = len(scores)
    return candidates.Chunk(
        ids=[bytes([i + 1]) * 16 for i in range(n)],
        score=np.asarray(scores, float),
        raw=np.asarray(scores, float),
        weight=np.ones(n),
        scorer_version=np.full(n, 7),
        table=np.empty((n, 0)) if marks is None else np.asarray(marks, float)[:, None],
        fingerprint=None,
        is_wide=np.zeros(n, bool),
    )


def design(seed, **changes):
    told = {
        "stratum": "stream", "budget": 2, "tau": None, "effective_size": 1.2, "floor": 0.3,
        "strategy": "hybrid_v1", "base_rate": 0.05, "scorer_version": 7, "project": 1,
    }  # fmt: skip
    return draws.Design(seed=seed, **{**told, **changes})


@pytest.mark.django_db
@pytest.mark.parametrize("shifts", [(), ({"name": "", "value": "", "model_version": None,
                                          "factor": 3.0},)])  # fmt: skip
def test_the_products_draw_is_exact(shifts):
    """E[1{i in S}/q_i] = 1 for every candidate, tilted or not."""
    scores, marks = [0.1, 0.9, 0.5, 0.3, 0.7, 0.2], [0, 1, 0, 0, 1, 1]
    n_rounds, total, squares = 400, np.zeros(6), np.zeros(6)
    for number in range(n_rounds):
        chunk = chunk_of(scores, marks if shifts else None)
        made = draws.draw([chunk], ColdStart(), design(number.to_bytes(4, "big"), shifts=shifts))
        weights = 1.0 / made.draw.inclusion_probabilities
        total[made.draw.selected] += weights
        squares[made.draw.selected] += weights**2
    mean = total / n_rounds
    error = np.sqrt((squares / n_rounds - mean**2) / n_rounds)
    assert (np.abs(mean - 1.0) < 4.0 * error).all()


def test_a_segment_that_drifts_gets_a_larger_share_and_the_draw_verifies(owner, queue, send):
    send([make_record(i, context={"place": "north" if i % 5 == 0 else "south"})
          for i in range(400)])  # fmt: skip
    window = windows.close_window(owner)
    queue.floor = 0.05
    moved = bases.boosts([Moved("place", "north")])
    assert moved[0]["factor"] == bases.LARGEST_BOOST
    north = []
    for shifts in ([], moved):
        basis = bases.for_draw(owner, queue=queue)
        found = []
        for number in range(30):
            made = draws.Design(
                seed=bytes([number]), stratum="stream", budget=40, tau=None, effective_size=2.0,
                floor=0.05, strategy="hybrid_v1", base_rate=0.05,
                scorer_version=basis.scorer_version.pk, project=queue.project_id, shifts=shifts,
            )  # fmt: skip
            rule = candidate_rule(queue, "stream")
            drawn = draws.draw(draws.source(window, rule, basis.belief, made), basis.belief, made)
            found.append((drawn.boost > 1).sum() if shifts else _north(drawn.ids))
        north.append(np.mean(found))
    assert north[0] == pytest.approx(8, abs=2)
    assert north[1] == pytest.approx(20, abs=4)  # odds of 1/4 times 4 make a half


def _north(ids):
    rows = InferenceRecord.objects.filter(pk__in=[_uuid(one) for one in ids])
    return rows.filter(context__place="north").count()


def _uuid(raw):
    return bytes(raw).hex()


def test_a_round_keeps_the_shifts_it_was_drawn_with(owner, queue, send):
    send([make_record(i, context={"place": "north" if i % 5 == 0 else "south"}) for i in range(60)])
    window = windows.close_window(owner)
    drawn = rounds.draw_window(
        owner, queue=queue, window=window, budget=10, shifts=[Moved("place", "north", None, 0.5)]
    )
    assert drawn[0].shifts[0]["name"] == "place"
    assert {one.boost for one in drawn[0].selections.all()} <= {1.0, 2.5}
    assert {verification.verify_round(made).outcome for made in drawn} == {"full"}


def test_records_of_an_earlier_scorer_are_scored_by_the_rounds(owner, queue, send):
    send([make_record(i) for i in range(400)])
    fitted = scorers_of_kind(owner)
    assert InferenceRecord.objects.filter(score__gt=0).count() == 0
    drawn = rounds.run(owner, queue=queue, budget=20)
    assert drawn[0].scorer_version == fitted
    assert len({one.bald for one in drawn[0].selections.all()}) > 1
    assert {verification.verify_round(made).outcome for made in drawn} == {"full"}


def scorers_of_kind(owner):
    return scorers.release(owner, version=fitting.fit(owner, kind="percentile"))


def test_columns_say_the_same_in_sql_and_in_python(owner, queue, send):
    send([make_record(i, context={"place": "north" if i % 2 else "south", "minor": i % 3 == 0})
          for i in range(30)])  # fmt: skip
    window = windows.close_window(owner)
    version = InferenceRecord.objects.first().model_version_id
    told_why = RecordPayload.objects.filter(
        pk__in=InferenceRecord.objects.filter(context__minor=True).values("pk")
    )
    assert told_why.update(
        reasons=[
            {"name": "toxicity", "kind": "signal", "contribution": 0.5, "detail": ""},
            {"name": "nearest", "kind": "detector", "contribution": -1.25, "detail": "near"},
        ]
    ) == 10  # fmt: skip
    asked = (
        Column(TERM, "nearest", "detector"),
        Column(TERM, "toxicity", "detector"),
        Column(SIGNAL, "toxicity"),
        Column(SIGNAL, "none"),
        Column(SEGMENT, "place", "north"),
        Column(SEGMENT, "minor", "true"),
        Column(SEGMENT, "region", ""),
        Column(SEGMENT, "", "", version),
        Column(SEGMENT, "place", "north", version + 1),
    )
    rule = candidate_rule(queue, "stream")
    (chunk,) = candidates.stream(window, rule, candidates.Wanted(asked))
    rows = InferenceRecord.objects.in_bulk([_uuid(one) for one in chunk.ids])
    why = dict(RecordPayload.objects.filter(pk__in=rows).values_list("pk", "reasons"))
    told = table(
        asked,
        [
            Described(row.model_version_id, row.region, row.context, row.signals, why[row.pk])
            for row in (rows[key] for key in sorted(rows))
        ],
    )
    assert set(told[np.isfinite(told[:, 0]), 0]) == {-1.25}
    np.testing.assert_array_equal(chunk.table, told)


def test_rows_come_in_chunks_and_uneven_ones_are_refused(db):
    query = "SELECT i::float8 FROM generate_series(1, 10) i"
    for size in (1, 3, 10, 11):
        parts = list(fixed_rows.read(query, [], {"i": ">f8"}, chunk_rows=size))
        assert np.concatenate([part["i"] for part in parts]).tolist() == list(range(1, 11))
    assert list(fixed_rows.read(f"{query} WHERE false", [], {"i": ">f8"})) == []
    with pytest.raises(fixed_rows.UnevenRowsError), transaction.atomic():
        list(fixed_rows.read("SELECT NULLIF(i, 2)::float8 FROM generate_series(1, 3) i", [],
                             {"i": ">f8"}))  # fmt: skip


def test_a_column_on_disk():
    column = spool.Column("<f8")
    column.append(np.arange(5.0))
    column.append(np.arange(5.0, 9.0))
    column.put(np.array([1, 3]), np.array([10.0, 30.0]))
    assert next(column.chunks()).tolist() == [0, 10, 2, 30, 4, 5, 6, 7, 8]
    assert column.at(np.array([8, 0])).tolist() == [8, 0]
    assert len(column) == 9
    column.close()


@pytest.mark.django_db(transaction=True)
def test_two_schedulers_draw_a_window_once():
    project = make_project()
    make_api(project).post("records", {"records": [make_record(i) for i in range(60)]})
    actor = system_actor(project, "schedule")
    windows.close_window(actor)
    all_at_once(*[partial(schedule.draw_missing, actor)] * 2)
    schedule.draw_missing(actor)
    strata = list(SamplingRound.objects.filter(project=project).values_list("stratum", flat=True))
    assert len(strata) == len(set(strata)) >= 1
    drawn = CaseEvidence.objects.filter(project=project).count()
    assert drawn == sum(made.n_selected for made in SamplingRound.objects.filter(project=project))
