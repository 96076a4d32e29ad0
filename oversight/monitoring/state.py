"""What PostgreSQL knows of the installation's health, as metrics; a few indexed reads a scrape.

Every node tells the same here, whichever is asked, since none of it is counted in a process.
"""

import logging
from collections.abc import Iterable, Iterator
from typing import Any

from django.db import Error, connection
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from oversight.jobs.models import Tick

logger = logging.getLogger(__name__)

RECONCILE = "review.ticks.reconcile"
COUNTED_AT_MOST = 100_000  # open slots of a queue: counting on would cost as much as they are many

_QUEUES = """
SELECT project.slug, queue.slug, depth.n, oldest.age
FROM review_reviewqueue queue
JOIN tenancy_project project ON project.id = queue.project_id
CROSS JOIN LATERAL (
    SELECT count(*) n FROM (
        SELECT 1 FROM review_slot WHERE queue_id = queue.id AND state = 'open'
        LIMIT 100000
    ) slot
) depth
LEFT JOIN LATERAL (
    SELECT extract(epoch FROM statement_timestamp() - created_at)::float8 age
    FROM review_case WHERE queue_id = queue.id AND state = 'open' ORDER BY created_at LIMIT 1
) oldest ON true
ORDER BY 1, 2
"""
_ROUNDS = """
SELECT project.slug, queue.slug, latest.n, latest.age
FROM review_reviewqueue queue
JOIN tenancy_project project ON project.id = queue.project_id
JOIN LATERAL (
    SELECT count(*) OVER () n, extract(epoch FROM statement_timestamp() - created_at)::float8 age
    FROM review_samplinground WHERE queue_id = queue.id ORDER BY id DESC LIMIT 1
) latest ON true
ORDER BY 1, 2
"""
_WAITING = """
SELECT project.slug, sum(batch.n_records)::float8,
    extract(epoch FROM statement_timestamp() - min(batch.created_at))::float8
FROM scoring_ingestbatch batch JOIN tenancy_project project ON project.id = batch.project_id
WHERE batch.window_id IS NULL GROUP BY 1 ORDER BY 1
"""
_JOBS = """
SELECT task, status, count(*) FROM jobs_job
WHERE status IN ('queued', 'running')
    OR (status = 'failed' AND finished_at > now() - interval '7 days')
GROUP BY 1, 2 ORDER BY 1, 2
"""
_UNLINKED = """
SELECT count(*) FROM (
    SELECT 1 FROM audit_auditpending LIMIT 100000
) waiting
"""


class StateCollector(Collector):
    """Reads the database at every scrape."""

    def describe(self) -> Iterable[Metric]:
        return []  # else the registry would read everything once more to learn the names

    def collect(self) -> Iterable[Metric]:
        up = GaugeMetricFamily("oversight_database_up", "Whether PostgreSQL answers this node.")
        try:
            found = self._found()
        except Error as error:
            # The names of its class alone: its text may quote a statement.
            logger.warning("the database did not answer a scrape: %s", type(error).__name__)
            found = []
        up.add_metric([], 1.0 if found else 0.0)
        return [up, *found]

    def _found(self) -> list[Metric]:
        waiting = GaugeMetricFamily(
            "oversight_audit_unlinked", "Audit events that are not linked into the log yet."
        )
        waiting.add_metric([], _rows(_UNLINKED)[0][0])
        return [*self._queues(), *self._ingest(), *self._jobs(), *self._ticks(), waiting]

    def _queues(self) -> Iterator[Metric]:
        names = ["project", "queue"]
        depth = GaugeMetricFamily(
            "oversight_queue_open_slots",
            f"Answers a queue waits for; {COUNTED_AT_MOST:,} stands for that many or more.",
            labels=names,
        )
        age = GaugeMetricFamily(
            "oversight_queue_oldest_seconds",
            "Age of the oldest open case; absent where there is none.",
            labels=names,
        )
        for project, queue, n_open, seconds in _rows(_QUEUES):
            depth.add_metric([project, queue], n_open)
            if seconds is not None:
                age.add_metric([project, queue], seconds)
        drawn = CounterMetricFamily("oversight_rounds", "Sampling rounds drawn.", labels=names)
        latest = GaugeMetricFamily(
            "oversight_round_latest_seconds", "Time since a queue's last round.", labels=names
        )
        for project, queue, n_rounds, seconds in _rows(_ROUNDS):
            drawn.add_metric([project, queue], n_rounds)
            latest.add_metric([project, queue], seconds)
        yield from (depth, age, drawn, latest)

    def _ingest(self) -> Iterator[Metric]:
        records = GaugeMetricFamily(
            "oversight_window_waiting_records",
            "Stored records that no window has claimed yet.",
            labels=["project"],
        )
        age = GaugeMetricFamily(
            "oversight_window_waiting_seconds",
            "Age of the oldest ingest batch that no window has claimed.",
            labels=["project"],
        )
        for project, n_records, seconds in _rows(_WAITING):
            records.add_metric([project], n_records)
            age.add_metric([project], seconds)
        yield from (records, age)

    def _jobs(self) -> Iterator[Metric]:
        jobs = GaugeMetricFamily(
            "oversight_jobs",
            "Jobs that wait or run, and those that failed within seven days.",
            labels=["task", "status"],
        )
        for task, status, n_jobs in _rows(_JOBS):
            jobs.add_metric([task, status], n_jobs)
        yield jobs

    def _ticks(self) -> Iterator[Metric]:
        runs = CounterMetricFamily("oversight_task_runs", "Task runs.", labels=["task"])
        failures = CounterMetricFamily(
            "oversight_task_failures", "Task runs that failed.", labels=["task"]
        )
        succeeded = GaugeMetricFamily(
            "oversight_task_last_success_timestamp_seconds",
            "When a task last went well, Unix time.",
            labels=["task"],
        )
        findings = GaugeMetricFamily(
            "oversight_reconciliation_findings",
            "What the last reconciliation found without its next step.",
            labels=["finding"],
        )
        for tick in Tick.objects.order_by("task"):
            runs.add_metric([tick.task], tick.n_runs)
            failures.add_metric([tick.task], tick.n_failures)
            if tick.succeeded_at is not None:
                succeeded.add_metric([tick.task], tick.succeeded_at.timestamp())
            if tick.task == RECONCILE:
                for name, count in sorted((tick.result or {}).items()):
                    findings.add_metric([name], count)
        yield from (runs, failures, succeeded, findings)


def _rows(query: str) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(query)
        found: list[tuple[Any, ...]] = cursor.fetchall()
    return found
