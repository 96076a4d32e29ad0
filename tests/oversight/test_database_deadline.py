"""Requests' waits for the database end: on a server of its own, which is frozen and thawed."""

import threading
import time

import psutil
import psycopg
import pytest
from django.db import OperationalError, ProgrammingError, connection, connections
from django.http import HttpResponse, StreamingHttpResponse
from django.test import RequestFactory
from psycopg.types.json import Jsonb

from oversight.lib import allowance, deadline
from oversight.lib.environ import RECEIVED_AT
from oversight.lib.postgres import driver
from oversight.lib.postgres.base import TRUST_SECONDS, DatabaseWrapper
from oversight.lib.postgres.breaker import Breaker, State
from oversight.local import places
from oversight.local.postgres import DATABASE, USER, Postgres


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A PostgreSQL that may be frozen; and an account to reach it by."""
    postgres = Postgres(places.prepare(tmp_path_factory.mktemp("pg") / "data"), is_durable=False)
    try:
        postgres.start()
        yield postgres
    finally:
        postgres.stop()
        places.remove(postgres.places)


@pytest.fixture
def connect(server, django_db_blocker, monkeypatch):
    """Make Django connections to it, each as if in a thread of its own."""
    monkeypatch.setattr(driver, "_breakers", {})
    made = []

    def make():
        account = {"NAME": DATABASE, "USER": USER, "HOST": str(server.places.run)}
        account["PASSWORD"] = server.url.split(":")[2].split("@")[0]
        wrapper = DatabaseWrapper(
            connections["default"].settings_dict | account | {"PORT": "", "OPTIONS": {}}, "spare"
        )
        made.append(wrapper)
        return wrapper

    with django_db_blocker.unblock():
        yield make
        for wrapper in made:
            wrapper.close()


@pytest.fixture
def frozen(server):
    """Freeze the whole server, and thaw it on leaving."""

    class Frozen:
        def __enter__(self):
            leader = psutil.Process(server.child.pid)
            self.family = [leader, *leader.children(recursive=True)]
            for process in self.family:
                process.suspend()

        def __exit__(self, *_):
            for process in self.family:
                if process.is_running():
                    process.resume()

    return Frozen()


def execute(wrapper, sql):
    with wrapper.cursor() as cursor:
        cursor.execute(sql)


def ask(wrapper, sql="SELECT 1"):
    with wrapper.cursor() as cursor:
        cursor.execute(sql)
        return cursor.fetchone()[0]


def test_outside_requests_nothing_is_limited(connect):
    wrapper = connect()
    assert ask(wrapper, "SHOW statement_timeout") == "0"
    assert ask(wrapper, "SELECT count(*) FROM pg_sleep(0.2)") == 1


def test_a_request_has_a_statement_timeout_below_its_deadline(connect, settings):
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 2_000
    wrapper = connect()
    with allowance.limited(60.0):
        assert ask(wrapper, "SHOW statement_timeout") == "2s"
        with pytest.raises(OperationalError) as caught:
            ask(wrapper, "SELECT pg_sleep(60)")
        assert isinstance(caught.value.__cause__, psycopg.errors.QueryCanceled)
        assert ask(wrapper) == 1  # the server has cancelled it; the connection lives


def test_a_wait_ends_at_the_deadline_and_the_connection_with_it(connect, settings):
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 0
    wrapper = connect()
    ask(wrapper)
    with allowance.limited(0.3), pytest.raises(OperationalError) as caught:
        ask(wrapper, "SELECT pg_sleep(5)")
    assert isinstance(caught.value.__cause__, driver.DatabaseUnresponsive)
    assert wrapper.connection.closed
    wrapper.close_if_unusable_or_obsolete()
    assert ask(wrapper) == 1


def test_waits_add_up(connect):
    wrapper = connect()
    ask(wrapper)
    with allowance.limited(4.0) as left:
        for _ in range(3):
            ask(wrapper, "SELECT count(*) FROM pg_sleep(0.3)")
        assert left.seconds <= 3.1
        with pytest.raises(OperationalError):
            ask(wrapper, "SELECT count(*) FROM pg_sleep(3.9)")


def test_a_single_silence_is_bounded_however_much_a_request_may_wait(connect, settings):
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 0
    wrapper = connect()
    with allowance.limited(60.0, silence_seconds=0.2), pytest.raises(OperationalError):
        ask(wrapper, "SELECT pg_sleep(5)")


def test_computing_costs_nothing(connect):
    wrapper = connect()
    ask(wrapper)
    with allowance.limited(2.0):
        time.sleep(2.1)
        assert ask(wrapper) == 1


def test_a_deadline_inside_a_transaction_rolls_it_back(connect, settings):
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 0
    wrapper = connect()
    execute(wrapper, "CREATE TABLE kept (n int)")
    try:
        with allowance.limited(3.0):
            wrapper.set_autocommit(False)
            execute(wrapper, "INSERT INTO kept VALUES (1)")
            with pytest.raises(OperationalError):
                execute(wrapper, "SELECT pg_sleep(5)")
        wrapper.close()
        assert ask(wrapper, "SELECT count(*) FROM kept") == 0
    finally:
        execute(wrapper, "DROP TABLE kept")


def test_a_slow_statement_on_a_live_server_does_not_open_the_circuit(connect, settings):
    settings.DATABASE_STATEMENT_TIMEOUT_MS = 0
    slow, other = connect(), connect()
    ask(slow)
    with allowance.limited(1.2), pytest.raises(OperationalError):
        ask(slow, "SELECT pg_sleep(9)")
    with allowance.limited(20.0):
        assert ask(other) == 1  # the suspicion is answered by a probe


def test_a_frozen_server_is_waited_for_once_and_left_alone_until_it_answers(connect, frozen):
    first, second, fresh = connect(), connect(), connect()
    with allowance.limited(10.0):
        ask(first), ask(second)
    with frozen:
        with allowance.limited(1.2) as left, pytest.raises(OperationalError):
            ask(first)
        assert left.seconds <= 0
        with allowance.limited(9.0), pytest.raises(OperationalError, match="lately"):
            ask(second)  # finds out by a probe
        for wrapper in (second, fresh):
            with allowance.limited(9.0) as left, pytest.raises(OperationalError, match="lately"):
                ask(wrapper)
            assert left.seconds > 8.9  # refused at once, without waiting
            wrapper.close_if_unusable_or_obsolete()  # as Django does after each request
    time.sleep(1.1)  # the pause between probes
    with allowance.limited(10.0):
        assert ask(second) == 1
        assert ask(fresh) == 1


def test_looking_whether_a_connection_works_ends_too(connect, frozen):
    wrapper = connect()
    ask(wrapper)
    wrapper.errors_occurred = True
    with frozen:
        wrapper.close_if_unusable_or_obsolete()
    assert wrapper.connection is None
    assert ask(wrapper) == 1


def begin_request(wrapper):
    """What Django does to each connection as a request begins."""
    wrapper.close_if_unusable_or_obsolete()


def backend(wrapper):
    return ask(wrapper, "SELECT pg_backend_pid()")


def waiting(monkeypatch):
    """Count the waits for the server from here on."""
    waits = []
    wait = driver.BoundedConnection.wait
    monkeypatch.setattr(
        driver.BoundedConnection,
        "wait",
        lambda self, *args, **kw: waits.append(1) or wait(self, *args, **kw),
    )
    return waits


def test_a_connection_that_answered_lately_is_not_asked_again(connect, monkeypatch):
    wrapper = connect()
    before = backend(wrapper)
    waits = waiting(monkeypatch)
    begin_request(wrapper)
    assert ask(wrapper) == 1
    n_trusted = len(waits)
    wrapper.connection.heard_at -= 2 * TRUST_SECONDS
    begin_request(wrapper)
    assert ask(wrapper) == 1
    assert len(waits) > 2 * n_trusted  # the same, and the question before it
    assert backend(wrapper) == before


def test_a_connection_that_the_server_closed_is_replaced_before_it_is_used(connect):
    wrapper, other = connect(), connect()
    before = backend(wrapper)
    ask(other, f"SELECT pg_terminate_backend({before}, 5000)")
    begin_request(wrapper)
    assert backend(wrapper) != before


def test_a_connection_that_failed_is_asked_however_lately(connect):
    wrapper = connect()
    before = backend(wrapper)
    with pytest.raises(ProgrammingError):
        ask(wrapper, "SELECT nothing_of_that_name")
    begin_request(wrapper)
    assert wrapper.health_check_done  # asked and answered
    assert backend(wrapper) == before
    wrapper.connection.close()
    begin_request(wrapper)
    assert backend(wrapper) != before


def test_connecting_to_a_frozen_server_ends_too(connect, frozen):
    wrapper = connect()
    with frozen, allowance.limited(2.0), pytest.raises(OperationalError) as caught:
        ask(wrapper)
    assert isinstance(caught.value.__cause__, driver.DatabaseUnresponsive)


def test_copying_streaming_and_savepoints_work_under_a_deadline(connect):
    wrapper = connect()
    with allowance.limited(20.0):
        wrapper.set_autocommit(False)
        with wrapper.cursor() as cursor:
            cursor.execute("CREATE TEMP TABLE bulk (n int8, body jsonb)")
            with cursor.copy("COPY bulk FROM STDIN (FORMAT binary)") as copy:
                copy.set_types(["int8", "jsonb"])
                for n in range(20_000):
                    copy.write_row((n, Jsonb({"n": n})))
            cursor.execute("SAVEPOINT s")
            with pytest.raises(psycopg.errors.DivisionByZero):
                cursor.cursor.execute("SELECT 1/0")
            cursor.execute("ROLLBACK TO SAVEPOINT s")
        with wrapper.chunked_cursor() as cursor:  # on the server, fetched in pieces
            cursor.execute("SELECT n FROM bulk ORDER BY n")
            assert sum(row[0] for row in cursor) == sum(range(20_000))
        wrapper.rollback()


def test_more_time_for_one_statement_is_given_and_taken_back(db, settings):
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL statement_timeout = '4s'")
    with allowance.limited(4.5), deadline.extended(60.0, statement_seconds=30.0):
        assert allowance.current().seconds == pytest.approx(60.0, abs=1.0)
        assert allowance.current().silence_seconds == pytest.approx(30.5)
        assert ask(connection, "SHOW statement_timeout") == "30s"
    assert ask(connection, "SHOW statement_timeout") in ("0", "4s")


def test_extending_outside_requests_changes_nothing():
    with deadline.extended(60.0, statement_seconds=30.0):
        assert allowance.current() is None


def test_a_request_that_waited_too_long_for_a_thread_is_refused_unread(settings):
    settings.REQUEST_DEADLINE_SECONDS = 4.5
    reached = []
    serve = deadline.DeadlineMiddleware(lambda request: reached.append(1) or HttpResponse())
    late = {RECEIVED_AT: time.monotonic() - 5}
    refused = serve(RequestFactory().get("/api/v1/records", **late))
    assert refused.status_code == 503
    assert refused["Retry-After"] == "2"
    assert not reached


def test_waiting_for_a_thread_counts(settings):
    settings.REQUEST_DEADLINE_SECONDS = 100.0
    seen = []
    serve = deadline.DeadlineMiddleware(
        lambda request: seen.append(allowance.current().seconds) or HttpResponse()
    )
    serve(RequestFactory().get("/", **{RECEIVED_AT: time.monotonic() - 60}))
    assert seen == [pytest.approx(40, abs=20)]
    assert allowance.current() is None


def test_each_chunk_of_a_streamed_answer_has_the_limit_anew(settings):
    settings.REQUEST_DEADLINE_SECONDS = 4.5

    def chunks():
        for _ in range(3):
            allowance.current().spend(4)
            yield str(allowance.current().seconds).encode()

    serve = deadline.DeadlineMiddleware(lambda request: StreamingHttpResponse(chunks()))
    answer = serve(RequestFactory().get("/"))
    assert [float(chunk) for chunk in answer] == [0.5, 0.5, 0.5]
    assert allowance.current() is None


def test_one_probe_answers_for_all_who_wait():
    breaker, asked, answers = Breaker(patience_seconds=10.0), [], []
    go = threading.Event()

    def probe():
        asked.append(1)
        go.wait(10)
        return True

    breaker.suspect()
    threads = [
        threading.Thread(target=lambda: answers.append(breaker.admits(probe))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    go.set()
    for thread in threads:
        thread.join()
    assert answers == [True] * 8
    assert len(asked) == 1
    assert breaker.state is State.CLOSED


def test_a_failed_probe_opens_the_circuit_for_a_pause():
    breaker = Breaker(pause_seconds=2.0)
    breaker.suspect()
    assert not breaker.admits(lambda: False)
    assert breaker.state is State.OPEN
    assert not breaker.admits(lambda: pytest.fail("asked during the pause"))
    time.sleep(2.1)
    assert breaker.admits(lambda: True)
    assert breaker.admits(lambda: pytest.fail("asked while all is well"))


def test_a_probe_that_raises_counts_as_no_answer():
    breaker = Breaker()
    breaker.suspect()
    with pytest.raises(ZeroDivisionError):
        breaker.admits(lambda: 1 / 0)
    assert breaker.state is State.OPEN
