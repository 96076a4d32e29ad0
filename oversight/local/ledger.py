"""Which children run, on disk: a supervisor killed by -9 leaves it to the next start.

On Linux the kernel has told the children by then; elsewhere, and for what a child has started in
its turn, this file is how they are found. The time of a process's creation stands beside its
pid, since pids are used again.
"""

import json
import os
import signal
from collections.abc import Sequence
from pathlib import Path

import psutil

from oversight.local import processes

_SAME_SECONDS = 2.0  # psutil counts from the boot time, which moves when the clock is set


class Ledger:
    def __init__(self, path: Path) -> None:
        self.path = path
        self._children: dict[str, tuple[int, float]] = {}

    def add(self, name: str, pid: int) -> None:
        try:
            self._children[name] = (pid, psutil.Process(pid).create_time())
        except psutil.NoSuchProcess:
            return
        self._write()

    def remove(self, name: str) -> None:
        if self._children.pop(name, None) is not None:
            self._write()

    def _write(self) -> None:
        fresh = self.path.with_suffix(".new")
        fresh.write_text(json.dumps(self._children))
        fresh.replace(self.path)

    def end_stale(self, *, wait_seconds: float = 10.0) -> list[str]:
        """End what an earlier supervisor left running; returns the names that were found."""
        try:
            stale = json.loads(self.path.read_text())
        except (FileNotFoundError, ValueError):
            return []
        found = {}
        for name, (pid, created) in stale.items():
            if members := _session(pid, created):
                found[name] = members
                # PostgreSQL's fast, clean stop is SIGINT.
                _signal(members, signal.SIGINT if name == "postgres" else signal.SIGTERM)
                _signal(members, signal.SIGCONT)
        everybody = [process for members in found.values() for process in members]
        alive = processes.wait_gone(everybody, seconds=wait_seconds)
        _signal(alive, signal.SIGKILL)
        processes.wait_gone(alive, seconds=5)
        self.path.unlink(missing_ok=True)
        return list(found)


def _session(pid: int, created: float) -> list[psutil.Process]:
    """The processes of a child's session, its leader included if it is still the same one."""
    members = []
    for process in psutil.process_iter():
        try:
            if process.pid == pid:
                if abs(process.create_time() - created) < _SAME_SECONDS:
                    members.append(process)
            # While a session has members its leader's pid is not given to anybody else.
            elif os.getsid(process.pid) == pid and process.create_time() > created - _SAME_SECONDS:
                members.append(process)
        except (psutil.Error, ProcessLookupError, PermissionError):
            continue
    return members


def _signal(members: Sequence[psutil.Process], number: int) -> None:
    for process in members:
        try:
            process.send_signal(number)
        except psutil.NoSuchProcess:
            continue
