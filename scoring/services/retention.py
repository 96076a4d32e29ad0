"""Removing records that have outlived their project's retention, oldest partition first.

A partition in which nobody's records have to stay is dropped whole. Where projects with different
retention share one, rows of the expired ones are deleted in small transactions and the partition
goes when the last has expired. Every step commits for itself, so a killed run is simply run again.

What was selected for review lives on in its evidence copy; batches keep their Merkle roots, and
rounds, figures and exports rest on neither records nor payloads.
"""

import logging
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from django.db import OperationalError, connection, transaction

from oversight.audit import services as audit
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import LegalHold, Project
from scoring.storage import partitions
from scoring.storage.partitions import TABLES, Partition

logger = logging.getLogger(__name__)

ROWS_AT_ONCE = 5_000


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
    n_partitions = n_rows = 0
    for partition in partitions.ended_before(_cutoff(now, shortest)):
        try:
            if _drop_if_nobody_needs(partition, now):
                n_partitions += 1
                continue
        except OperationalError:  # a long read holds it: the next run will find it free
            logger.warning("partition %s is in use", partition.table(TABLES[0]))
            continue
        for project_id in _projects_in(partition):
            n_rows += _delete_expired(partition, project_id, now, stop_at)
        if time.monotonic() > stop_at:
            break
    return Removed(n_partitions, n_rows)


def _cutoff(now: datetime, retention_days: int) -> datetime:
    return now - timedelta(days=retention_days) - partitions.DROPPED_AFTER


def _is_expired(project: Project, partition: Partition, now: datetime) -> bool:
    """Whether nothing keeps the project's rows of a partition; holds are looked up each time."""
    is_held = LegalHold.objects.filter(project=project, lifted_at=None).exists()
    return not is_held and partition.end <= _cutoff(now, project.retention_days)


def _drop_if_nobody_needs(partition: Partition, now: datetime) -> bool:
    with transaction.atomic():
        held = list(
            Project.objects.select_for_update(no_key=True).filter(pk__in=_projects_in(partition))
        )
        if not all(_is_expired(project, partition, now) for project in held):
            return False
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


def _delete_expired(partition: Partition, project_id: int, now: datetime, stop_at: float) -> int:
    total = 0
    while True:
        with transaction.atomic():
            project = Project.objects.select_for_update(no_key=True).get(pk=project_id)
            if not _is_expired(project, partition, now):
                return total
            n_deleted = _delete_some(partition, project_id)
            total += n_deleted
            if n_deleted < ROWS_AT_ONCE or time.monotonic() > stop_at:
                if total:
                    audit.record(
                        system_actor(project, "retention"),
                        "records.expired",
                        "partition",
                        f"{partition.start:%Y-%m-%d}",
                        until=f"{partition.end:%Y-%m-%d}",
                        rows=total,
                    )
                return total


def _delete_some(partition: Partition, project_id: int) -> int:
    """One bounded delete in the order of the index; returns the number of records."""
    records = partition.table(TABLES[0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"DELETE FROM {records} WHERE id IN"  # noqa: S608  our own names
            f" (SELECT id FROM {records} WHERE project_id = %s ORDER BY id DESC LIMIT %s)"
            " RETURNING id",
            [project_id, ROWS_AT_ONCE],
        )
        gone = [row[0] for row in cursor.fetchall()]
        for parent in TABLES[1:]:
            cursor.execute(
                f"DELETE FROM {partition.table(parent)} WHERE id = ANY(%s)",  # noqa: S608
                [gone],
            )
    return len(gone)


def _projects_in(partition: Partition) -> list[int]:
    """Whose records a partition holds, by one index step a project."""
    table = partition.table(TABLES[0])
    with connection.cursor() as cursor:
        cursor.execute(
            f"""
            WITH RECURSIVE found AS (
                (SELECT project_id FROM {table} ORDER BY project_id LIMIT 1)
                UNION ALL
                SELECT (SELECT project_id FROM {table} WHERE project_id > found.project_id
                    ORDER BY project_id LIMIT 1)
                FROM found WHERE found.project_id IS NOT NULL
            )
            SELECT project_id FROM found WHERE project_id IS NOT NULL
            """  # noqa: S608  our own names
        )
        return [row[0] for row in cursor.fetchall()]


def _rows_about(partition: Partition) -> int | None:
    """The planner's idea of how many records a partition holds; counting could take minutes."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT reltuples::bigint FROM pg_class WHERE oid = %s::regclass",
            [partition.table(TABLES[0])],
        )
        about: int = cursor.fetchone()[0]
    return about if about >= 0 else None
