"""The database between tests that commit: emptied of what they have written, and of nothing else.

Django's flush truncates every table, which makes new files for each of them and its indexes: ten
times the work of deleting a few hundred rows and giving their pages back.
"""

from django.db import connection, transaction
from psycopg import sql

from tests.sessions import without_triggers

_WRITTEN = """
    SELECT relname FROM pg_class
    WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace
      AND relname <> 'django_migrations' AND pg_relation_size(oid) > 0
"""
_FORGET = "SELECT pg_clear_relation_stats('public', name) FROM unnest(%s::text[]) AS name"


def written_tables() -> list[str]:
    """The tables, partitions among them, that rows were written to since they were emptied."""
    with connection.cursor() as cursor:
        cursor.execute(_WRITTEN)
        return [name for (name,) in cursor.fetchall()]


def empty_database() -> None:
    """Delete every row of every table; append-only ones would refuse it, hence no triggers."""
    if not (names := written_tables()):
        return
    written = [sql.Identifier(name) for name in names]
    tables = sql.SQL(", ").join(written)
    deletes = [sql.SQL("DELETE FROM {}").format(table) for table in written]
    with connection.cursor() as cursor:
        with without_triggers(), transaction.atomic():
            # Sessions that the test has left behind end what they are at first.
            cursor.execute(sql.SQL("LOCK TABLE {}").format(tables))
            cursor.execute(sql.SQL("; ").join(deletes))
        # A table without pages is one that the next test's end passes over.
        cursor.execute(sql.SQL("VACUUM (SKIP_LOCKED) {}").format(tables))
        # The planner must not take a table for one that is known to stay empty.
        cursor.execute(_FORGET, [names])
