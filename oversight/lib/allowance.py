"""What a request may still spend on waiting for the database, known to whoever waits for it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

# Less silence than this, at the end of a request that has waited often, says nothing of the server.
TELLING_SECONDS = 1.0


@dataclass(slots=True)
class Allowance:
    """What is left to a request: waiting in all, and the longest single wait, in seconds."""

    seconds: float
    silence_seconds: float

    @property
    def is_telling(self) -> bool:
        """Whether the server is at fault if it does not answer within the next wait."""
        return self.next_wait_seconds() >= TELLING_SECONDS

    def next_wait_seconds(self) -> float:
        return max(0.0, min(self.seconds, self.silence_seconds))

    def spend(self, seconds: float) -> None:
        self.seconds -= seconds


_allowance: ContextVar[Allowance | None] = ContextVar("database_allowance", default=None)


def current() -> Allowance | None:
    """The allowance of the request being served; None outside requests."""
    return _allowance.get()


@contextmanager
def limited(seconds: float, *, silence_seconds: float | None = None) -> Iterator[Allowance]:
    """Bound every wait for the database inside the block.

    Args:
        seconds: waiting in all.
        silence_seconds: the longest single wait; `seconds` where absent.
    """
    allowance = Allowance(seconds, seconds if silence_seconds is None else silence_seconds)
    token = _allowance.set(allowance)
    try:
        yield allowance
    finally:
        _allowance.reset(token)
