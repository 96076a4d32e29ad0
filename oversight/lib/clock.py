"""Time: always UTC, always aware; leases go by the database's clock, never by a process's."""

from datetime import UTC, datetime, timedelta

from django.db import connection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)


def now() -> datetime:
    return datetime.now(UTC)


def database_now() -> datetime:
    """The database's clock, which every process shares; constant within a transaction."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT now()")
        value: datetime = cursor.fetchone()[0]
    return value


def rfc3339(moment: datetime) -> str:
    """`2026-10-20T00:01:27.320Z`: UTC to the millisecond, as the API writes all times."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
