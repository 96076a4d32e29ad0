"""The supervisor behind `manage.py up`: starts parts in order, keeps them running, stops them all.

A part that dies is started again, with a pause that grows while it keeps dying; PostgreSQL
recovers from its own log and the others find it again. A supervisor that is killed takes its
children along by kernel signal, and the next start ends whatever is left (ledger.py).
"""

import os
import select
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType

from oversight.local import logs, processes
from oversight.local.ledger import Ledger
from oversight.local.places import Places
from oversight.local.postgres import Postgres
from oversight.local.programs import Program
from oversight.local.valkey import Valkey

CALM_SECONDS = 60.0  # a part that ran so long is started again without a pause
LONGEST_PAUSE_SECONDS = 30.0
SERVER_ATTEMPTS = 5  # without its database nothing works, so its failure ends everything
_TRIM_EVERY_SECONDS = 60.0

Part = Postgres | Valkey | Program


class StopRequested(Exception):
    """Somebody wants us to end; not an error."""


@dataclass(slots=True)
class _Watched:
    part: Part
    started_at: float
    failures: int = 0
    restart_at: float | None = None


@dataclass
class Supervisor:
    """Runs the parts of one installation on this machine.

    Use it as a context manager: leaving the block stops everything.
    """

    places: Places
    say: Callable[[str], None]
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _stop_requests: int = 0
    _began: float = field(default_factory=time.monotonic)
    _trimmed_at: float = 0.0

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.places.servers / "children.json")
        self._wake_r, self._wake_w = os.pipe()
        for descriptor in (self._wake_r, self._wake_w):
            os.set_blocking(descriptor, False)

    def __enter__(self) -> "Supervisor":
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._on_stop)
        signal.signal(signal.SIGCHLD, lambda number, frame: None)
        signal.set_wakeup_fd(self._wake_w, warn_on_full_buffer=False)
        for name in self._ledger.end_stale():
            self.step(f"ended {name}, left running by a start that was killed")
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_all()
        signal.set_wakeup_fd(-1)

    def step(self, text: str) -> None:
        with suppress(BrokenPipeError):
            self.say(f"[{time.monotonic() - self._began:5.1f} s] {text}")

    def start(self, name: str, part: Part) -> None:
        """Start a part and keep it running; a server has answered when this returns.

        Raises:
            RuntimeError, OSError: it cannot be started.
            StopRequested: meanwhile somebody asked us to end.
        """
        watched = self._watched[name] = _Watched(part, time.monotonic())
        self._launch(name, watched)

    def run_once(self, name: str, program: Program) -> int:
        """Run a program to its end, while the parts are kept running; returns its exit status.

        Raises:
            StopRequested: somebody asked us to end; the program has been stopped.
        """
        program.start()
        assert program.child is not None
        self._ledger.add(name, program.child.pid)
        try:
            while program.child.poll() is None:
                self._tick()
            return program.child.returncode
        finally:
            program.stop()
            self._ledger.remove(name)

    def await_ready(self, name: str, *, seconds: float) -> None:
        """Wait until a program says that it serves.

        Raises:
            RuntimeError: it does not.
            StopRequested: somebody asked us to end.
        """
        program = self._watched[name].part
        assert isinstance(program, Program)
        if not processes.wait_until(
            program.is_ready,
            seconds=seconds,
            alive=lambda: self._is_wanted() and self._is_alive(program),
        ):
            self._check_wanted()
            raise RuntimeError(f"{name} did not start; its log ends:\n{logs.tail(program.log)}")

    def watch(self) -> None:
        """Keep all parts running until somebody asks us to end.

        Raises:
            RuntimeError: a server has died and cannot be brought back.
        """
        with suppress(StopRequested):
            while True:
                self._tick()

    def _tick(self) -> None:
        """Sleep until something happens, then bring back what has died."""
        self._check_wanted()
        self._sleep()
        self._check_wanted()
        for name, watched in self._watched.items():
            if watched.restart_at is None:
                if not self._is_alive(watched.part):
                    self._on_death(name, watched)
            elif time.monotonic() >= watched.restart_at:
                self._revive(name, watched)
        children = [watched.part.child for watched in self._watched.values()]
        processes.collect_orphans({child.pid for child in children if child is not None})
        if time.monotonic() - self._trimmed_at > _TRIM_EVERY_SECONDS:
            self._trimmed_at = time.monotonic()
            logs.trim(self.places.logs)

    def _sleep(self) -> None:
        due = [w.restart_at for w in self._watched.values() if w.restart_at is not None]
        until = min([time.monotonic() + _TRIM_EVERY_SECONDS, *due])
        select.select([self._wake_r], [], [], max(0.0, until - time.monotonic()))
        with suppress(BlockingIOError):
            os.read(self._wake_r, 4096)

    def _on_death(self, name: str, watched: _Watched) -> None:
        child = watched.part.child
        assert child is not None
        processes.end_group(child.pid)
        lived_seconds = time.monotonic() - watched.started_at
        watched.failures = 1 if lived_seconds > CALM_SECONDS else watched.failures + 1
        self.step(f"{name} ended ({_how(child.returncode)}); starting it again")
        if child.returncode >= 0 and (text := logs.tail(watched.part.log)):
            self.step(f"its log ends:\n{text}")
        self._schedule(watched)

    def _schedule(self, watched: _Watched) -> None:
        pause = 0.0 if watched.failures <= 1 else 2.0 ** (watched.failures - 2)
        watched.restart_at = time.monotonic() + min(LONGEST_PAUSE_SECONDS, pause)

    def _revive(self, name: str, watched: _Watched) -> None:
        watched.restart_at = None
        try:
            self._launch(name, watched)
        except (RuntimeError, OSError) as error:
            watched.failures += 1
            self.step(f"{name}: {error}")
            watched.part.stop()
            if not isinstance(watched.part, Program) and watched.failures > SERVER_ATTEMPTS:
                raise RuntimeError(f"{name} cannot be brought back") from error
            self._schedule(watched)
            return
        if not isinstance(watched.part, Program):
            self.step(f"{name} answers again")

    def _launch(self, name: str, watched: _Watched) -> None:
        watched.started_at = time.monotonic()
        try:
            watched.part.start(is_wanted=self._is_wanted)
        except RuntimeError:
            self._check_wanted()
            raise
        assert watched.part.child is not None
        self._ledger.add(name, watched.part.child.pid)

    def _is_alive(self, part: Part) -> bool:
        return part.child is not None and part.child.poll() is None

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        self._stop_requests += 1
        if self._stop_requests > 1:  # a second Ctrl-C: what is left unfinished is done again later
            for watched in self._watched.values():
                if isinstance(watched.part, Program) and self._is_alive(watched.part):
                    processes.end_group(watched.part.child.pid)  # type: ignore[union-attr]

    def _is_wanted(self) -> bool:
        return self._stop_requests == 0

    def _check_wanted(self) -> None:
        if not self._is_wanted():
            raise StopRequested

    def _stop_all(self) -> None:
        """Stop programs together, then the servers, last started first; leave nothing running."""
        programs = {n: w.part for n, w in self._watched.items() if isinstance(w.part, Program)}
        if self._watched:
            self.step("stopping")
        for program in programs.values():
            program.ask_to_stop()
        for name, program in programs.items():
            program.stop()
            self._ledger.remove(name)
        for name, watched in reversed(self._watched.items()):
            if name not in programs:
                watched.part.stop()
                self._ledger.remove(name)
        if self._watched:
            self.step("stopped")


def _how(status: int) -> str:
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"status {status}"
