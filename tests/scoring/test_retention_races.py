"""Retention beside ingest, readers and itself: what was acknowledged stays, and nobody fails."""

import json
import logging
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from oversight.audit.models import AuditEvent
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from scoring.models import InferenceRecord
from scoring.services import at_once, retention, scorers
from scoring.services.ingest import ingest
from scoring.storage import partitions
from tests.factories import make_project, make_record
from tests.retaining import drop_old_partitions
from tests.scoring.test_small_posts import await_waiting
from tests.sessions import Sessions

NOW = datetime.now(UTC)
OLD = partitions.start_of(NOW - timedelta(days=60)) + timedelta(days=1)  # all of it in one
SMALL, LARGE = 2, at_once.MAX_RECORDS + 1
SIZES = pytest.mark.parametrize("n", [SMALL, LARGE])


@pytest.fixture
def short(transactional_db):
    """Somebody whose project keeps records for 30 days."""
    return sender(retention_days=30)


@pytest.fixture
def long(transactional_db):
    """Somebody whose project keeps records for 400 days."""
    return sender(retention_days=400)


@pytest.fixture(autouse=True)
def _no_old_partitions(transactional_db):
    drop_old_partitions()
    yield
    drop_old_partitions()


def sender(retention_days):
    project = make_project()
    Project.objects.filter(pk=project.pk).update(retention_days=retention_days)
    project.refresh_from_db()
    scorers.current_version(project)
    return system_actor(project, "sender")


def send(actor, n, moment=OLD):
    """So many records of about a moment; all are acknowledged."""
    records = [
        make_record(i, occurred_at=(moment + timedelta(seconds=i)).isoformat()) for i in range(n)
    ]
    outcome = ingest(actor, slices=[json.dumps(record).encode() for record in records])
    assert outcome.accepted == n, outcome.results


def send_what_has_expired(actor, n, moment=OLD):
    """Records from before the project's retention, as if it had been shortened since."""
    kept = actor.project.retention_days
    actor.project.retention_days = 400
    send(actor, n, moment)
    actor.project.retention_days = kept


def n_left(actor):
    return InferenceRecord.objects.of(actor.project).count()


def is_there(moment=OLD):
    return partitions.start_of(moment) in {one.start for one in partitions.begun_before(NOW)}


def during(work, beside):
    """Do `work` in a transaction, and end it once `beside`, in another session, waits for it."""
    with Sessions(1) as threads:
        with transaction.atomic():
            done = work()
            other = threads.submit(beside)
            await_waiting()
        return done, other.result(60)


@SIZES
@pytest.mark.parametrize("is_shared", [True, False])
def test_what_another_project_commits_meanwhile_stays(short, long, n, is_shared):
    partitions.ensure([OLD])
    if is_shared:
        send_what_has_expired(short, 3)
    _, removed = during(lambda: send(long, n), lambda: retention.enforce(NOW))
    assert removed.n_partitions == 0
    assert n_left(long) == n
    retention.enforce(NOW)
    assert (n_left(short), n_left(long)) == (0, n)


@SIZES
def test_records_that_meet_a_drop_come_in_after_it(short, long, n):
    send_what_has_expired(short, 3)
    removed, _ = during(lambda: retention.enforce(NOW), lambda: send(long, n))
    assert removed == retention.Removed(n_partitions=1)
    assert (n_left(short), n_left(long)) == (0, n)


@SIZES
def test_a_process_that_knew_a_partition_before_its_drop_makes_it_again(short, long, n):
    send_what_has_expired(short, 3)
    partitions._known.add(f"{partitions.start_of(OLD):%Y%m%d}")  # since the week it was current
    assert retention.enforce(NOW).n_partitions == 1
    send(long, n)
    assert n_left(long) == n


def test_a_drop_between_looking_and_writing_is_made_good(short, long, monkeypatch):
    partitions.ensure([OLD])
    ensure, dropped = partitions.ensure, []

    def then_dropped(moments):
        ensure(moments)
        if not dropped:
            with Sessions(1) as threads:
                other = threads.submit(retention.enforce, NOW)
                dropped.append(other.result(60).n_partitions)

    monkeypatch.setattr(partitions, "ensure", then_dropped)
    send(long, LARGE)
    assert dropped == [1]
    assert n_left(long) == LARGE


def test_two_runs_at_once_remove_a_partition_once(short):
    send_what_has_expired(short, 3)

    def enforce():
        return retention.enforce(NOW)

    both = during(enforce, enforce)
    assert both == (retention.Removed(n_partitions=1), retention.Removed())
    assert AuditEvent.objects.filter(action="records.expired").count() == 1


def test_a_run_whose_partition_another_drops_deletes_the_rest(short, long):
    send_what_has_expired(short, 3)
    send(long, 3, OLD + timedelta(days=14))
    send_what_has_expired(short, 2, OLD + timedelta(days=14))

    def drop():
        partition = partitions.Partition(partitions.start_of(OLD))
        partitions.lock(partition)
        partitions.drop(partition)

    _, removed = during(drop, lambda: retention.enforce(NOW))
    assert removed == retention.Removed(n_rows=2)
    assert not is_there()
    assert n_left(long) == 3


def test_a_long_reader_makes_ingest_wait_once_a_run(short, long, caplog):
    for weeks in range(3):
        send_what_has_expired(short, 1, OLD + timedelta(weeks=weeks))
    reader = connection.copy()
    try:
        with reader.cursor() as cursor, caplog.at_level(logging.WARNING, retention.__name__):
            cursor.execute("BEGIN")
            cursor.execute("SELECT count(*) FROM scoring_record")
            assert retention.enforce(NOW) == retention.Removed()
            cursor.execute("ROLLBACK")
    finally:
        reader.close()
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert retention.enforce(NOW).n_partitions == 3


FILL = """
INSERT INTO {table}
SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0')
        || '8' || substr(md5(random()::text), 1, 19))::uuid,
    %s, batch_id, model_version_id, scorer_version_id, external_id, moment, ingested_at, region,
    context, signals, raw, score, p_violation, weight, tier, action, held_out, may_review,
    may_train, consent_basis, conversation_id, subject_id, group_hash, content_hash, NULL
FROM (SELECT * FROM {table} LIMIT 1) one,
    generate_series(%s::timestamptz, %s::timestamptz, %s / 10000) moment
"""


@pytest.mark.parametrize("is_vacuumed", [True, False])
def test_a_run_with_nothing_to_do_reads_a_few_pages_however_many_records_stay(
    short, long, is_vacuumed
):
    send(long, 1)
    partition = partitions.Partition(partitions.start_of(OLD))
    table, day = partition.table(retention.RECORDS), timedelta(days=1)
    cutoff = partition.start + 4 * day
    queries = []

    def note(execute, sql, params, many, context):
        queries.append((sql, params))
        return execute(sql, params, many, context)

    with connection.cursor() as cursor:
        fill = FILL.format(table=table)
        before, after = (partition.start, cutoff - day), (cutoff, partition.end - day)
        cursor.execute(fill, [long.project.pk, *before, 3 * day])
        cursor.execute(fill, [short.project.pk, *after, 2 * day])
        cursor.execute(f"{'VACUUM ' * is_vacuumed}ANALYZE {table}")
        with connection.execute_wrapper(note):
            over = cutoff + 30 * day + retention.GRACE
            assert retention.enforce(over) == retention.Removed()
        looks = [query for query in queries if table in query[0]]
        assert looks
        for sql, params in looks:
            cursor.execute(f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {sql}", params)
            (plan,) = cursor.fetchone()[0]
            assert "Seq Scan" not in json.dumps(plan)
            assert plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"] < 40
    assert retention.enforce(over + day).n_rows > 4_000
