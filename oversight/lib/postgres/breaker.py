"""A circuit breaker: after one request has found the server frozen, no other waits for it.

A request that ran into its deadline only raises a suspicion. The next one asks the server by a
short probe, while the others wait for that answer; a server that answers anything is alive. One
that does not is left alone for a moment, and everybody is refused at once until a probe succeeds.
"""

import threading
import time
from collections.abc import Callable
from enum import Enum


class State(Enum):
    CLOSED = "closed"  # requests pass
    SUSPECT = "suspect"  # the next request probes, the others wait for its answer
    OPEN = "open"  # all are refused; after a pause, one probes


class Breaker:
    """The state that all threads of a process share about one server."""

    def __init__(self, *, pause_seconds: float = 1.0, patience_seconds: float = 0.5) -> None:
        self._pause_seconds = pause_seconds
        self._patience_seconds = patience_seconds
        self._changed = threading.Condition()
        self._state = State.CLOSED
        self._is_probing = False
        self._probe_again_at = 0.0

    @property
    def state(self) -> State:
        return self._state

    def _is(self, state: State) -> bool:
        return self._state is state

    def suspect(self) -> None:
        """Somebody has waited in vain."""
        with self._changed:
            if self._is(State.CLOSED):
                self._state = State.SUSPECT

    def admits(self, probe: Callable[[], bool]) -> bool:
        """Whether a request may turn to the server.

        Args:
            probe: asks the server, soon gives up, says whether it answered; called by at most
                one thread at a time.
        """
        if self._is(State.CLOSED):  # the common case takes no lock
            return True
        with self._changed:
            if self._is_probing and self._is(State.SUSPECT):
                self._changed.wait_for(lambda: not self._is_probing, self._patience_seconds)
            if self._is(State.CLOSED):
                return True
            is_early = self._is(State.OPEN) and time.monotonic() < self._probe_again_at
            if self._is_probing or is_early:
                return False
            self._is_probing = True
        is_alive = False
        try:
            is_alive = probe()
        finally:
            with self._changed:
                self._is_probing = False
                self._state = State.CLOSED if is_alive else State.OPEN
                self._probe_again_at = time.monotonic() + self._pause_seconds
                self._changed.notify_all()
        return is_alive
