"""`manage.py up`: everything on one machine, from one command.

Runs before any database exists, so it must not touch one itself: whatever needs the database is
another command, run as a child with the addresses in its environment.
"""

import os
import secrets
import signal
import socket
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.local import places
from oversight.local.supervisor import AlreadyRunning, Program, Supervisor

WEB_READY_SECONDS = 60.0


class Command(BaseCommand):
    help = "Start PostgreSQL, Valkey, web, worker and beat on this machine."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--host", default="127.0.0.1")
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--data", type=Path, default=settings.DATA_DIR, metavar="DIR")
        parser.add_argument("--demo", action="store_true", help="fill demo projects first")
        parser.add_argument("--workers", type=int, default=2, help="web processes")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            where = places.prepare(options["data"])
        except OSError as error:
            raise CommandError(f"the data folder cannot be used: {error}") from error
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        supervisor = Supervisor(
            places=where, base=settings.BASE_DIR, say=self._say, env=self._environment(where)
        )
        address = f"http://{options['host']}:{options['port']}/"
        try:
            supervisor.lock({"address": address})
            self._check_port(options["host"], options["port"])
        except AlreadyRunning as error:
            raise CommandError(str(error)) from error
        try:
            self._start(supervisor, options, address)
            supervisor.watch()
        except RuntimeError as error:
            raise CommandError(str(error)) from error
        except KeyboardInterrupt:
            pass
        finally:
            supervisor.stop_all()

    def _start(self, supervisor: Supervisor, options: dict[str, Any], address: str) -> None:
        if supervisor.places.servers != supervisor.places.data:
            supervisor.step(f"as root: database files are in {supervisor.places.servers}")
        supervisor.start_servers()
        supervisor.publish_addresses()
        supervisor.step("migrating")
        login = self._prepare(supervisor)
        supervisor.step("starting web, worker and beat")
        host, port = options["host"], str(options["port"])
        for program in self._programs(supervisor, host, port, str(options["workers"])):
            supervisor.start_program(program)
        self._await_web(supervisor, address)
        if options["demo"]:
            supervisor.step("filling the demo through the API")
            supervisor.run_once("demo", "--address", address)
        supervisor.step(f"ready: {address}")
        if login:
            self._say(f"\n  First login, shown once:  {login}\n")
        self._say("Ctrl-C stops everything.")

    def _programs(
        self, supervisor: Supervisor, host: str, port: str, workers: str
    ) -> list[Program]:
        beat_state = str(supervisor.places.data / "beat-schedule")
        celery = ("celery", "-A", "oversight.celery:app")
        return [
            Program("web", ("serve", "--host", host, "--port", port, "--workers", workers)),
            Program(
                "worker",
                (
                    *(*celery, "worker", "--concurrency", "2", "--loglevel", "WARNING"),
                    *("--without-mingle", "--without-gossip"),
                ),
            ),
            Program(
                "beat",
                (*celery, "beat", "--pidfile=", "--schedule", beat_state, "--loglevel", "WARNING"),
            ),
        ]

    def _environment(self, where: places.Places) -> dict[str, str]:
        env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        key = where.data / "secret_key"
        if "OVERSIGHT_SECRET_KEY" not in env:
            if not key.exists():
                key.touch(mode=0o600)
                key.write_text(secrets.token_hex(48))
            env["OVERSIGHT_SECRET_KEY"] = key.read_text().strip()
        # One BLAS thread a process: more of them wait for each other on a small machine.
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            env.setdefault(name, "1")
        env["OVERSIGHT_DATA"] = str(where.data)
        env["DJANGO_SETTINGS_MODULE"] = os.environ["DJANGO_SETTINGS_MODULE"]
        return env

    def _prepare(self, supervisor: Supervisor) -> str:
        """Bring the database up to date; returns the first login where one was made."""
        told = supervisor.places.data / "first_login"
        supervisor.run_once("prepare", "--tell", str(told))
        if not told.exists():
            return ""
        login = told.read_text().strip()
        told.unlink()
        return login

    def _check_port(self, host: str, port: int) -> None:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                raise CommandError(
                    f"{host}:{port} cannot be used ({error.strerror}): choose another --port"
                ) from error

    def _await_web(self, supervisor: Supervisor, address: str) -> None:
        until = time.monotonic() + WEB_READY_SECONDS
        while time.monotonic() < until:
            try:
                with urllib.request.urlopen(f"{address}readyz", timeout=2):  # noqa: S310  our own address
                    return
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.1)
        raise RuntimeError(f"the web server did not answer; see {supervisor.places.logs}/web.log")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()
