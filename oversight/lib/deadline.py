"""A deadline per request, honoured by every wait for the database, and a breaker behind it.

A query that is merely slow is cancelled by a living server at `statement_timeout`, which is set
below the deadline. A server that does not even cancel is frozen or gone: the wait ends at the
deadline, the connection is given up, and the breaker opens, so that the requests behind get 503
at once instead of each waiting its turn. One probe a second finds out when the server is back.
"""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from django.conf import settings
from django.http import HttpRequest, HttpResponse

from oversight.lib import errors
from oversight.lib.problems import problem_response

PROBE_EVERY_SECONDS = 1.0
PROBE_DEADLINE_SECONDS = 2.5
_EXEMPT = ("/healthz", "/static/")


class _Local(threading.local):
    until: float | None = None


_local = _Local()


@contextmanager
def deadline(seconds: float) -> Iterator[None]:
    """Let every wait for the database in this thread end at most so many seconds from now."""
    before = _local.until
    _local.until = time.monotonic() + seconds
    try:
        yield
    finally:
        _local.until = before


def remaining_seconds() -> float | None:
    """What is left of this thread's deadline, never negative; None where there is none."""
    return None if _local.until is None else max(0.0, _local.until - time.monotonic())


class Breaker:
    """Open while the database does not answer; lets one probe through a second."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._next_probe: float | None = None

    @property
    def is_open(self) -> bool:
        return self._next_probe is not None

    def open(self) -> None:
        with self._lock:
            self._next_probe = time.monotonic() + PROBE_EVERY_SECONDS

    def close(self) -> None:
        with self._lock:
            self._next_probe = None

    def admits(self) -> bool:
        """Whether a request may try: always while closed, once a second while open."""
        with self._lock:
            if self._next_probe is None:
                return True
            now = time.monotonic()
            if now < self._next_probe:
                return False
            self._next_probe = now + PROBE_EVERY_SECONDS
            return True


breaker = Breaker()


class DeadlineMiddleware:
    """Outermost: refuses at once while the breaker is open, else sets the request's deadline."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if request.path.startswith(_EXEMPT):
            return self.get_response(request)
        if not breaker.admits():
            return problem_response(
                request,
                errors.Unavailable("the database does not answer", retry_after_seconds=2),
            )
        seconds = (
            PROBE_DEADLINE_SECONDS if breaker.is_open else settings.REQUEST_DEADLINE_SECONDS
        )
        with deadline(seconds):
            return self.get_response(request)
