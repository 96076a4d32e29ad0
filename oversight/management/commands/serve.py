"""`manage.py serve`: the web server alone, as `up` and the process managers of others run it."""

import atexit
import os
import shutil
import socket
import tempfile
from pathlib import Path
from typing import Any

import psutil
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections
from django.urls import get_resolver
from django.utils.module_loading import import_string

from oversight.web import listener as listening
from oversight.web.limits import Limits
from oversight.web.prefork import Prefork

_COUNTS = "oversight-counts-"


class Command(BaseCommand):
    help = "Serve web pages and API: waitress processes on one socket."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--workers", type=int, default=2, help="web processes")
        parser.add_argument("--threads", type=int, default=8, help="of each process")
        parser.add_argument(
            "--trusted-proxy",
            default=os.environ.get("OVERSIGHT_TRUSTED_PROXY") or None,
            metavar="ADDRESS",
            help="the peer whose X-Forwarded-* headers count (* for any); none by default",
        )
        parser.add_argument("--fd", type=int, help="a listening socket, inherited")
        parser.add_argument("--ready-fd", type=int, help="a pipe to report readiness by")

    def handle(self, *args: Any, **options: Any) -> None:
        _share_counts()
        application = import_string("oversight.wsgi.application")
        # Loads every view before the fork: shared by all processes, and waited for by no request.
        get_resolver().reverse_dict  # noqa: B018  a property that loads
        # Whatever was asked while loading, no connection may be shared by forked processes.
        connections.close_all()
        try:
            if options["fd"] is not None:
                listener = socket.socket(fileno=options["fd"])
            else:
                listener = listening.listen(options["host"], options["port"])
        except OSError as error:
            raise CommandError(str(error)) from error

        def on_ready() -> None:
            if options["ready_fd"] is not None:
                os.write(options["ready_fd"], b"ready\n")
                os.close(options["ready_fd"])
            else:
                self.stderr.write(f"serving on {listening.address(listener)}")

        Prefork(
            application,
            listener,
            workers=max(1, options["workers"]),
            limits=Limits(threads=options["threads"], trusted_proxy=options["trusted_proxy"]),
        ).run(on_ready)


def _share_counts() -> None:
    """A fresh folder for the processes' metrics; named before the client library is loaded.

    In this machine's own temporary folder: the data folder may be shared by nodes, whose processes
    have equal numbers.
    """
    base = Path(tempfile.gettempdir())
    for folder in base.glob(f"{_COUNTS}*"):  # an earlier server's; another one may run beside us
        pid = folder.name.removeprefix(_COUNTS).partition("-")[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
    own = tempfile.mkdtemp(prefix=f"{_COUNTS}{os.getpid()}-")
    # Its processes are forked, and end without Python's farewells: this one alone removes it.
    atexit.register(shutil.rmtree, own, ignore_errors=True)
    os.environ["PROMETHEUS_MULTIPROC_DIR"] = own
