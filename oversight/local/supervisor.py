"""The supervisor behind `manage.py up`: starts parts in order, watches them, stops them in reverse.

Servers (PostgreSQL, Valkey) and programs (web, worker, beat) that die are started again, with a
pause that grows; PostgreSQL recovers from its own log. A supervisor that is killed takes its
children along by kernel signal, and the next start ends whatever is left (ledger.py).
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from oversight.local import processes
from oversight.local.ledger import Ledger
from oversight.local.places import Places
from oversight.local.postgres import Postgres
from oversight.local.valkey import Valkey

_LONGEST_PAUSE_SECONDS = 30.0
_CALM_SECONDS = 60.0  # a part that ran so long starts again without a pause


class AlreadyRunning(Exception):
    """Another supervisor holds the data folder; the message says which."""


@dataclass(frozen=True, slots=True)
class Program:
    """A part that is one of our own commands."""

    name: str
    arguments: Sequence[str]
    stop_seconds: float = 15.0


@dataclass(slots=True)
class _Running:
    child: subprocess.Popen[bytes]
    since: float
    pause: float = 0.5


@dataclass
class Supervisor:
    """Runs one installation on this machine."""

    places: Places
    base: Path
    say: Callable[[str], None]
    env: dict[str, str] = field(default_factory=dict)
    postgres: Postgres | None = None
    valkey: Valkey | None = None
    _running: dict[str, _Running] = field(default_factory=dict)
    _programs: dict[str, Program] = field(default_factory=dict)
    _stopping: bool = False
    _lock: IO[str] | None = None
    _began: float = field(default_factory=time.monotonic)

    def __post_init__(self) -> None:
        self._ledger = Ledger(self.places.data / "children.json")

    def lock(self, told: dict[str, str | int]) -> None:
        """Take the data folder for ourselves.

        Args:
            told: what a second start is told about us.

        Raises:
            AlreadyRunning: somebody else has it.
        """
        path = self.places.data / "up.lock"
        self._lock = path.open("a+")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._lock.seek(0)
            holder = json.loads(self._lock.read() or "{}")
            raise AlreadyRunning(
                f"already running on {self.places.data}: pid {holder.get('pid', '?')}, "
                f"{holder.get('address', 'address unknown')}"
            ) from None
        self._lock.truncate(0)
        self._lock.write(json.dumps({"pid": os.getpid(), **told}))
        self._lock.flush()
        for name in self._ledger.end_stale():
            self.step(f"ended {name}, left over from a start that was killed")

    def step(self, text: str) -> None:
        self.say(f"[{time.monotonic() - self._began:5.1f} s] {text}")

    def start_servers(self) -> None:
        """Start what has no address in the environment, and put the addresses there."""
        if "DATABASE_URL" not in self.env:
            self.step("starting PostgreSQL")
            self.postgres = Postgres(self.places)
            self._start_server("postgres", self.postgres)
            self.env["DATABASE_URL"] = self.postgres.url
        if "REDIS_URL" not in self.env:
            self.step("starting Valkey")
            self.valkey = Valkey(self.places)
            self._start_server("valkey", self.valkey)
            self.env["REDIS_URL"] = self.valkey.url

    def publish_addresses(self) -> None:
        """Leave the servers' addresses in the data folder for other commands to find."""
        path = self.places.data / "addresses.json"
        path.touch(mode=0o600)
        names = ("DATABASE_URL", "REDIS_URL")
        path.write_text(json.dumps({name: self.env[name] for name in names}))

    def _start_server(self, name: str, server: Postgres | Valkey) -> None:
        server.start()
        assert server.child is not None
        self._running[name] = _Running(server.child, time.monotonic())
        self._ledger.add(name, server.child.pid)

    def run_once(self, *arguments: str) -> None:
        """Run one of our commands to its end.

        Raises:
            RuntimeError: it failed; the message names its log.
        """
        log = self.places.logs / f"{arguments[0]}.log"
        child = processes.start(self._command(arguments), env=self.env, log=log, cwd=str(self.base))
        if child.wait() != 0:
            raise RuntimeError(f"`manage.py {arguments[0]}` failed; see {log}")

    def start_program(self, program: Program) -> None:
        """Start a program and keep it running."""
        self._programs[program.name] = program
        self._launch(program)

    def _launch(self, program: Program) -> None:
        child = processes.start(
            self._command(program.arguments),
            env=self.env,
            log=self.places.logs / f"{program.name}.log",
            cwd=str(self.base),
        )
        pause = self._running[program.name].pause if program.name in self._running else 0.5
        self._running[program.name] = _Running(child, time.monotonic(), pause)
        self._ledger.add(program.name, child.pid)

    def _command(self, arguments: Sequence[str]) -> list[str]:
        if arguments[0] == "celery":
            return [sys.executable, "-m", *arguments]
        return [sys.executable, str(self.base / "manage.py"), *arguments]

    def request_stop(self, *_: object) -> None:
        self._stopping = True

    def watch(self) -> None:
        """Keep all parts running until a stop is requested."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.request_stop)
        while not self._stopping:
            for name, running in list(self._running.items()):
                if running.child.poll() is not None and not self._stopping:
                    self._revive(name, running)
            time.sleep(0.2)

    def _revive(self, name: str, running: _Running) -> None:
        calm = time.monotonic() - running.since > _CALM_SECONDS
        pause = 0.5 if calm else running.pause
        self.step(f"{name} ended (status {running.child.returncode}); starting it again")
        processes.end_group(running.child.pid)
        self._sleep(pause)
        if self._stopping:
            return
        server = {"postgres": self.postgres, "valkey": self.valkey}.get(name)
        if server is not None:
            server.start()
            assert server.child is not None
            self._running[name] = _Running(server.child, time.monotonic())
            self._ledger.add(name, server.child.pid)
        else:
            self._launch(self._programs[name])
        self._running[name].pause = min(_LONGEST_PAUSE_SECONDS, pause * 2)

    def _sleep(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while not self._stopping and time.monotonic() < until:
            time.sleep(0.05)

    def stop_all(self) -> None:
        """Stop everything, last started first, and leave nothing running."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for name in reversed([*self._running]):
            if name in self._programs:
                self.step(f"stopping {name}")
                program = self._programs[name]
                processes.stop(
                    self._running[name].child,
                    by=signal.SIGTERM,
                    grace_seconds=program.stop_seconds,
                )
                self._ledger.remove(name)
        for name, server in (("valkey", self.valkey), ("postgres", self.postgres)):
            if server is not None:
                self.step(f"stopping {name}")
                server.stop()
                self._ledger.remove(name)
