"""`manage.py demo`: fill the demo projects through the API of a running server."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from oversight.demo import projects


class Command(BaseCommand):
    help = "Fill two demo projects: a small model's real inferences, and written examples."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--address", default="http://127.0.0.1:8000/")

    def handle(self, *args: Any, **options: Any) -> None:
        projects.fill(options["address"], self.stdout.write)
