"""Child processes that cannot outlive their parent, and that are stopped as a group."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
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
        os._exit(1)  # it died before the call


def start(
    command: Sequence[str],
    *,
    env: Mapping[str, str],
    log: Path,
    account: Account | None = None,
    death_signal: int = signal.SIGTERM,
    cwd: str | None = None,
    pass_fds: Sequence[int] = (),
    umask: int = -1,
    niceness: int = 0,
) -> subprocess.Popen[bytes]:
    """Start a child in a session of its own, so that Ctrl-C reaches the supervisor alone.

    The kernel watches the thread that calls this, not the process: call it from the main thread.

    Args:
        command: program and arguments.
        env: the child's whole environment.
        log: file that its output is appended to.
        account: user to become first; needs root.
        death_signal: what the kernel sends the child when we die (Linux).
        cwd: where it runs.
        pass_fds: descriptors it inherits.
        umask: of the child; ours where absent.
        niceness: above ours: how far it stands back where processors are short.
    """
    parent = os.getpid()

    def become() -> None:
        os.nice(niceness)
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
            umask=umask,
        )


def stop(child: subprocess.Popen[bytes], *, by: int, grace_seconds: float) -> None:
    """Ask a child to stop, and end its whole group when it does not."""
    if child.poll() is None:
        child.send_signal(by)
        child.send_signal(signal.SIGCONT)  # one that was frozen would never hear it
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace_seconds)
    end_group(child.pid)
    child.wait()


def end_group(pgid: int) -> None:
    """Kill what is left of a child's session."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pgid, signal.SIGKILL)


def wait_gone(members: Iterable[psutil.Process], *, seconds: float) -> list[psutil.Process]:
    """Wait for processes that need not be our children; returns those that still run.

    One that has ended but that nobody collects, as in a container without an init, is gone.
    """
    left = list(members)

    def are_gone() -> bool:
        left[:] = [process for process in left if _runs(process)]
        return not left

    wait_until(are_gone, seconds=seconds)
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def collect_orphans(ours: Container[int]) -> None:
    """As the init of a container: collect ended processes that were handed to us.

    Args:
        ours: children that somebody waits for, to be left alone.
    """
    if os.getpid() != 1:
        return
    for child in psutil.Process().children():
        if child.pid not in ours and not _runs(child):
            with suppress(ChildProcessError):
                os.waitpid(child.pid, os.WNOHANG)


def wait_until(
    ready: Callable[[], bool], *, seconds: float, alive: Callable[[], bool] = lambda: True
) -> bool:
    """Wait for `ready`, at most so long, and no longer than what it waits for is `alive`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        if not alive():
            return False
        time.sleep(0.05)
    return False
