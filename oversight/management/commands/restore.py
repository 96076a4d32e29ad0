"""`manage.py restore`: a backup into a new data folder, or into an empty database of another's."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.local import archive, reach


class Command(BaseCommand):
    help = (
        "Restore a backup. Afterwards `manage.py up` (or `prepare`) brings it up to this release."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("archive", type=Path, help="the folder that `backup` made")
        parser.add_argument("--data", type=Path, default=settings.DATA_DIR, metavar="DIR")
        parser.add_argument("--jobs", type=int, default=2, help="tables at once (default: 2)")
        parser.add_argument(
            "--programs",
            type=Path,
            metavar="DIR",
            help="where pg_restore is, if not the one that comes with Oversight",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            manifest = archive.check(options["archive"])
            with reach.database(options["data"]) as (url, where):
                archive.read(
                    archive=options["archive"],
                    url=url,
                    data=where.data,
                    programs=reach.programs(where, options["programs"]),
                    jobs=options["jobs"],
                )
        except (archive.ArchiveError, RuntimeError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"restored what was backed up at {manifest['made_at']}")
