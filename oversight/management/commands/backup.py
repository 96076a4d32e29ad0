"""`manage.py backup`: the whole installation into one folder, while it runs or not."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.local import archive, reach


class Command(BaseCommand):
    help = "Back up database, exported files, keys and audit checkpoints into a new folder."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("out", type=Path, help="the folder to make")
        parser.add_argument("--data", type=Path, default=settings.DATA_DIR, metavar="DIR")
        parser.add_argument("--jobs", type=int, default=2, help="tables at once (default: 2)")
        parser.add_argument(
            "--programs",
            type=Path,
            metavar="DIR",
            help="where pg_dump is, for a server newer than the one that comes with Oversight",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with reach.database(options["data"]) as (url, where):
                manifest = archive.write(
                    url=url,
                    data=where.data,
                    out=options["out"].absolute(),
                    programs=reach.programs(where, options["programs"]),
                    jobs=options["jobs"],
                )
        except (archive.ArchiveError, RuntimeError, OSError) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{options['out']}: {len(manifest['files'])} files, checked by SHA-256")
        if "secret_key" not in manifest["files"]:
            self.stdout.write("The secret key comes from the environment: keep it elsewhere.")
        if settings.OVERSIGHT_AUDIT_KEY:
            self.stdout.write("So does the key of the audit log.")
