"""Hand-written statements, for what runs at every claim, verdict and small post.

A queryset is built and planned anew each time, which costs several times what PostgreSQL needs to
answer. These have a fixed text: the server plans it once a connection.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Generic, TypeVar, cast

from django.db import NotSupportedError, connection, models
from psycopg.errors import FeatureNotSupported

from oversight.lib.postgres.base import DatabaseWrapper

M = TypeVar("M", bound=models.Model)


def fetch(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """The rows of one statement; its parameters are named, and bound by the server."""
    try:
        return _run(statement, values)
    except NotSupportedError as error:
        # It has not run. Within a transaction, its rollback forgets what was prepared.
        if connection.in_atomic_block or not is_outdated_plan(error):
            raise
        connection.close()
        return _run(statement, values)


def is_outdated_plan(error: Exception) -> bool:
    """Whether a migration has changed a column's type since the statement was prepared."""
    cause = error.__cause__
    # The message may be in any language; the place in the server's source is not.
    return (
        isinstance(cause, FeatureNotSupported)
        and cause.diag.source_function == "RevalidateCachedQuery"
    )


def _run(statement: str, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    with cast(DatabaseWrapper, connection).prepared_cursor() as cursor:
        cursor.execute(statement, values)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


class Columns(Generic[M]):
    """A model's columns in a statement, and the way back from its rows to instances.

    Args:
        model: whose table it is.
        alias: the table's name in the statement.
        only: the fields to read, beside the key; all by default.
        without: fields not to read.
    """

    def __init__(
        self,
        model: type[M],
        alias: str,
        *,
        only: Collection[str] = (),
        without: Collection[str] = (),
    ) -> None:
        self._model = model
        self._fields = [
            field
            for field in model._meta.concrete_fields
            if (not only or field.primary_key or field.name in only) and field.name not in without
        ]
        self._names = [field.attname for field in self._fields]
        self._sql = ", ".join(f'{alias}."{field.column}"' for field in self._fields)

    def __str__(self) -> str:
        return self._sql

    def take(self, row: Iterator[Any]) -> M:
        """An instance from the next values of a row, one for each column; what is not read waits.

        Reading a field that was left out asks the database, as with `QuerySet.only`.
        """
        values = []
        for field in self._fields:
            value = next(row)
            for convert in field.get_db_converters(connection):
                value = convert(value, field, connection)
            values.append(value)
        return self._model.from_db(connection.alias, self._names, values)
