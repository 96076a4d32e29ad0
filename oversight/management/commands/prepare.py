"""`manage.py prepare`: bring database and static files up to this release, in one process."""

import hashlib
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor

from scoring.storage import partitions

_LOCK = 0x6F7665727369  # "oversi": one preparation at a time, however many nodes start together


class Command(BaseCommand):
    help = "Migrate, make partitions and static files, and the first account on an empty database."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tell", metavar="FILE", help="where the first login is written")

    def handle(self, *args: Any, **options: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_lock(%s)", [_LOCK])
            try:
                self._migrate()
                partitions.ensure_ahead()  # the schedule keeps them ahead from here on
                call_command("firstowner", tell=options["tell"])
            finally:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])
        self._collect_static()

    def _migrate(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            call_command("migrate", interactive=False, verbosity=1)

    def _collect_static(self) -> None:
        """Collect only what has changed: hashing and compressing all of it takes seconds."""
        stamp = Path(settings.STATIC_ROOT).with_name("static.stamp")
        found = _fingerprint()
        if stamp.exists() and stamp.read_text() == found:
            return
        call_command("collectstatic", interactive=False, verbosity=0)
        stamp.write_text(found)


def _fingerprint() -> str:
    """What all static files were, by name, size and time, when this was called."""
    storage = settings.STORAGES["staticfiles"]["BACKEND"]
    digest = hashlib.sha256(repr((storage, str(settings.STATIC_ROOT))).encode())
    for finder in get_finders():
        for name, holder in finder.list(None):
            stat = Path(holder.path(name)).stat()
            digest.update(repr((name, stat.st_size, stat.st_mtime_ns)).encode())
    return digest.hexdigest()
