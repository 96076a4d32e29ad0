"""One connection: how slow it may be, and what it is told when it did wrong."""

import json
import socket
import time
from contextlib import suppress
from http import HTTPStatus
from typing import Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ErrorTask, WSGITask
from waitress.utilities import Error

from oversight.lib.environ import IS_FORWARDED, RECEIVED_AT
from oversight.web.limits import Limits

_FORWARDING = ("HTTP_FORWARDED", "HTTP_VIA", "HTTP_X_FORWARDED_FOR", "HTTP_X_REAL_IP")


class RequestTimeout(Error):
    code, reason = HTTPStatus.REQUEST_TIMEOUT.value, "Request Timeout"


class Parser(HTTPRequestParser):
    """A request being read, with the times that its limits are counted from."""

    def __init__(self, adj: Any) -> None:
        super().__init__(adj)
        self.began_at = self.received_at = time.monotonic()

    def received(self, data: bytes) -> int:
        consumed: int = super().received(data)
        self.received_at = time.monotonic()
        return consumed

    def is_overdue(self, now: float, limits: Limits) -> bool:
        """Whether its client has fallen silent, or trickles."""
        allowed = limits.head_seconds + self.body_bytes_received / limits.bytes_per_second
        return now - self.received_at > limits.silent_seconds or now - self.began_at > allowed


class _ClosingTask:
    """What both kinds of answer share: while the server ends, so does the connection."""

    def build_response_header(self) -> bytes:
        if self.channel.server.is_draining:  # type: ignore[attr-defined]
            self.set_close_on_finish()  # type: ignore[attr-defined]
        header: bytes = super().build_response_header()  # type: ignore[misc]
        return header


class Task(_ClosingTask, WSGITask):
    def get_environment(self) -> dict[str, Any]:
        environ: dict[str, Any] = super().get_environment()
        environ[RECEIVED_AT] = self.request.received_at
        # Before waitress removes those of strangers.
        environ[IS_FORWARDED] = any(name in environ for name in _FORWARDING)
        return environ


class Problem(_ClosingTask, ErrorTask):
    """An answer to what never became a request, in the form of the API's other problems."""

    def execute(self) -> None:
        status = HTTPStatus(self.request.error.code)
        code = "too_large" if status == 413 else status.name.lower()
        body = json.dumps(
            {
                "type": f"urn:oversight:problem:{code}",
                "title": status.phrase,
                "status": status.value,
                "code": code,
                "detail": str(self.request.error.body),
                "errors": [],
            }
        ).encode()
        self.status = f"{status.value} {status.phrase}"
        self.response_headers += [
            ("Content-Type", "application/problem+json"),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


class Channel(HTTPChannel):
    parser_class = Parser
    task_class = Task
    error_task_class = Problem
    request: Parser | None

    # Set once an answer has been sent to a client that may still be sending.
    _lingers_until: float | None = None
    _has_refused = False

    def review(self, now: float) -> None:
        """Drop a client that is too slow, or idle; called every few seconds by the main loop."""
        limits: Limits = self.server.limits
        if self._lingers_until is not None:
            if now > self._lingers_until:
                self.handle_close()
        elif self.total_outbufs_len:
            # It does not read its answer, and may hold up the thread that writes it.
            if self._silent_seconds() > limits.silent_seconds:
                self.handle_close()
        elif self.requests:
            pass  # being served, or waiting for it
        elif self.request is not None:
            if self.request.is_overdue(now, limits):
                self._refuse(RequestTimeout("the request did not arrive in time"))
        elif self._silent_seconds() > limits.idle_seconds:
            self.will_close = True

    def _silent_seconds(self) -> float:
        """Since the client's last sign; asked after what it is waited for, which sets it anew."""
        return time.time() - float(self.last_activity)

    def write_soon(self, data: Any) -> int:
        # A client that waited for its answer for long was not silent: now it is its turn.
        if not self.total_outbufs_len:
            self.last_activity = time.time()
        written: int = super().write_soon(data)
        return written

    def forgive(self, seconds: float) -> None:
        """Take for not passed a time in which this end was not there to listen."""
        self.last_activity += seconds
        request = self.request
        if request is not None:
            request.began_at += seconds
            request.received_at += seconds

    @property
    def is_idle(self) -> bool:
        return not self.requests and self.request is None and not self.total_outbufs_len

    def received(self, data: bytes) -> bool:
        accepted: bool = super().received(data)
        if any(request.error for request in list(self.requests)):
            self._has_refused = True
        return accepted

    def _refuse(self, error: Error) -> None:
        with self.requests_lock:
            request, self.request = self.request, None
            if request is None:
                return
            request.error, request.completed = error, True
            self._has_refused = True
            self.requests.append(request)
        self.server.add_task(self)

    # Closing a socket with unread input resets the connection, and the answer is lost on its way
    # to the client. So after a refusal: end our side, read on for a moment, then close.

    def handle_write(self) -> None:
        if not (self._has_refused and self.close_when_flushed):
            super().handle_write()
            return
        self._flush_exception(self._flush_some)
        if self.will_close or not self.connected:
            self.handle_close()
        elif not self.total_outbufs_len and self._lingers_until is None:
            self._lingers_until = time.monotonic() + self.server.limits.linger_seconds
            with suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)

    def writable(self) -> bool:
        if self._lingers_until is not None:
            return bool(self.will_close)
        return bool(super().writable())

    def readable(self) -> bool:
        return self._lingers_until is not None or bool(super().readable())

    def handle_read(self) -> None:
        if self._lingers_until is None:
            super().handle_read()
            return
        try:
            rest = self.recv(self.adj.recv_bytes)
        except OSError:
            rest = b""
        if not rest:
            self.handle_close()
