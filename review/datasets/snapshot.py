"""One moment of the database, read by server-side cursor or COPY: memory stays flat.

The connection is its own, so that the job can report its progress, which writes, meanwhile.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import psycopg
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import QuerySet
from psycopg.abc import Buffer

CHUNK = 2_000
_ISOLATION = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"


class Present:
    """Reads on the thread's own connection, each queryset as it stands when it is read."""

    def rows(self, found: QuerySet[Any], *names: str) -> Iterator[dict[str, Any]]:
        """The columns `names` of each row, in order."""
        yield from found.values(*names).iterator(chunk_size=CHUNK)


class Snapshot:
    """Reads querysets as they stood at the snapshot's first statement."""

    def __init__(self, connection: BaseDatabaseWrapper) -> None:
        self._connection = connection
        with connection.cursor() as cursor:
            cursor.execute(_ISOLATION)
            cursor.execute("SELECT now()")
            self.taken_at: datetime = cursor.fetchone()[0]

    def rows(self, found: QuerySet[Any], *names: str) -> Iterator[dict[str, Any]]:
        """The columns `names` (fields, lookups or annotations) of each row, in order."""
        query = found.values_list(*names).query
        # A queryset finds its connection by alias, and an alias is shared by the whole thread:
        # the compiler takes the connection itself.
        compiler = query.get_compiler(connection=self._connection)
        for row in compiler.results_iter(chunked_fetch=True, chunk_size=CHUNK, tuple_expected=True):
            yield dict(zip(names, row, strict=True))

    def lines(self, found: QuerySet[Any], *names: str) -> Generator[Buffer, None, None]:
        """The same as lines of CSV, as COPY writes them: one item a row.

        They may be read in another thread, while the connection does nothing else.
        """
        query = found.values_list(*names).query
        sql, parameters = query.get_compiler(connection=self._connection).as_sql()
        return _copy(self._connection.connection, sql, parameters)


def _copy(
    connection: psycopg.Connection[Any], sql: str, parameters: Sequence[Any]
) -> Generator[Buffer, None, None]:
    command = f"COPY ({sql}) TO STDOUT (FORMAT csv)"
    with connection.cursor() as cursor, cursor.copy(command, parameters) as copy:
        yield from copy


@contextmanager
def take() -> Iterator[Snapshot]:
    """A snapshot, open while the context lasts."""
    connection = connections.create_connection("default")
    connection.set_autocommit(False)
    try:
        yield Snapshot(connection)
    finally:
        connection.close()
