"""How long a request may wait for the database: a number that every wait of a request honours.

Only waiting counts, not computing: what the limit is for is a database that does not answer, and
a request that has computed for long is nearest to its end. Outside requests nothing is limited.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress

from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse

from oversight.lib import errors
from oversight.lib.allowance import current, limited
from oversight.lib.environ import RECEIVED_AT
from oversight.lib.problems import problem_response

# Seconds between the client's timeout and the server's own: a live server cancels a slow
# statement first, so whoever hears nothing until later faces a server that is not alive.
SERVER_FIRST_SECONDS = 0.5


@contextmanager
def extended(seconds: float, *, statement_seconds: float | None = None) -> Iterator[None]:
    """Let a request that does much wait longer in all; no effect outside requests.

    A frozen server is still noticed as early as ever, because each single wait stays bounded.

    Args:
        seconds: waiting in all, inside the block.
        statement_seconds: longest single statement, where one takes longer than the settings
            allow; costs two round trips.
    """
    before = current()
    if before is None:
        yield
        return
    silence = before.silence_seconds
    if statement_seconds is not None:
        silence = statement_seconds + SERVER_FIRST_SECONDS
        _set_statement_timeout(int(statement_seconds * 1000))
    try:
        with limited(seconds, silence_seconds=silence):
            yield
    finally:
        if statement_seconds is not None:
            # Where it fails the connection is gone, or its transaction fails and undoes the SET.
            with suppress(DatabaseError):
                _set_statement_timeout(None)


def _set_statement_timeout(milliseconds: int | None) -> None:
    with connection.cursor() as cursor:
        if milliseconds is None:
            cursor.execute("RESET statement_timeout")
        else:
            cursor.execute("SELECT set_config('statement_timeout', %s, false)", [str(milliseconds)])


class DeadlineMiddleware:
    """Gives each request its allowance, less the time it has waited for a thread already.

    A request that has waited for longer than the deadline is refused unread: its client has
    given up or is about to, and serving it would make the next one late as well.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        limit = float(settings.REQUEST_DEADLINE_SECONDS)
        received_at = request.META.get(RECEIVED_AT)
        waited = time.monotonic() - received_at if received_at is not None else 0.0
        if waited >= limit:
            return problem_response(
                request,
                errors.Unavailable(
                    "too many requests are waiting", code="overloaded", retry_after_seconds=2
                ),
            )
        with limited(limit - waited):
            response = self.get_response(request)
        if isinstance(response, StreamingHttpResponse) and not response.is_async:
            _limit_each_chunk(response, limit)
        return response


def _limit_each_chunk(response: StreamingHttpResponse, limit: float) -> None:
    """A body is streamed after the middleware has returned; each chunk has the limit anew."""
    if getattr(response, "file_to_stream", None) is not None:
        return  # the web server sends the file itself
    chunks: Iterable[bytes] = response.streaming_content  # type: ignore[assignment]
    response.streaming_content = _limited_chunks(iter(chunks), limit)


def _limited_chunks(chunks: Iterator[bytes], limit: float) -> Iterator[bytes]:
    while True:
        with limited(limit):
            try:
                chunk = next(chunks)
            except StopIteration:
                return
        yield chunk
