"""Work in threads, as the web server and the workers do it: each piece in a session of its own.

Django's connections belong to threads. One that is left open at a thread's end stays until the
garbage collector comes by, and the test database cannot be dropped before.
"""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from django.db import connection, connections

PATIENCE_SECONDS = 120.0


class Sessions(ThreadPoolExecutor):
    """Threads that end their database session with each piece of work."""

    def submit(self, work: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        return super().submit(_ended, work, *args, **kwargs)


def all_at_once(*works: Callable[[], Any]) -> list[Any]:
    """Do all of it at the same time; what each gave, in order, or the first one's error."""
    start = threading.Barrier(len(works))

    def begin(work: Callable[[], Any]) -> Any:
        start.wait(PATIENCE_SECONDS)
        return work()

    with Sessions(len(works)) as threads:
        futures = [threads.submit(begin, work) for work in works]
        return [future.result(PATIENCE_SECONDS) for future in futures]


@contextmanager
def others_ended() -> Iterator[None]:
    """Wait at the end for the sessions that other processes have begun inside the block.

    A server process sees that its client was killed when it is done with what it was asked: rows
    may come until then, and the test database cannot be dropped.
    """
    known = _sessions()
    yield
    until = time.monotonic() + PATIENCE_SECONDS
    while left := _sessions() - known:
        assert time.monotonic() < until, f"sessions {left} do not end"
        time.sleep(0.05)


def _sessions() -> set[int]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pid FROM pg_stat_activity"
            " WHERE datname = current_database() AND backend_type = 'client backend'"
        )
        return {pid for (pid,) in cursor.fetchall()}


@contextmanager
def without_triggers() -> Iterator[None]:
    """Change what is append-only, as a defect, a restored half, or the passing of time would."""
    with connection.cursor() as cursor:
        cursor.execute("SET session_replication_role = replica")
    try:
        yield
    finally:
        with connection.cursor() as cursor:
            cursor.execute("SET session_replication_role = DEFAULT")


def _ended(work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    try:
        return work(*args, **kwargs)
    finally:
        connections.close_all()  # this thread's own
