"""How much is being taken in at the same time, in bytes of this process: memory has a bound.

A body costs several times its size while it is decoded, scored and written. Small ones never wait.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from oversight.lib import allowance, errors

CAPACITY_BYTES = 8 * 1024 * 1024  # at once; a larger body is taken in alone
SMALL_BYTES = 64 * 1024
WAIT_SECONDS = 3.0
_EXPANSION = 6  # of compressed bodies, as a guess before they are read


class Room:
    """A semaphore over bytes. First come, first served, so that a large body is not passed over."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._taken = 0
        self._free = threading.Condition()
        self._turn = threading.Lock()

    @contextmanager
    def taken(self, n_bytes: int, *, wait_seconds: float = WAIT_SECONDS) -> Iterator["Share"]:
        """Hold so many bytes for the block.

        Args:
            wait_seconds: for room, and no longer than the request may still wait for the database.

        Raises:
            Unavailable: there was no room within that time.
        """
        share = Share(self)
        n_bytes = self._needed(n_bytes)
        if n_bytes:
            left = allowance.current()
            if left is not None:
                wait_seconds = min(wait_seconds, left.next_wait_seconds())
            began = time.monotonic()
            self._take(n_bytes, began + wait_seconds)
            share.n_bytes = n_bytes
            if left is not None:
                left.spend(time.monotonic() - began)
        try:
            yield share
        finally:
            share.resize(0)

    def _needed(self, n_bytes: int) -> int:
        return 0 if n_bytes <= SMALL_BYTES else min(n_bytes, self._capacity)

    def _take(self, n_bytes: int, until: float) -> None:
        if not self._turn.acquire(timeout=max(0.0, until - time.monotonic())):
            raise _full()
        try:
            with self._free:
                if not self._free.wait_for(
                    lambda: self._taken + n_bytes <= self._capacity, until - time.monotonic()
                ):
                    raise _full()
                self._taken += n_bytes
        finally:
            self._turn.release()

    def _exchange(self, held: int, n_bytes: int) -> None:
        with self._free:
            if n_bytes > held and self._taken + n_bytes - held > self._capacity:
                raise _full()
            self._taken += n_bytes - held
            self._free.notify_all()


class Share:
    """What one body holds of a room."""

    def __init__(self, room: Room) -> None:
        self._room = room
        self.n_bytes = 0

    def resize(self, n_bytes: int) -> None:
        """Hold what a body of so many bytes needs, more or less than before.

        Raises:
            Unavailable: there is not as much. Nobody waits for room while holding some: two who did
                would wait for each other.
        """
        needed = self._room._needed(n_bytes)
        if needed != self.n_bytes:
            self._room._exchange(self.n_bytes, needed)
            self.n_bytes = needed

    def grow(self, n_bytes: int) -> None:
        """Hold what so many bytes need, and no less than before; raises as `resize` does."""
        self.resize(max(n_bytes, self.n_bytes))


def expected_bytes(announced: int, encoding: str) -> int:
    """What a body will come to, from its headers."""
    return announced * _EXPANSION if encoding.strip().lower() == "gzip" else announced


def _full() -> errors.Unavailable:
    return errors.Unavailable(
        "too much is being taken in", code="overloaded", retry_after_seconds=1
    )
