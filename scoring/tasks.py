"""Schedules of the scoring floor."""

from celery import shared_task

from scoring.storage import partitions


@shared_task(name="scoring.tasks.prepare_partitions")
def prepare_partitions() -> None:
    partitions.ensure_ahead()
