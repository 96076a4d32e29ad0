"""The database backend: `ENGINE = "oversight.lib.postgres"`.

psycopg's `wait` is where every query waits for the server, so a deadline there bounds them all:
queries, COPY, server-side cursors, commits. It costs one clock reading a wait.
"""

from typing import Any

import psycopg
from django.core.exceptions import ImproperlyConfigured
from django.db.backends.postgresql import base
from psycopg import errors

from oversight.lib.deadline import breaker, remaining_seconds

CONNECT_SECONDS = 3
_SHORTEST_CONNECT_SECONDS = 2  # libpq counts whole seconds and takes less than 2 as 2


class DatabaseUnresponsive(psycopg.OperationalError):
    """The server did not answer within the deadline; what it was doing may still commit."""


class DeadlineConnection(psycopg.Connection[Any]):
    def wait(
        self, gen: Any, interval: float = 0.1, timeout: float | None = None
    ) -> Any:
        left = remaining_seconds()
        if left is None:
            return super().wait(gen, interval=interval, timeout=timeout)
        if timeout is not None and timeout <= left:
            return super().wait(gen, interval=interval, timeout=timeout)
        try:
            result = super().wait(gen, interval=min(interval, left), timeout=left)
        except errors._WaitTimeout:
            # The connection is in an unknown state: the answer may still come.
            self.pgconn.finish()
            breaker.open()
            raise DatabaseUnresponsive("the database did not answer in time") from None
        if breaker.is_open:
            breaker.close()
        return result


class DatabaseWrapper(base.DatabaseWrapper):
    def get_new_connection(self, conn_params: dict[str, Any]) -> DeadlineConnection:
        """Connect; no longer than the deadline allows."""
        if "isolation_level" in self.settings_dict["OPTIONS"] or self.pool:
            raise ImproperlyConfigured("isolation_level and pool are not supported here")
        self.isolation_level = base.IsolationLevel.READ_COMMITTED
        left = remaining_seconds()
        if left is not None and left < _SHORTEST_CONNECT_SECONDS:
            breaker.open()
            raise DatabaseUnresponsive("no time is left to connect to the database")
        limit = CONNECT_SECONDS if left is None else min(CONNECT_SECONDS, int(left))
        try:
            return DeadlineConnection.connect(**{**conn_params, "connect_timeout": limit})
        except psycopg.OperationalError:
            if left is not None:
                breaker.open()
            raise
