"""Small posts that arrive at once, room for large ones, and keys remembered for a second."""

import json
import threading
import time

import pytest
from django.db import OperationalError, connection, connections, transaction

from oversight.audit.models import AuditEvent
from oversight.lib import allowance, errors
from oversight.tenancy import access
from oversight.tenancy.actors import system_actor
from oversight.tenancy.services.keys import create_key, revoke_key
from scoring.intake.room import SMALL_BYTES, Room
from scoring.models import InferenceRecord, IngestBatch
from scoring.services import scorers, together
from scoring.services.ingest import ingest
from scoring.services.together import ingest_together
from tests.factories import make_api, make_project, make_record
from tests.sessions import Sessions

BOTH = ("accepted", "duplicate")


def encoded(records):
    return [json.dumps(record).encode() for record in records]


class Stopped:
    """While held, no batch can be written: another connection has locked the table."""

    def __enter__(self):
        self._other = connections.create_connection("default")
        self._other.set_autocommit(False)
        self._other.cursor().execute("LOCK TABLE scoring_ingestbatch IN SHARE MODE")
        return self

    def release(self):
        if self._other is not None:
            self._other.rollback()
            self._other.close()
            self._other = None

    def __exit__(self, *_):
        self.release()


def await_blocked():
    """Until a writer waits for the lock, as PostgreSQL itself sees it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
            if cursor.fetchone()[0]:
                return
        time.sleep(0.01)
    raise AssertionError("nobody waits for the lock")


def await_joined(actor, n):
    """Until so many posts of a sender wait for the one that leads."""
    sender = together._senders[actor.project.pk, actor.kind, actor.id]
    until = time.monotonic() + 60
    while len(sender._waiting) < n:
        assert time.monotonic() < until, "they did not join"
        time.sleep(0.01)


@pytest.fixture
def actor(transactional_db):
    project = make_project()
    scorers.current_version(project)
    return system_actor(project, "sender")


def posting(actor, records, seconds=None):
    """One post in a thread of its own, as the web server has it."""
    if seconds is None:
        return ingest_together(actor, slices=encoded(records))
    with allowance.limited(seconds):
        return ingest_together(actor, slices=encoded(records))


def test_posts_that_wait_share_a_transaction_and_each_gets_its_own_answer(actor):
    n = 6
    posts = [[make_record(10 * i), make_record(10 * i + 1)] for i in range(n)]
    posts[3] = [posts[3][0], {**posts[3][1], "input": 5}]  # the second is refused
    posts[5] = [posts[4][0], make_record(51)]  # the first is sent by another post too
    with Sessions(n) as threads, Stopped() as stopped:
        first = threads.submit(posting, actor, posts[0])
        await_blocked()
        others = [threads.submit(posting, actor, post) for post in posts[1:]]
        await_joined(actor, n - 1)
        stopped.release()
        outcomes = [future.result(60) for future in (first, *others)]
    for i, outcome in enumerate(outcomes):
        assert [result.index for result in outcome.results] == [0, 1]
        assert [result.external_id for result in outcome.results] == [
            record["external_id"] for record in posts[i]
        ]
    statuses = [[result.status for result in outcome.results] for outcome in outcomes]
    assert statuses[3] == ["accepted", "rejected"]
    assert sorted([statuses[4][0], statuses[5][0]]) == ["accepted", "duplicate"]
    assert sum(outcome.accepted for outcome in outcomes) == 2 * n - 2
    assert InferenceRecord.objects.of(actor.project).count() == 2 * n - 2
    batches = IngestBatch.objects.filter(project=actor.project)
    assert sum(batch.n_records for batch in batches) == 2 * n - 2
    assert len(batches) == 2  # the first, and all that waited for it
    assert AuditEvent.objects.filter(action="records.ingested").count() == 2


def test_who_waits_for_others_has_a_deadline_and_the_others_go_on(actor):
    with Sessions(2) as threads, Stopped() as stopped:
        first = threads.submit(posting, actor, [make_record(0)])
        await_blocked()
        late = threads.submit(posting, actor, [make_record(1)], 0.2)
        with pytest.raises(errors.Unavailable) as refused:
            late.result(60)
        assert refused.value.retry_after_seconds == 1
        stopped.release()
        assert first.result(60).accepted == 1
    # Nobody is left leading: the next post is served.
    assert ingest_together(actor, slices=encoded([make_record(2)])).accepted == 1


def test_who_waits_for_a_leader_whom_the_database_left_is_told_the_same(actor, settings):
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 0
    with Sessions(4) as threads, Stopped() as stopped:
        first = threads.submit(posting, actor, [make_record(0)], 4.0)
        await_blocked()
        others = [threads.submit(posting, actor, [make_record(i)], 60) for i in range(1, 4)]
        for future in (first, *others):
            with pytest.raises(OperationalError):
                future.result(40)  # none of them has tried for itself: nothing can be written
        stopped.release()
    assert not InferenceRecord.objects.exclude(external_id="r-0").exists()
    assert ingest_together(actor, slices=encoded([make_record(2)])).accepted == 1


def test_a_leader_with_hardly_any_time_left_fails_alone(actor, settings, monkeypatch):
    """Who waits, and whom it took along, goes on; but not who has left meanwhile."""
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 0
    monkeypatch.setattr(allowance, "TELLING_SECONDS", 30.0)  # all but the patient one have less
    with Sessions(4) as threads, Stopped() as stopped:
        first = threads.submit(posting, actor, [make_record(0)], 3.0)
        await_blocked()
        second = threads.submit(posting, actor, [make_record(1)], 9.0)
        await_joined(actor, 1)  # so that it leads after the first
        patient = threads.submit(posting, actor, [make_record(2)], 600)
        leaves = threads.submit(posting, actor, [make_record(3)], 5.0)
        for leader in (first, second):
            with pytest.raises(OperationalError):
                leader.result(60)
        with pytest.raises(errors.Unavailable):
            leaves.result(60)
        await_blocked()
        stopped.release()
        (told,) = patient.result(60).results
    assert told.status in BOTH  # what a leader gave up waiting for may still commit
    assert InferenceRecord.objects.filter(external_id=make_record(2)["external_id"]).count() == 1
    assert ingest_together(actor, slices=encoded([make_record(4)])).accepted == 1


class Unsettled:
    """While held, whoever sends this record waits: another session has it in its transaction."""

    def __init__(self, actor, record):
        self._end, stored = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._hold, args=(actor, record, stored))
        self._thread.start()
        assert stored.wait(60)

    def _hold(self, actor, record, stored):
        try:
            with transaction.atomic():
                ingest(actor, slices=encoded([record]))
                stored.set()
                self._end.wait(60)
                transaction.set_rollback(True)
        finally:
            connection.close()

    def settle(self):
        self._end.set()
        self._thread.join()


def test_waiting_for_others_and_then_leading_is_within_one_deadline(actor, settings):
    settings.REQUEST_DEADLINE_SECONDS, settings.DATABASE_STATEMENT_TIMEOUT_MS = 6.0, 0
    api = make_api(actor.project, scopes=["records:write"])
    ours, theirs = make_record(0), make_record(1)
    ingest(actor, slices=encoded([make_record(2)]))  # the model and the partition are there
    holds = [Unsettled(actor, record) for record in (theirs, ours)]

    def post():
        began = time.monotonic()
        return api.post("records", {"records": [ours]}).status_code, time.monotonic() - began

    try:
        with Sessions(2) as threads:
            leader = threads.submit(posting, access.access_key(api.key), [theirs])
            await_blocked()
            late = threads.submit(post)
            time.sleep(5.0)
            holds[0].settle()
            assert leader.result(60).accepted == 1
            status, seconds = late.result(60)
    finally:
        for hold in holds:
            hold.settle()
    assert status == 503
    assert 5.0 < seconds < 30.0


def test_many_senders_posts_lose_and_double_nothing(actor):
    other = system_actor(make_project(), "other")
    with Sessions(8) as threads:
        futures = [
            threads.submit(posting, (actor, other)[i % 2], [make_record(i // 4)]) for i in range(64)
        ]
        outcomes = [future.result(120) for future in futures]
    results = [result for outcome in outcomes for result in outcome.results]
    assert {result.status for result in results} <= set(BOTH)
    for sender in (actor, other):
        stored = InferenceRecord.objects.of(sender.project).count()
        assert stored == len(
            {r.key for i, r in enumerate(results) if (i % 2 == 0) == (sender is actor)}
        )


def test_room_is_bounded_and_small_bodies_need_none():
    room = Room(10 * SMALL_BYTES)
    with room.taken(8 * SMALL_BYTES):
        with room.taken(2 * SMALL_BYTES):
            began = time.monotonic()
            with (
                pytest.raises(errors.Unavailable) as refused,
                room.taken(2 * SMALL_BYTES, wait_seconds=0.05),
            ):
                pass
            assert refused.value.retry_after_seconds
            assert time.monotonic() - began < 5
            with room.taken(SMALL_BYTES):
                pass
        with room.taken(2 * SMALL_BYTES):
            pass
    with (
        room.taken(1000 * SMALL_BYTES, wait_seconds=0.05),  # larger than all of it: alone
        pytest.raises(errors.Unavailable),
        room.taken(2 * SMALL_BYTES, wait_seconds=0.05),
    ):
        pass


def test_a_share_grows_as_far_as_there_is_room_and_gives_back():
    room = Room(10 * SMALL_BYTES)
    with room.taken(SMALL_BYTES) as first, room.taken(4 * SMALL_BYTES) as second:
        first.grow(6 * SMALL_BYTES)
        with pytest.raises(errors.Unavailable):
            second.grow(5 * SMALL_BYTES)
        first.resize(5 * SMALL_BYTES)
        second.grow(5 * SMALL_BYTES)
        second.grow(2 * SMALL_BYTES)
        assert (first.n_bytes, second.n_bytes) == (5 * SMALL_BYTES, 5 * SMALL_BYTES)
        first.resize(1)
        second.resize(1000 * SMALL_BYTES)  # more than all of it: alone
        assert (first.n_bytes, second.n_bytes) == (0, 10 * SMALL_BYTES)
    with room.taken(10 * SMALL_BYTES, wait_seconds=0):
        pass


def test_who_waits_for_room_gets_it_when_others_leave():
    room, held, peak, lock = Room(4 * SMALL_BYTES), [0], [0], threading.Lock()

    def work(_):
        with room.taken(2 * SMALL_BYTES, wait_seconds=30):
            with lock:
                held[0] += 1
                peak[0] = max(peak[0], held[0])
            time.sleep(0.01)
            with lock:
                held[0] -= 1

    with Sessions(8) as threads:
        list(threads.map(work, range(24)))
    assert peak[0] == 2


@pytest.mark.django_db
def test_a_revoked_key_is_remembered_for_no_longer_than_was_said(settings):
    settings.OVERSIGHT_KEY_MEMORY_SECONDS = 0.3
    operator = system_actor(make_project())
    key, text = create_key(operator, name="k", scopes=["records:write"])
    assert access.access_key(text).id == str(key.pk)
    revoke_key(operator, key_id=key.pk)
    time.sleep(0.35)
    with pytest.raises(errors.NotAuthenticated):
        access.access_key(text)
