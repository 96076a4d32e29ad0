"""Small posts: one statement stores them as COPY would, all or nothing, whatever happens beside."""

import json
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import numpy as np
import pytest
from django.db import OperationalError, connection, connections, transaction

from oversight.audit.models import AuditEvent, AuditPending
from oversight.lib import merkle
from oversight.tenancy.actors import system_actor
from scoring.core.scorers.cold_start_v1 import new_state
from scoring.models import InferenceRecord, IngestBatch, RecordPayload
from scoring.services import at_once, scorers
from scoring.services.ingest import ingest
from scoring.storage import copying, partitions
from tests.factories import make_project, make_record
from tests.sessions import Sessions, all_at_once


@pytest.fixture
def actor(transactional_db):
    project = make_project()
    scorers.current_version(project)
    return system_actor(project, "sender")


def send(actor, *records):
    return ingest(actor, slices=[json.dumps(record).encode() for record in records])


def statuses(outcome):
    return [result.status for result in outcome.results]


def varied(n):
    """Records that have, and have not, what a record may leave out; two models, odd texts."""
    rng = np.random.default_rng(5)
    records = []
    for i in range(n):
        record = make_record(i, output='say "\\u0001" \t ☃ \\ ' + "é" * i)
        record["external_id"] = f"r-{i} ☃\\"
        record["model"] = {"name": f"m{i % 2}", "version": "1"}
        record["context"] = {"region": "eu", "n": 2**53 - 1, "x": 0.1, "yes": True}
        record["signals"] = {"a": 1e-300, "b": -0.1 * i, "c": 1e300}
        if i % 3:
            record["fingerprint"] = (rng.normal(size=4) * 10.0 ** (5 * (i % 2))).tolist()
        if i % 2:
            record["consent"] = {"review": False, "training": True, "basis": "told"}
            record["input"] = [{"role": "user", "content": [{"type": "text", "text": "hi"}]}]
            record["conversation_id"], record["subject_id"] = f"c-{i}", f"s-{i}"
        records.append(record)
    return records


@pytest.fixture
def copies(monkeypatch):
    """The rows that COPY was given; none where one statement did."""
    given = []
    for name in ("store", "store_staged"):
        store = getattr(copying, name)
        monkeypatch.setattr(
            copying, name, lambda rows, store=store: given.append(rows.ids) or store(rows)
        )
    return given


def all_columns():
    """Both tables, but for what another batch has otherwise."""
    return [
        [
            {k: v for k, v in row.items() if k not in ("batch_id", "ingested_at")}
            for row in model.objects.order_by("id").values()
        ]
        for model in (InferenceRecord, RecordPayload)
    ]


def test_one_statement_stores_what_copy_would(actor, monkeypatch, copies):
    records = varied(12)
    send(actor, *varied(1), make_record(10**5))  # partitions, models
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE scoring_record, scoring_payload")
    copies.clear()
    first = send(actor, *records)
    assert statuses(first) == ["accepted"] * 12
    assert not copies
    stored = all_columns()
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE scoring_record, scoring_payload")
    monkeypatch.setattr(at_once, "MAX_RECORDS", 0)
    second = send(actor, *records)
    assert len(copies) == 1
    assert [result.decision for result in second.results] == [
        result.decision for result in first.results
    ]
    assert all_columns() == stored
    assert len(stored[0]) == len(stored[1]) == 12


def test_few_but_long_records_are_copied(actor, copies):
    send(actor, make_record(0))
    copies.clear()
    assert statuses(send(actor, make_record(1, output="x" * at_once.MAX_BYTES))) == ["accepted"]
    assert len(copies) == 1
    assert statuses(send(actor, make_record(2, output="x" * 1_000))) == ["accepted"]
    assert len(copies) == 1
    long = {"note": "x" * at_once.MAX_BYTES}
    assert statuses(send(actor, make_record(3, context=long))) == ["accepted"]
    assert len(copies) == 2


def check_batches(project):
    """Every batch tells of its own records, and the log of every batch, once."""
    key = bytes(project.hash_key)
    batches = list(IngestBatch.objects.filter(project=project))
    for batch in batches:
        rows = InferenceRecord.objects.filter(batch=batch).order_by("id")
        root = merkle.root([merkle.keyed(key, r.id.bytes + bytes(r.content_hash)) for r in rows])
        events = AuditEvent.objects.filter(object_type="ingest_batch", object_id=str(batch.pk))
        assert batch.n_records == len(rows) > 0
        assert bytes(batch.merkle_root) == root
        (event,) = events
        assert event.action == "records.ingested"
        assert event.detail == {"n_records": len(rows), "merkle_root": root.hex()}
        assert AuditPending.objects.filter(event=event, project=project).exists()
    stored = InferenceRecord.objects.of(project)
    assert stored.count() == sum(batch.n_records for batch in batches)
    assert set(stored.values_list("id")) == set(
        RecordPayload.objects.filter(id__in=stored.values("id")).values_list("id")
    )
    return batches


def test_what_is_stored_already_is_answered_as_the_first_time(actor):
    records = [make_record(i) for i in range(4)]
    first = send(actor, *records[:2])
    assert statuses(first) == ["accepted"] * 2
    InferenceRecord.objects.filter(pk=first.results[1].id).update(erased_at=datetime.now(UTC))
    again = send(
        actor,
        records[0],
        {**records[0], "output": "something else"},
        records[1],
        records[2],
        records[2],
        {**records[3], "signals": "none"},
    )
    assert statuses(again) == [
        "duplicate",
        "rejected",
        "rejected",
        "accepted",
        "duplicate",
        "rejected",
    ]
    assert again.results[0].decision == first.results[0].decision
    assert [result.errors[0].code for result in again.results[1:3]] == ["conflict", "erased"]
    assert again.results[4].decision == again.results[3].decision
    assert statuses(send(actor, records[0])) == ["duplicate"]
    assert statuses(send(actor, {**records[0], "input": "other"})) == ["rejected"]
    assert [batch.n_records for batch in check_batches(actor.project)] == [2, 1]


def test_a_scorer_released_elsewhere_decides_the_next_post(actor, copies):
    send(actor, make_record(0))
    before = scorers.assumed_version_id(actor.project)
    version = scorers.propose(actor_of_all(actor), state=new_state(records_needed=7), baseline={})
    with connection.cursor() as cursor:  # as another process would
        cursor.execute(
            "UPDATE scoring_scorer SET current_id = %s WHERE project_id = %s",
            [version.pk, actor.project.pk],
        )
    assert scorers.assumed_version_id(actor.project) == before != version.pk
    copies.clear()
    for i in (1, 2):
        (result,) = send(actor, make_record(i)).results
        assert result.decision.scorer_version == version.pk
        assert InferenceRecord.objects.get(pk=result.id).scorer_version_id == version.pk
        assert len(copies) == 1  # the first of the two found out
    check_batches(actor.project)


def actor_of_all(actor):
    return system_actor(actor.project, "operator")


def test_times_without_a_partition_and_posts_across_two(actor, copies):
    width = timedelta(days=partitions.settings.OVERSIGHT_PARTITION_DAYS)
    start = partitions.start_of(datetime.now(UTC) - 9 * width)
    partitions.forget()
    late = [
        make_record(i, occurred_at=(start + timedelta(seconds=s)).isoformat())
        for i, s in enumerate((-1, 1, 2))
    ]
    assert statuses(send(actor, late[1])) == ["accepted"]  # makes the partition
    assert statuses(send(actor, late[0], late[2])) == ["accepted"] * 2
    assert len(copies) == 2
    assert statuses(send(actor, make_record(3, occurred_at=late[2]["occurred_at"]))) == ["accepted"]
    assert len(copies) == 2
    check_batches(actor.project)


def await_waiting(n=1):
    """Until so many sessions wait for another, as PostgreSQL itself sees it; their ids."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT DISTINCT pid FROM pg_locks WHERE NOT granted")
            found = [row[0] for row in cursor.fetchall()]
        if len(found) >= n:
            return found
        time.sleep(0.01)
    raise AssertionError("nobody waits")


@pytest.mark.parametrize("commits", [True, False])
def test_who_meets_a_record_that_is_being_stored_waits_for_its_end(actor, commits):
    send(actor, make_record(9))
    record = make_record(0)
    with Sessions(1) as threads:
        transaction.set_autocommit(False)
        try:
            first = send(actor, record)
            other = threads.submit(send, actor, record, make_record(1))
            await_waiting()
            connection.commit() if commits else connection.rollback()
        finally:
            transaction.set_autocommit(True)
        second = other.result(60)
    assert statuses(first) == ["accepted"]
    assert statuses(second) == ["duplicate" if commits else "accepted", "accepted"]
    assert second.results[0].decision == first.results[0].decision
    assert InferenceRecord.objects.of(actor.project).count() == 3
    check_batches(actor.project)


@pytest.mark.parametrize("stored", [0, 1])
def test_equal_identities_in_one_batch_are_answered_by_what_another_stored(actor, stored):
    send(actor, make_record(9))
    record = make_record(0)
    contents = [record, {**record, "output": "other"}]
    with Sessions(1) as threads:
        transaction.set_autocommit(False)
        try:
            first = send(actor, contents[stored])
            other = threads.submit(send, actor, *contents, *contents, make_record(1))
            await_waiting()
            connection.commit()
        finally:
            transaction.set_autocommit(True)
        second = other.result(60)
    expected = ["rejected"] * 4 + ["accepted"]
    expected[stored] = expected[stored + 2] = "duplicate"
    assert statuses(second) == expected
    for result in second.results[:4]:
        if result.status == "duplicate":
            assert result.decision == first.results[0].decision
        else:
            assert [error.code for error in result.errors] == ["conflict"]
    check_batches(actor.project)


def test_small_and_large_batches_of_the_same_records_at_once_lose_and_double_nothing(actor):
    records = [make_record(i) for i in range(60)]
    send(actor, make_record(99))
    rng = np.random.default_rng(8)
    posts = [
        [records[i] for i in rng.permutation(60)[: 60 if k % 8 == 0 else rng.integers(1, 6)]]
        for k in range(80)
    ]

    def work(mine):
        return [send(actor, *post) for post in mine]

    shares = all_at_once(*[partial(work, posts[k::4]) for k in range(4)])
    outcomes = [outcome for share in shares for outcome in share]
    told = [result for outcome in outcomes for result in outcome.results]
    accepted = [result.key for result in told if result.status == "accepted"]
    assert {result.status for result in told} == {"accepted", "duplicate"}
    assert len(accepted) == len(set(accepted)) == 60
    assert InferenceRecord.objects.of(actor.project).count() == 61
    check_batches(actor.project)


def test_a_session_killed_within_the_statement_leaves_nothing(actor):
    send(actor, make_record(0))
    blocker = connections.create_connection("default")
    blocker.set_autocommit(False)
    try:
        blocker.cursor().execute("LOCK TABLE audit_auditpending IN SHARE MODE")
        with Sessions(1) as threads:
            cut_off = threads.submit(send, actor, make_record(1), make_record(2))
            (pid,) = await_waiting()
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_terminate_backend(%s, 5000)", [pid])
            with pytest.raises(OperationalError):
                cut_off.result(60)
    finally:
        blocker.rollback()
        blocker.close()
    assert InferenceRecord.objects.of(actor.project).count() == 1
    assert RecordPayload.objects.count() == 1
    assert len(check_batches(actor.project)) == 1
    assert statuses(send(actor, make_record(1), make_record(2))) == ["accepted"] * 2
