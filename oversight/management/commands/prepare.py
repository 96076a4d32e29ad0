"""`manage.py prepare`: bring database and static files up to this release, in one process."""

from typing import Any

from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Migrate, collect static files, and make the first account on an empty database."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--tell", metavar="FILE", help="where the first login is written")

    def handle(self, *args: Any, **options: Any) -> None:
        call_command("migrate", interactive=False, verbosity=1)
        call_command("collectstatic", interactive=False, verbosity=0)
        call_command("firstowner", tell=options["tell"])
