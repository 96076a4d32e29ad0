"""One of our own commands as a child: the web server, the worker, the beat, a task done once."""

import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from oversight.local import processes


@dataclass(slots=True)
class Program:
    """A command that is started, watched and stopped.

    Attributes:
        command: program and arguments.
        env: the child's whole environment, read when it starts.
        log: file that its output is appended to.
        folder: where it runs.
        grace_seconds: between being asked to stop and being killed.
        pass_fds: descriptors it inherits.
        niceness: how far it stands back for other programs.
        reports_ready: it takes `--ready-fd N` and writes there once it serves.
    """

    command: Sequence[str]
    env: Mapping[str, str]
    log: Path
    folder: Path
    grace_seconds: float = 12.0
    pass_fds: Sequence[int] = ()
    niceness: int = 0
    reports_ready: bool = False
    child: subprocess.Popen[bytes] | None = None
    _ready_fd: int | None = field(default=None, repr=False)

    def start(self, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Start it, without waiting for anything."""
        command, fds = list(self.command), list(self.pass_fds)
        report = None
        if self.reports_ready:
            self._close_report()
            self._ready_fd, report = os.pipe()
            command += ["--ready-fd", str(report)]
            fds.append(report)
        self.child = processes.start(
            command,
            env=self.env,
            log=self.log,
            cwd=str(self.folder),
            pass_fds=fds,
            niceness=self.niceness,
        )
        if report is not None:
            os.close(report)

    def is_ready(self) -> bool:
        """Whether it has said so; a program that has ended never will."""
        if self._ready_fd is None or not select.select([self._ready_fd], [], [], 0)[0]:
            return False
        is_ready = bool(os.read(self._ready_fd, 64))
        if is_ready:
            self._close_report()
        return is_ready

    def ask_to_stop(self) -> None:
        if self.child is not None and self.child.poll() is None:
            self.child.send_signal(signal.SIGTERM)

    def stop(self) -> None:
        self._close_report()
        if self.child is not None:
            processes.stop(self.child, by=signal.SIGTERM, grace_seconds=self.grace_seconds)
            self.child = None

    def _close_report(self) -> None:
        if self._ready_fd is not None:
            os.close(self._ready_fd)
            self._ready_fd = None
