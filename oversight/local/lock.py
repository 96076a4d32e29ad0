"""One supervisor for one data folder: a lock that dies with its holder, and says who that is."""

import fcntl
import json
import os
from pathlib import Path
from typing import IO


class AlreadyRunning(Exception):
    """Another supervisor has the folder; the message says which and where."""


def take(path: Path, *, address: str) -> IO[str]:
    """Take the lock; it is held until the file is closed or the process ends, however it ends.

    Args:
        path: the lock's file.
        address: what a second start is told beside our pid.

    Raises:
        AlreadyRunning: somebody else has it.
    """
    lock = path.open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        told = lock.read()
        lock.close()
        holder = json.loads(told) if told.startswith("{") else {}
        raise AlreadyRunning(
            f"already running: pid {holder.get('pid', 'unknown')} "
            f"at {holder.get('address', 'an unknown address')}"
        ) from None
    lock.seek(0)
    lock.truncate()
    lock.write(json.dumps({"pid": os.getpid(), "address": address}))
    lock.flush()
    return lock
