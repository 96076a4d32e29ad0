"""psycopg, with connections whose waits end: a DB-API module as Django's backend expects it.

Outside a request (`allowances.current()` is None) nothing differs from psycopg's own connection.
"""

import time
from collections.abc import Generator
from typing import Any, Self, TypeVar

import psycopg
from psycopg import *  # noqa: F403  a DB-API module has the names of the driver below it
from psycopg import errors

from oversight.lib import allowance as allowances
from oversight.lib.postgres.breaker import Breaker, State

_CONNECT_SECONDS = 4  # whole seconds, at least 2: libpq's rule
_PROBE_SECONDS = 2
_breakers: dict[tuple[str, str], Breaker] = {}

T = TypeVar("T")


class DatabaseUnresponsive(psycopg.OperationalError):
    """The server did not answer within the request's deadline, or lately has not."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait honours the deadline of the request being served."""

    # How to reach the same server again, for a probe; and what is known of that server.
    _address: dict[str, Any]
    _breaker: Breaker
    heard_at = 0.0  # when the server last answered, monotonic

    @classmethod
    def connect(cls, conninfo: str = "", **kwargs: Any) -> Self:
        allowance = allowances.current()
        address = {name: kwargs[name] for name in kwargs.keys() & _ADDRESS}
        if allowance is None:
            made = super().connect(conninfo, **kwargs)
        else:
            _check_admission(address)
            patience = int(min(_CONNECT_SECONDS, allowance.next_wait_seconds()))
            kwargs["connect_timeout"] = max(_PROBE_SECONDS, patience)
            began = time.monotonic()
            try:
                made = super().connect(conninfo, **kwargs)
            except errors.ConnectionTimeout as error:
                _breaker(address).suspect()
                raise DatabaseUnresponsive("the database accepts no connection") from error
            finally:
                allowance.spend(time.monotonic() - began)
        made._address, made._breaker = address, _breaker(address)
        return made

    def wait(
        self,
        gen: Generator[Any, Any, T],
        interval: float = 0.1,
        timeout: float | None = None,
    ) -> T:
        allowance = allowances.current()
        if allowance is None:
            answer = super().wait(gen, interval, timeout)
            self.heard_at = time.monotonic()
            return answer
        if self._breaker.state is not State.CLOSED:
            _check_admission(self._address)
        patience = allowance.next_wait_seconds()
        if timeout is not None and timeout < patience:
            return super().wait(gen, interval, timeout)
        began = time.monotonic()
        try:
            answer = super().wait(gen, interval, patience)
            self.heard_at = time.monotonic()
            return answer
        except errors._WaitTimeout as error:
            # Whatever the server may still send belongs to a question nobody asks any more.
            self.close()
            if patience >= allowances.TELLING_SECONDS:
                self._breaker.suspect()
            raise DatabaseUnresponsive("the database does not answer") from error
        finally:
            allowance.spend(time.monotonic() - began)


connect = BoundedConnection.connect

_ADDRESS = frozenset({"host", "port", "dbname", "user", "password", "sslmode", "sslrootcert"})


def _breaker(address: dict[str, Any]) -> Breaker:
    server = str(address.get("host", "")), str(address.get("port", ""))
    return _breakers.setdefault(server, Breaker())


def _check_admission(address: dict[str, Any]) -> None:
    if not _breaker(address).admits(lambda: _answers(address)):
        raise DatabaseUnresponsive("the database has not answered lately")


class _Probe(psycopg.Connection[Any]):
    """A connection that asks one thing and gives up soon, whatever is being served."""

    def wait(
        self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None
    ) -> T:
        return super().wait(gen, interval, _PROBE_SECONDS)


def _answers(address: dict[str, Any]) -> bool:
    """Whether the server says anything at all on a fresh connection, be it a refusal."""
    try:
        with _Probe.connect(**address, connect_timeout=_PROBE_SECONDS, autocommit=True) as probe:
            probe.execute("SELECT 1")
    except (errors.ConnectionTimeout, errors._WaitTimeout):
        return False
    except psycopg.OperationalError:
        return True  # too many clients, starting up, refused: the caller will hear it at once
    return True
