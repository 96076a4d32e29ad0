"""Django's PostgreSQL backend over our driver; requests' connections have a statement timeout."""

import select
import time
from typing import Any

import psycopg
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import DatabaseError
from django.db.backends.postgresql import base, operations
from django.db.backends.utils import CursorWrapper

from oversight.lib import allowance
from oversight.lib.postgres import driver

# Django looks whether a connection still works before and after a request too, where there is no
# allowance: a frozen server would hold the thread there for good.
CHECK_SECONDS = 2.0
# A server that goes away closes its connections, which this end sees without asking. Only where
# the network between may have lost that is there a reason to ask, and hardly this soon.
TRUST_SECONDS = 5.0


class DatabaseOperations(operations.DatabaseOperations):
    def last_executed_query(self, cursor: Any, sql: Any, params: Any) -> str:
        # Parameters that the server binds travel apart from the text; logs want them in it.
        if params and not isinstance(cursor, psycopg.ClientCursor):
            try:
                return str(self.compose_sql(sql, params))
            except (psycopg.Error, DatabaseError):  # must not hide what went wrong before
                return str(sql)
        return str(super().last_executed_query(cursor, sql, params))


class DatabaseWrapper(base.DatabaseWrapper):
    Database = driver
    health_check_done: bool
    ops_class = DatabaseOperations

    def close_if_health_check_failed(self) -> None:
        """Django asks the server at the start of every request: a round trip, seldom needed."""
        if self.connection is not None and not self.health_check_done:
            self.health_check_done = self._is_surely_usable()
        super().close_if_health_check_failed()

    def _is_surely_usable(self) -> bool:
        """Whether the server has answered lately, without an error, and said nothing since."""
        connection = self.connection
        if self.errors_occurred or time.monotonic() - connection.heard_at > TRUST_SECONDS:
            return False
        poll = select.poll()
        try:
            poll.register(connection.fileno(), select.POLLIN)
        except driver.Error:  # closed on our side
            return False
        return not poll.poll(0)

    def is_usable(self) -> bool:
        left = allowance.current()
        seconds = CHECK_SECONDS if left is None else min(CHECK_SECONDS, left.next_wait_seconds())
        with allowance.limited(seconds) as check:
            is_usable: bool = super().is_usable()
        if left is not None:
            left.spend(seconds - check.seconds)
        return is_usable

    def prepared_cursor(self) -> CursorWrapper:
        """A cursor whose parameters the server binds: it plans a statement once a connection.

        For hand-written statements that run often; Django's own are bound by the client.
        """
        self.close_if_health_check_failed()
        self.ensure_connection()
        with self.wrap_database_errors:
            cursor = psycopg.Cursor(self.connection)
        prepared: CursorWrapper = self._prepare_cursor(cursor)  # type: ignore[attr-defined]
        return prepared

    def get_connection_params(self) -> dict[str, Any]:
        if self.settings_dict["OPTIONS"].get("pool"):
            # A pool connects in threads of its own, where no request's deadline is known.
            raise ImproperlyConfigured("oversight.lib.postgres keeps connections; it has no pool")
        params: dict[str, Any] = super().get_connection_params()
        timeout_ms = int(getattr(settings, "DATABASE_STATEMENT_TIMEOUT_MS", 0))
        # Threads that serve requests do nothing else, so it costs no round trip to let the whole
        # connection have it. Behind a pooler that refuses `options`, set 0 and give the role one.
        if timeout_ms and allowance.current() is not None:
            given = params.get("options", "")
            params["options"] = f"{given} -c statement_timeout={timeout_ms}".strip()
        return params
