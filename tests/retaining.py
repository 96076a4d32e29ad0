"""Partitions outlive the tests that commit them; retention's tests begin without old ones."""

from datetime import UTC, datetime, timedelta

from django.db import transaction

from scoring.storage import partitions


def drop_old_partitions() -> None:
    for partition in partitions.begun_before(datetime.now(UTC) - timedelta(days=20)):
        with transaction.atomic():
            partitions.lock(partition)
            partitions.drop(partition)
    partitions.forget()
