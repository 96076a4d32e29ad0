"""Time partitions of records, payloads and later scores, made ahead by schedule and on demand.

There is no default partition: a row outside all partitions fails its whole batch, so ingest
ensures the partitions of its batch first. A partition is created as a plain table and attached,
since CREATE … PARTITION OF would wait behind every open reader of the parent.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

from django.conf import settings
from django.db import connection, transaction

from oversight.lib.clock import EPOCH
from oversight.lib.transactions import advisory_lock
from scoring import ids

TABLES = ("scoring_record", "scoring_payload", "scoring_record_score")
_known: set[str] = set()  # partitions this process has seen; none is dropped before it has ended


def start_of(moment: datetime) -> datetime:
    """The start of the partition that holds a moment."""
    days = (moment - EPOCH).days
    width = settings.OVERSIGHT_PARTITION_DAYS
    return EPOCH + timedelta(days=days - days % width)


def ensure(moments: Iterable[datetime]) -> None:
    """Make the partitions that these moments need; cheap where they are known and not over."""
    now = datetime.now(UTC)
    for start in sorted({start_of(moment) for moment in moments}):
        suffix = f"{start:%Y%m%d}"
        if suffix not in _known or _end(start) <= now:
            for table in TABLES:
                _create(table, suffix, start)
            # Known only once it is committed: a test, or a failed request, may roll it back.
            transaction.on_commit(partial(_known.add, suffix))


def ensure_ahead(weeks: int = 4) -> None:
    """Make the partitions of the coming weeks, so that ingest seldom has to."""
    now = datetime.now(UTC)
    ensure(now + timedelta(weeks=week) for week in range(weeks + 1))


def missing_ahead() -> int:
    """How many of the partitions for now and a week from now are not there, as the database says.

    It is asked, not `_known`, since this process may not be the one that makes them.
    """
    now = datetime.now(UTC)
    starts = {start_of(now), start_of(now + timedelta(weeks=1))}
    names = [f"{table}_p{start:%Y%m%d}" for table in TABLES for start in starts]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NULL", [names]
        )
        missing: int = cursor.fetchone()[0]
    return missing


@dataclass(frozen=True, slots=True)
class Partition:
    """One span of time of all partitioned tables: [start, end), by the time in the id."""

    start: datetime

    @property
    def end(self) -> datetime:
        return _end(self.start)

    def table(self, parent: str) -> str:
        return f"{parent}_p{self.start:%Y%m%d}"


def begun_before(moment: datetime) -> list[Partition]:
    """The partitions that may hold records from before a moment, oldest first."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid"
            " WHERE inhparent = %s::regclass",
            [TABLES[0]],
        )
        suffixes = sorted(name.rpartition("_p")[2] for (name,) in cursor.fetchall())
    found = [
        Partition(datetime.strptime(suffix, "%Y%m%d").replace(tzinfo=UTC)) for suffix in suffixes
    ]
    return [partition for partition in found if partition.start < moment]


def lock(partition: Partition) -> None:
    """Take what `drop` needs: until the transaction ends, nobody reads or writes the partition.

    Whoever was writing to it has committed or rolled back, so the next statement sees all of it.

    Parents come first, as for those who write by way of them. All of ingest waits while we do, so
    we wait two seconds at most; and once one is ours, in all for less than the second after which
    PostgreSQL would look for a deadlock and might end the other side's transaction.

    Raises:
        OperationalError: somebody is at it for longer; to be tried again later.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '2s'")
        advisory_lock("scoring.partition", partition.start.toordinal())
        cursor.execute(f"LOCK TABLE ONLY {TABLES[0]} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET LOCAL lock_timeout = '150ms'")
        others = ", ".join(f"ONLY {parent}" for parent in TABLES[1:])
        cursor.execute(f"LOCK TABLE {others} IN ACCESS EXCLUSIVE MODE")
        cursor.execute(
            "SELECT name FROM unnest(%s::text[]) name WHERE to_regclass(name) IS NOT NULL",
            [[partition.table(parent) for parent in TABLES]],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"LOCK TABLE {name} IN ACCESS EXCLUSIVE MODE")
        cursor.execute("SET LOCAL lock_timeout = DEFAULT")


def drop(partition: Partition) -> None:
    """Remove a partition's tables, which the caller's transaction has locked."""
    with connection.cursor() as cursor:
        for parent in TABLES:
            cursor.execute(f"DROP TABLE IF EXISTS {partition.table(parent)}")


def _end(start: datetime) -> datetime:
    return start + timedelta(days=settings.OVERSIGHT_PARTITION_DAYS)


def forget() -> None:
    """Forget what this process has seen (after partitions were dropped)."""
    _known.clear()


def _create(table: str, suffix: str, start: datetime) -> None:
    name = f"{table}_p{suffix}"
    low = ids.lower_bound(start)
    high = ids.lower_bound(_end(start))
    with transaction.atomic(), connection.cursor() as cursor:
        # Two creators: the second waits here and finds the table.
        advisory_lock("scoring.partition", start.toordinal())
        cursor.execute("SELECT to_regclass(%s)", [name])
        if cursor.fetchone()[0] is not None:
            return
        # All names and bounds are our own: a constant, a date and two hexadecimal ids.
        # Up to 8 kB a row stays in its page: compressing it would cost more than it saves.
        cursor.execute(
            f"CREATE TABLE {name} (LIKE {table} INCLUDING ALL) WITH (toast_tuple_target = 8160)"
        )
        cursor.execute(
            f"ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ('{low}') TO ('{high}')"
        )
