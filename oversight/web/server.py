"""One web process: waitress on a socket it was given, until it is told to stop."""

import logging
import resource
import signal
import socket
import sys
import time
from contextlib import suppress
from types import FrameType
from typing import Any

from waitress import wasyncore
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from oversight.web.channel import Channel
from oversight.web.limits import Limits
from oversight.web.siblings import Place, Siblings

REVIEW_SECONDS = 1.0  # between two looks for clients that are too slow
# This process, or its whole machine, stood still for longer than between two looks: what clients
# did meanwhile is not known yet.
STILL_SECONDS = 3.0
# A thread that comes back from the database waits so long for one that computes. The default, 5 ms,
# is paid at each of a request's statements: it made single posts beside others twice as slow.
SWITCH_SECONDS = 0.0005
QUIET_SECONDS = 0.3  # an idle connection's chance to bring a request that is on its way


class Server(TcpWSGIServer):
    """Waitress' server with our connections, a share of them, a heartbeat and a drain."""

    channel_class = Channel

    def __init__(
        self, application: Any, listener: socket.socket, limits: Limits, place: Place | None = None
    ) -> None:
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(limits.threads)
        super().__init__(
            application,
            map={},
            _sock=listener,
            dispatcher=dispatcher,
            adj=limits.adjustments(),
            bind_socket=False,
            sockinfo=(listener.family, listener.type, listener.proto, listener.getsockname()),
        )
        self.limits = limits
        self.is_draining = False
        self._place = place or Siblings(1).place(0)
        self._yields_until = 0.0
        self._reviewed_at = time.monotonic()

    # All processes wait at the same door. One that takes whoever comes may hold all of a client's
    # connections, and make them wait for its threads while its siblings are idle.

    def readable(self) -> bool:
        return bool(super().readable()) and not self._yields_for()

    def handle_accept(self) -> None:
        now = time.monotonic()
        has_yielded = now < self._yields_until + self.limits.yield_seconds
        if not has_yielded and self._place.is_fuller(len(self.active_channels)):
            self._yields_until = now + self.limits.yield_seconds
            return
        self._yields_until = 0.0
        super().handle_accept()

    def _yields_for(self) -> float:
        """How many seconds more; 0 as a rule."""
        return max(0.0, self._yields_until - time.monotonic()) if self._yields_until else 0.0

    def _turn(self, seconds: float) -> None:
        """Wait so long at most for something to do, do it, and tell."""
        wasyncore.poll2(min(seconds, self._yields_for() or seconds), self._map)
        self._place.turn(len(self.active_channels))

    def maintenance(self, now: float) -> None:
        monotonic = time.monotonic()
        since = monotonic - self._reviewed_at
        if since < REVIEW_SECONDS:
            return
        self._reviewed_at = monotonic
        for channel in list(self.active_channels.values()):
            if since > STILL_SECONDS:
                channel.forgive(since)
            else:
                channel.review(monotonic)

    def stop(self) -> None:
        """Begin to drain; safe in a signal handler."""
        self.is_draining = True
        with suppress(OSError):
            self.pull_trigger()

    def serve(self) -> None:
        """Serve until `stop`, then finish what has begun, for as long as the limits allow.

        While all is well, its siblings are told so at least once a second.
        """
        while not self.is_draining:
            self._turn(1.0)
        self.accepting = False
        began = time.monotonic()
        while self.active_channels and time.monotonic() < began + self.limits.drain_seconds:
            if time.monotonic() > began + QUIET_SECONDS:
                for channel in list(self.active_channels.values()):
                    if channel.is_idle:
                        channel.handle_close()
            self._turn(0.05)
        self.task_dispatcher.shutdown(timeout=1)
        wasyncore.close_all(self._map)


def run(
    application: Any,
    listener: socket.socket,
    limits: Limits,
    place: Place,
) -> None:
    """Serve on the socket until SIGTERM or SIGINT, then drain."""
    sys.setswitchinterval(SWITCH_SECONDS)
    _allow_descriptors(2 * limits.connections + 200)
    # A queue is normal under load, and long requests are refused by their age.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    server = Server(application, listener, limits, place)

    def on_signal(number: int, frame: FrameType | None) -> None:
        server.stop()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    server.serve()


def _allow_descriptors(wanted: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY:
        wanted = min(wanted, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
