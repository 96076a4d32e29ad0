"""The short tick of the scoring floor, whose worker must import nothing heavy."""

from celery import shared_task

from scoring.storage import partitions


@shared_task(name="scoring.ticks.prepare_partitions")
def prepare_partitions() -> None:
    partitions.ensure_ahead()
