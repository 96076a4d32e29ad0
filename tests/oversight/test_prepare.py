"""`manage.py prepare` leaves nothing behind that the reconciler would have to report."""

import pytest
from django.core.management import call_command
from django.db import connection

from oversight.tenancy.models import User
from review.services import reconciliation
from scoring.storage import partitions


@pytest.mark.django_db
def test_the_first_look_after_it_finds_all_partitions(settings, tmp_path):
    settings.STATIC_ROOT = tmp_path / "static"
    _drop_all_partitions()
    assert partitions.missing_ahead() > 0
    call_command("prepare", tell=str(tmp_path / "first_login"))
    assert reconciliation.partitions_missing() == 0
    assert User.objects.count() == 1
    call_command("prepare", tell=str(tmp_path / "first_login"))  # as at every start
    assert User.objects.count() == 1


def _drop_all_partitions():
    """As on a new database."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT inhrelid::regclass::text FROM pg_inherits"
            " WHERE inhparent = ANY(%s::text[]::regclass[])",
            [list(partitions.TABLES)],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP TABLE {name}")
    partitions.forget()
