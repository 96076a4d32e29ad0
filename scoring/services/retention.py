"""Removing records that have outlived their project's retention, oldest partition first.

A partition in which nobody's records have to stay is dropped whole. Where some have to, those that
have expired are deleted in small transactions, project by project, and the partition goes when the
last of all has expired. Every step commits together with the audit event that tells of it, so a
killed run is simply run again.

What was selected for review lives on in its evidence copy; batches keep their Merkle roots, and
rounds, figures and exports rest on neither records nor payloads.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

from django.db import OperationalError, ProgrammingError, connection, transaction
from psycopg.errors import UndefinedTable

from oversight.audit import services as audit
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import LegalHold, Project
from scoring import ids
from scoring.models import ScorerVersion
from scoring.storage import partitions
from scoring.storage.partitions import TABLES, Partition

logger = logging.getLogger(__name__)

RECORDS, PAYLOADS, SCORES = TABLES
ROWS_AT_ONCE = 5_000
# What came in at the last moment is drawn from, and counted, before it goes.
GRACE = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Removed:
    """What one run has removed."""

    n_partitions: int = 0
    n_rows: int = 0


def enforce(now: datetime | None = None, *, work_seconds: float = 400.0) -> Removed:
    """Remove what no retention and no hold keeps; safe to run twice, and at once with another.

    Args:
        now: aware; the clock's where None. Nothing is removed that this moment does not allow.
        work_seconds: no new step is begun after this time; the next run goes on.
    """
    now = now or datetime.now(UTC)
    stop_at = time.monotonic() + work_seconds
    shortest = min(Project.objects.values_list("retention_days", flat=True), default=None)
    if shortest is None:
        return Removed()
    cutoff = _cutoff(now, shortest)
    ended = [one for one in partitions.begun_before(cutoff) if one.end <= cutoff]
    n_partitions = _drop_expired(ended, now, stop_at)
    left = partitions.begun_before(cutoff)
    return Removed(n_partitions, sum(_delete_expired(one, now, stop_at) for one in left))


def _cutoff(now: datetime, retention_days: int) -> datetime:
    return now - timedelta(days=retention_days) - GRACE


def _is_held(project: Project) -> bool:
    return LegalHold.objects.filter(project=project, lifted_at=None).exists()


def _is_expired(project: Project, partition: Partition, now: datetime) -> bool:
    """Whether nothing keeps any of the project's rows of a partition, at this moment."""
    return partition.end <= _cutoff(now, project.retention_days) and not _is_held(project)


def _drop_expired(ended: Sequence[Partition], now: datetime, stop_at: float) -> int:
    n_dropped = 0
    for partition in ended:
        if time.monotonic() > stop_at:
            break
        try:
            with _unless_dropped_meanwhile():
                n_dropped += _drop_if_nobody_needs(partition, now)
        except OperationalError:  # every drop needs the parents, and ingest waits whenever we do
            logger.warning("partition %s is in use", partition.table(RECORDS))
            break
    return n_dropped


def _drop_if_nobody_needs(partition: Partition, now: datetime) -> bool:
    with transaction.atomic():
        present = Project.objects.filter(pk__in=_oldest_by_project(partition)).order_by("pk")
        held = list(present.select_for_update(no_key=True))
        if not all(_is_expired(project, partition, now) for project in held):
            return False
        partitions.lock(partition)
        if not {project.pk for project in held}.issuperset(_oldest_by_project(partition)):
            return False  # somebody who keeps records for longer has sent some meanwhile
        about = _rows_about(partition)
        partitions.drop(partition)
        for project in held:
            audit.record(
                system_actor(project, "retention"),
                "records.expired",
                "partition",
                f"{partition.start:%Y-%m-%d}",
                until=f"{partition.end:%Y-%m-%d}",
                rows_of_all_projects_about=about,
            )
    return True


def _delete_expired(partition: Partition, now: datetime, stop_at: float) -> int:
    """Delete what has expired beside records that stay; a partition to be dropped is left alone."""
    total = 0
    with _unless_dropped_meanwhile():
        oldest = _oldest_by_project(partition)
        present = list(Project.objects.filter(pk__in=oldest).order_by("pk"))
        if all(_is_expired(project, partition, now) for project in present):
            return 0
        for project in present:
            after = oldest[project.pk]
            while after < _bound(project, now) and time.monotonic() <= stop_at:
                after, n_deleted = _delete_some(partition, project.pk, now, after)
                total += n_deleted
                if n_deleted < ROWS_AT_ONCE:
                    break
    return total


def _bound(project: Project, now: datetime) -> UUID:
    """Above the ids of all records of the project that have expired."""
    return ids.lower_bound(_cutoff(now, project.retention_days))


def _delete_some(
    partition: Partition, project_id: int, now: datetime, first: UUID
) -> tuple[UUID, int]:
    """Delete some of a project's expired records, from an id on, unless a hold keeps them.

    Returns:
        The last id, and how many records have gone.
    """
    with transaction.atomic():
        project = Project.objects.select_for_update(no_key=True).get(pk=project_id)
        last = _last_of_some(partition, project_id, first, _bound(project, now))
        if last is None or _is_held(project):
            return first, 0
        n_deleted = _delete_through(partition, project, first, last)
        audit.record(
            system_actor(project, "retention"),
            "records.expired",
            "partition",
            f"{partition.start:%Y-%m-%d}",
            until=f"{ids.occurred_at(last):%Y-%m-%dT%H:%M:%S.%fZ}",
            rows=n_deleted,
        )
    return last, n_deleted


def _last_of_some(partition: Partition, project_id: int, first: UUID, before: UUID) -> UUID | None:
    """The last of the ids that one step deletes: so many of [first, before)."""
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            SELECT id FROM (
                SELECT id FROM {partition.table(RECORDS)}
                WHERE project_id = %s AND id >= %s AND id < %s ORDER BY id LIMIT %s
            ) step ORDER BY id DESC LIMIT 1
            """,  # noqa: S608  our own names
            [project_id, first, before, ROWS_AT_ONCE],
        )
        row = cursor.fetchone()
        return None if row is None else row[0]


def _delete_through(partition: Partition, project: Project, first: UUID, last: UUID) -> int:
    """Delete a project's records of a span of ids with all that belongs to them; how many."""
    versions = ScorerVersion.objects.filter(scorer__project=project).values_list("pk", flat=True)
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {partition.table(RECORDS)}"  # noqa: S608  our own names
            " WHERE project_id = %s AND id BETWEEN %s AND %s RETURNING id",
            [project.pk, first, last],
        )
        gone = [row[0] for row in cursor.fetchall()]
        cursor.execute(
            f"DELETE FROM {partition.table(PAYLOADS)} WHERE id = ANY(%s)",  # noqa: S608
            [gone],
        )
        # By version and span, as their index has it: a version's scores are of one project.
        cursor.execute(
            f"DELETE FROM {partition.table(SCORES)}"  # noqa: S608
            " WHERE scorer_version_id = ANY(%s) AND id BETWEEN %s AND %s",
            [list(versions), first, last],
        )
    return len(gone)


@contextmanager
def _unless_dropped_meanwhile() -> Iterator[None]:
    """End quietly where another run has dropped the partition that this one looks at."""
    try:
        yield
    except ProgrammingError as error:
        if not isinstance(error.__cause__, UndefinedTable):
            raise


def _oldest_by_project(partition: Partition) -> dict[int, UUID]:
    """Whose records a partition holds, and the oldest of each, by one index step a project."""
    table = partition.table(RECORDS)
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE found AS (
                (SELECT project_id, id FROM {table} ORDER BY project_id DESC, id LIMIT 1)
                UNION ALL
                SELECT next.* FROM found, LATERAL (
                    SELECT project_id, id FROM {table} WHERE project_id < found.project_id
                    ORDER BY project_id DESC, id LIMIT 1
                ) next
            )
            SELECT project_id, id FROM found
            """  # noqa: S608  our own names
        )
        return dict(cursor.fetchall())


def _rows_about(partition: Partition) -> int | None:
    """The planner's idea of how many records a partition holds; counting could take minutes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
            [partition.table(RECORDS)],
        )
        about: int = cursor.fetchone()[0]
    return about if about >= 0 else None
