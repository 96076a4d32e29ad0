"""The web server: waitress processes that share one listening socket.

Waitress reads a request's whole body before a thread sees it, so stalled, chunked, truncated and
oversized bodies cost a connection and never a thread. What it lacks is here: several processes, a
limit on how long a body may take, and a stop that finishes what has begun.
"""

import contextlib
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any

from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer

from oversight.local.processes import die_with_parent

logger = logging.getLogger(__name__)

BODY_SECONDS = 60.0  # from the first byte of a request to its last
DRAIN_SECONDS = 10.0
MAX_BODY_BYTES = 65 * 1024 * 1024  # a little above what ingest takes, which answers for itself
_RESTART_PAUSE_SECONDS = 0.5
_STOPS = (signal.SIGTERM, signal.SIGINT)


class TimedChannel(HTTPChannel):
    """A connection that knows when the request it is receiving began."""

    began: float | None = None

    def received(self, data: bytes) -> bool:
        if self.began is None:
            self.began = time.monotonic()
        done: bool = super().received(data)
        if self.request is None:
            self.began = None
        return done


class Server(TcpWSGIServer):
    """Waitress with a limit on a body's time and a stop in two steps."""

    channel_class = TimedChannel
    is_stopping = False

    def maintenance(self, now: float) -> None:
        super().maintenance(now)
        for channel in list(self.active_channels.values()):
            if channel.began is not None and time.monotonic() - channel.began > BODY_SECONDS:
                channel.will_close = True

    def stop(self, *_: Any) -> None:
        self.is_stopping = True
        self.pull_trigger()

    def serve(self) -> None:
        """Serve until `stop`, then finish what has begun."""
        while not self.is_stopping:
            self._turn(1.0)
        self.accepting = False
        self.del_channel()
        self.socket.close()
        until = time.monotonic() + DRAIN_SECONDS
        while time.monotonic() < until and any(map(_is_busy, self.active_channels.values())):
            self._turn(0.05)
        self.task_dispatcher.shutdown(timeout=1)

    def _turn(self, seconds: float) -> None:
        wasyncore.loop(timeout=seconds, map=self._map, use_poll=True, count=1)


def _is_busy(channel: TimedChannel) -> bool:
    return bool(channel.requests or channel.total_outbufs_len or channel.request is not None)


def bind(host: str, port: int) -> socket.socket:
    """A listening socket for all processes.

    Raises:
        OSError: the address is taken or not ours.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, port))
    listener.listen(1024)
    listener.setblocking(False)
    return listener


def serve_process(
    application: Callable[..., Any], listener: socket.socket, *, threads: int, proxy: str
) -> None:
    """Serve from this process until SIGTERM."""
    settings: dict[str, Any] = {
        "threads": threads,
        "connection_limit": 1000,
        "backlog": 1024,
        "recv_bytes": 256 * 1024,
        "send_bytes": 1,
        "inbuf_overflow": 4 * 1024 * 1024,
        "max_request_body_size": MAX_BODY_BYTES,
        "channel_timeout": 30,
        "cleanup_interval": 5,
        "ident": "",
        "clear_untrusted_proxy_headers": True,
        "sockets": [listener],
    }
    if proxy:
        settings |= {
            "trusted_proxy": proxy,
            "trusted_proxy_headers": "x-forwarded-for x-forwarded-proto x-forwarded-host",
        }
    name = listener.getsockname()
    server = Server(
        application,
        map={},
        _sock=listener,
        adj=Adjustments(**settings),
        bind_socket=False,
        sockinfo=(listener.family, listener.type, listener.proto, name),
    )
    signal.signal(signal.SIGTERM, server.stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
    server.serve()


def serve(
    application: Callable[..., Any],
    listener: socket.socket,
    *,
    processes: int,
    threads: int,
    proxy: str = "",
) -> None:
    """Serve from several processes; one that dies is replaced. Returns after SIGTERM or SIGINT.

    Processes are forked after the application was loaded, so they share its memory.
    """
    children: set[int] = set()
    stopping = False

    def stop(*_: Any) -> None:
        nonlocal stopping
        stopping = True
        for child in list(children):
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGTERM)

    for number in _STOPS:
        signal.signal(number, stop)
    parent = os.getpid()
    while children or not stopping:
        while not stopping and len(children) < processes:
            # A stop between the fork and the note of it would miss the child.
            signal.pthread_sigmask(signal.SIG_BLOCK, _STOPS)
            child = os.fork()
            if child == 0:
                _child(parent, application, listener, threads, proxy)
            children.add(child)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPS)
        try:
            gone, status = os.wait()
        except InterruptedError:
            continue
        except ChildProcessError:
            break
        children.discard(gone)
        if not stopping:
            logger.warning("web process ended with status %s; starting another", status)
            time.sleep(_RESTART_PAUSE_SECONDS)


def _child(
    parent: int,
    application: Callable[..., Any],
    listener: socket.socket,
    threads: int,
    proxy: str,
) -> None:
    status = 1
    try:
        die_with_parent(parent, signal.SIGTERM)
        serve_process(application, listener, threads=threads, proxy=proxy)
        status = 0
    except Exception:
        logger.exception("web process failed")
    finally:
        sys.stderr.flush()
        os._exit(status)
