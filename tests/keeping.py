"""A world that is dear to make, made once for a module and put back for each of its tests.

Tests that commit cannot share rows that they change. What was committed is copied aside, table by
table, and copied back, with the same ids: some hundredths of a second for a world of seconds.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

from django.db import connection, transaction
from psycopg import sql

from oversight.tenancy.models import Project
from tests.emptying import empty_database, written_tables
from tests.sessions import without_triggers

_numbers = itertools.count(1)
_COLUMNS = """
    SELECT attname FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = ''
"""


@dataclass(frozen=True)
class Kept:
    """The rows of a project and of all around it, in a schema aside."""

    project_id: int
    schema: sql.Identifier
    columns: dict[str, sql.Composed]

    @classmethod
    def of(cls, build: Callable[[], Project]) -> "Kept":
        """Build a project in an empty database, and leave the database empty again."""
        empty_database()
        made = cls(build().pk, sql.Identifier(f"kept_{next(_numbers)}"), {})
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("CREATE SCHEMA {}").format(made.schema))
            for table in written_tables():
                cursor.execute(_COLUMNS, [table])
                columns = sql.SQL(", ").join(sql.Identifier(name) for (name,) in cursor.fetchall())
                made.columns[table] = columns
                copy = sql.SQL("CREATE UNLOGGED TABLE {}.{} AS SELECT {} FROM {}")
                place = sql.Identifier(table)
                cursor.execute(copy.format(made.schema, place, columns, place))
        empty_database()
        return made

    def put_back(self) -> Project:
        """The project, as it was when it had been built, alone in the database."""
        empty_database()
        insert = sql.SQL("INSERT INTO {0} ({2}) SELECT {2} FROM {1}.{0}")
        with connection.cursor() as cursor, without_triggers(), transaction.atomic():
            for table, columns in self.columns.items():
                cursor.execute(insert.format(sql.Identifier(table), self.schema, columns))
        return Project.objects.get(pk=self.project_id)

    def drop(self) -> None:
        with connection.cursor() as cursor:
            cursor.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(self.schema))
