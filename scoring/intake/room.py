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
    def taken(self, n_bytes: int, *, wait_seconds: float = WAIT_SECONDS) -> Iterator[None]:
        """Hold so many bytes for the block.

        Args:
            wait_seconds: for room, and no longer than the request may still wait for the database.

        Raises:
            Unavailable: there was no room within that time.
        """
        if n_bytes <= SMALL_BYTES:
            yield
            return
        n_bytes = min(n_bytes, self._capacity)
        left = allowance.current()
        if left is not None:
            wait_seconds = min(wait_seconds, left.next_wait_seconds())
        began = time.monotonic()
        self._take(n_bytes, began + wait_seconds)
        if left is not None:
            left.spend(time.monotonic() - began)
        try:
            yield
        finally:
            with self._free:
                self._taken -= n_bytes
                self._free.notify_all()

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


def expected_bytes(announced: int, encoding: str) -> int:
    """What a body will come to, from its headers."""
    return announced * _EXPANSION if encoding.strip().lower() == "gzip" else announced


def _full() -> errors.Unavailable:
    return errors.Unavailable(
        "too much is being taken in", code="overloaded", retry_after_seconds=1
    )
