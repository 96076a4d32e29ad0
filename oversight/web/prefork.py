"""Several web processes on one socket, forked from a parent that has loaded the application.

A process that dies is replaced at once; one whose main loop has not turned for long is killed
first. The socket stays open meanwhile, so clients wait and are not refused.
"""

import gc
import logging
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

from oversight.local import processes
from oversight.web import server
from oversight.web.limits import Limits
from oversight.web.siblings import Siblings

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0  # between two looks at the children
_QUICK_SECONDS = 2.0  # one that dies sooner is not replaced before this time has passed
_END_SECONDS = 3.0  # for what follows the drain
_STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class Prefork:
    """The parent. `run` returns when it has been told to stop and all its children have ended."""

    def __init__(
        self, application: Any, listener: socket.socket, *, workers: int, limits: Limits
    ) -> None:
        self._application = application
        self._listener = listener
        self._limits = limits
        self._started: dict[int, tuple[int, float]] = {}  # pid: slot, time
        self._restart_at = dict.fromkeys(range(workers), 0.0)
        self._siblings = Siblings(workers)
        self._looked_at = time.monotonic()  # when they were last looked at
        self._is_stopping = False
        self._wake_r, self._wake_w = os.pipe()
        os.set_blocking(self._wake_w, False)
        os.set_blocking(self._wake_r, False)

    def run(self, on_ready: Callable[[], None] = lambda: None) -> None:
        gc.collect()
        gc.freeze()  # what was loaded is never collected, so that its pages stay shared
        for number in _STOP_SIGNALS:
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        self._fill()
        on_ready()
        self._looked_at = time.monotonic()
        while not self._is_stopping:
            self._sleep(_LOOK_SECONDS)
            self._reap()
            self._kill_hung()
            if not self._is_stopping:
                self._fill()
        self._stop_children()

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._is_stopping = True

    def _sleep(self, seconds: float) -> None:
        select.select([self._wake_r], [], [], seconds)
        with suppress(BlockingIOError):
            os.read(self._wake_r, 4096)

    def _fill(self) -> None:
        now = time.monotonic()
        busy = {slot for slot, _ in self._started.values()}
        for slot, restart_at in self._restart_at.items():
            if slot not in busy and now >= restart_at:
                self._siblings.tell(slot, connections=0)
                self._started[self._fork(slot)] = slot, now

    def _fork(self, slot: int) -> int:
        parent = os.getpid()
        # A signal that came before the child has its own handlers would set our flag, in its copy.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOP_SIGNALS)
        pid = os.fork()
        if pid:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            return pid
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (*_STOP_SIGNALS, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOP_SIGNALS)
            processes.die_with_parent(parent, signal.SIGTERM)
            place = self._siblings.place(slot)
            server.run(self._application, self._listener, self._limits, place)
            status = 0
        except BaseException:
            logger.exception("a web process failed")
        finally:
            os._exit(status)

    def _reap(self) -> None:
        while self._started:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                self._started.clear()
                return
            if pid == 0:
                return
            slot, began = self._started.pop(pid, (None, 0.0))
            if slot is not None and not self._is_stopping:
                self._restart_at[slot] = began + _QUICK_SECONDS
                logger.error("web process %d ended (status %d)", pid, status)

    def _kill_hung(self) -> None:
        now = time.monotonic()
        stood_still = now - self._looked_at > _LOOK_SECONDS + self._limits.hung_seconds / 2
        self._looked_at = now
        if stood_still:  # the machine did, and its web processes with us: they could not turn
            for slot, _ in self._started.values():
                self._siblings.forgive(slot)
            return
        for pid, (slot, _) in self._started.items():
            silent_seconds = now - self._siblings.turned_at(slot)
            if silent_seconds > self._limits.hung_seconds:
                logger.error("web process %d has not turned for %.0f s", pid, silent_seconds)
                os.kill(pid, signal.SIGKILL)

    def _stop_children(self) -> None:
        deadline = time.monotonic() + self._limits.drain_seconds + _END_SECONDS
        for pid in self._started:
            os.kill(pid, signal.SIGTERM)
        while self._started and time.monotonic() < deadline:
            self._reap()
            if self._started:
                self._sleep(0.2)
        for pid in self._started:
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
