"""Child processes that cannot outlive their parent, and that are stopped as a group."""

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True)
class Account:
    """The system user that servers run as where we are root, which PostgreSQL refuses to be."""

    uid: int
    gid: int


def die_with_parent(parent: int, number: int) -> None:
    """Have the kernel signal this process when its parent dies (Linux; elsewhere nothing)."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)  # the parent died before the call


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    account: Account | None = None,
    death_signal: int = signal.SIGTERM,
    cwd: str | None = None,
    pass_fds: Sequence[int] = (),
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that Ctrl-C reaches the supervisor alone.

    Args:
        command: program and arguments.
        env: the child's whole environment.
        log: file that its output is appended to.
        account: user to become first; needs root.
        death_signal: what the kernel sends the child when we die (Linux).
        cwd: where it runs.
        pass_fds: descriptors it inherits.
    """
    parent = os.getpid()

    def become() -> None:
        if account is not None:
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
        die_with_parent(parent, death_signal)  # after the change of user, which would clear it

    with log.open("ab") as out:
        return subprocess.Popen(  # noqa: S603  our own programs, no shell
            command,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=become,
            cwd=cwd,
            pass_fds=pass_fds,
        )


def stop(child: subprocess.Popen[bytes], *, by: int, grace_seconds: float) -> None:
    """Ask a child to stop, and end its whole group when it does not."""
    if child.poll() is None:
        child.send_signal(by)
        try:
            child.wait(grace_seconds)
        except subprocess.TimeoutExpired:
            pass
    end_group(child.pid)
    child.wait()


def end_group(pgid: int) -> None:
    """Kill what is left of a child's session."""
    try:
        os.killpg(pgid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


class Ledger:
    """Which children run, on disk: a supervisor killed by -9 leaves it to the next start.

    The time of a process's creation stands beside its pid, since pids are used again.
    """

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
        self._children.pop(name, None)
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
        found = []
        for name, (pid, created) in stale.items():
            members = _group(pid, created)
            if members:
                found.append(name)
                # PostgreSQL: SIGINT is a fast, clean stop. Others stop by SIGTERM.
                _signal(members, signal.SIGINT if name == "postgres" else signal.SIGTERM)
                _, alive = psutil.wait_procs(members, timeout=wait_seconds)
                _signal(alive, signal.SIGKILL)
                psutil.wait_procs(alive, timeout=5)
        self.path.unlink(missing_ok=True)
        return found


def _group(pid: int, created: float) -> list[psutil.Process]:
    """The processes of a stale child's session, its leader included if it is still the same."""
    members = []
    for process in psutil.process_iter():
        try:
            if process.pid == pid:
                if abs(process.create_time() - created) < 1:
                    members.append(process)
            elif os.getsid(process.pid) == pid and process.create_time() >= created - 1:
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


def wait_until(ready: Callable[[], bool], *, seconds: float, alive: Callable[[], bool]) -> bool:
    """Wait for `ready`, at most so long, and no longer than the process is `alive`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        if not alive():
            return False
        time.sleep(0.05)
    return False
