"""`manage.py serve`: the web server alone, for machines where a supervisor of their own runs it."""

import os
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from oversight.local import web
from oversight.wsgi import application


class Command(BaseCommand):
    help = "Serve the application over HTTP from several processes."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--processes", type=int, default=2)
        parser.add_argument("--threads", type=int, default=8)

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            listener = web.bind(options["host"], options["port"])
        except OSError as error:
            raise CommandError(f"{options['host']}:{options['port']}: {error.strerror}") from error
        connections.close_all()  # nothing of the parent's may be shared with the processes
        web.serve(
            application,
            listener,
            processes=options["processes"],
            threads=options["threads"],
            proxy=os.environ.get("OVERSIGHT_TRUSTED_PROXY", ""),
        )
