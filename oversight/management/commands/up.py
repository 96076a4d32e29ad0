"""`manage.py up`: everything on one machine, from one command.

Runs before any database exists, so it must not touch one itself: whatever needs the database is
another command, run as a child with the addresses in its environment.
"""

import argparse
import json
import os
import socket
import sys
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from oversight.local import lock, logs, places
from oversight.local.postgres import Postgres
from oversight.local.programs import Program
from oversight.local.supervisor import StopRequested, Supervisor
from oversight.local.valkey import Valkey
from oversight.web import listener as listening

WEB_READY_SECONDS = 120.0
BACKGROUND_NICENESS = 5  # a round or a fit takes what requests leave of a small machine
_LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]


class Command(BaseCommand):
    help = (
        "Start PostgreSQL, Valkey, web, workers and beat on this machine. Where DATABASE_URL or "
        "REDIS_URL is set, that server is used and none is started in its place."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        cores = min(4, os.cpu_count() or 2)
        parser.add_argument("--host", default="127.0.0.1", help="address to listen on")
        parser.add_argument("--port", type=_port, default=8000)
        parser.add_argument("--data", type=Path, default=settings.DATA_DIR, metavar="DIR")
        parser.add_argument("--demo", action="store_true", help="fill demo projects first")
        parser.add_argument(
            "--workers", type=_count, default=cores, help="web processes (default: %(default)s)"
        )
        parser.add_argument(
            "--tasks", type=_count, default=2, help="task processes (default: %(default)s)"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            where = places.prepare(options["data"])
            # Held by this process alone, so that it is free once we are gone, however we go.
            held = lock.take(
                where.servers / "up.lock",
                address=listening.url(options["host"], options["port"]),
            )
        except lock.AlreadyRunning as error:
            raise CommandError(f"{error} (data folder {options['data']})") from error
        except OSError as error:
            raise CommandError(f"the data folder cannot be used: {error}") from error
        with held:
            try:
                with Supervisor(where, self._say) as supervisor:
                    self._run(supervisor, options)
            except StopRequested:
                pass
            except (RuntimeError, OSError) as error:
                raise CommandError(str(error)) from error

    def _run(self, supervisor: Supervisor, options: dict[str, Any]) -> None:
        where = supervisor.places
        # After leftovers were ended, which may have had it; the web process inherits it, so that
        # clients wait while that is started again and are not refused.
        with listening.listen(options["host"], options["port"]) as listener:
            address = listening.address(listener)
            if not where.servers.is_relative_to(where.data):
                supervisor.step(f"database files are in {where.servers}, which its user can reach")
            env = _environment(where, options["host"])
            self._start_servers(supervisor, env)
            login = self._prepare(supervisor, env)
            self._start_programs(supervisor, env, listener.fileno(), options)
            supervisor.await_ready("web", seconds=WEB_READY_SECONDS)
            if options["demo"]:
                self._fill_demo(supervisor, env, address)
            supervisor.step(f"ready: {address}")
            if login.exists():
                self._say(f"\n  First login, shown once:  {login.read_text().strip()}\n")
                login.unlink()
            self._say("Ctrl-C stops everything.")
            supervisor.watch()

    def _start_servers(self, supervisor: Supervisor, env: dict[str, str]) -> None:
        where = supervisor.places
        if "DATABASE_URL" not in env:
            supervisor.step("starting PostgreSQL")
            postgres = Postgres(where)
            supervisor.start("postgres", postgres)
            env["DATABASE_URL"] = postgres.url
        if "REDIS_URL" not in env:
            supervisor.step("starting Valkey")
            valkey = Valkey(where)
            supervisor.start("valkey", valkey)
            env["REDIS_URL"] = valkey.url
        addresses = where.data / "addresses.json"
        addresses.touch(mode=0o600)
        addresses.write_text(
            json.dumps({name: env[name] for name in ("DATABASE_URL", "REDIS_URL")})
        )

    def _prepare(self, supervisor: Supervisor, env: dict[str, str]) -> Path:
        """Bring the database up to date; returns the file with the first login, if there is one."""
        supervisor.step("preparing database and static files")
        login = supervisor.places.data / "first_login"
        program = _manage(supervisor, "prepare", ("--tell", str(login)), env)
        if supervisor.run_once("prepare", program) != 0:
            raise RuntimeError(f"`manage.py prepare` failed:\n{logs.tail(program.log)}")
        return login

    def _start_programs(
        self, supervisor: Supervisor, env: dict[str, str], fd: int, options: dict[str, Any]
    ) -> None:
        supervisor.step("starting web, workers and beat")
        web = _manage(
            supervisor, "serve", ("--fd", str(fd), "--workers", str(options["workers"])), env
        )
        web.log = supervisor.places.logs / "web.log"
        web.pass_fds, web.reports_ready = (fd,), True
        supervisor.start("web", web)
        quiet = ("--loglevel", "WARNING")
        alone = (*quiet, "--without-mingle", "--without-gossip")
        schedule = str(supervisor.places.data / "beat-schedule")
        commands = {
            "worker": ("app", "worker", "--concurrency", str(options["tasks"]), *alone),
            "ticks": ("ticks", "worker", "--concurrency", "1", "--hostname", "ticks@%h", *alone),
            "beat": ("ticks", "beat", "--pidfile=", "--schedule", schedule, *quiet),
        }
        for name, command in commands.items():
            supervisor.start(name, _celery(supervisor, name, command, env))

    def _fill_demo(self, supervisor: Supervisor, env: dict[str, str], address: str) -> None:
        supervisor.step("filling the demo through the API")
        program = _manage(supervisor, "demo", ("--address", address), env)
        if supervisor.run_once("demo", program) != 0:
            supervisor.step(f"the demo could not be filled:\n{logs.tail(program.log)}")

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def _manage(
    supervisor: Supervisor, name: str, arguments: tuple[str, ...], env: dict[str, str]
) -> Program:
    return Program(
        command=[sys.executable, str(settings.BASE_DIR / "manage.py"), name, *arguments],
        env=env,
        log=supervisor.places.logs / f"{name}.log",
        folder=settings.BASE_DIR,
    )


def _celery(
    supervisor: Supervisor, name: str, command: tuple[str, ...], env: dict[str, str]
) -> Program:
    application, *rest = command
    return Program(
        command=[sys.executable, "-m", "celery", "-A", f"oversight.celery:{application}", *rest],
        env=env,
        log=supervisor.places.logs / f"{name}.log",
        folder=settings.BASE_DIR,
        niceness=BACKGROUND_NICENESS,
    )


def _environment(where: places.Places, host: str) -> dict[str, str]:
    # Without compiled modules every child takes seconds longer to start.
    env = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    # One BLAS thread a process: more of them wait for each other on a small machine.
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        env.setdefault(name, "1")
    env["OVERSIGHT_DATA"] = str(where.data)
    env.setdefault("OVERSIGHT_HOSTS", ",".join(_hosts(host)))
    return env


def _hosts(host: str) -> list[str]:
    """The names that requests may use for us: those of the address we listen on."""
    if host in ("0.0.0.0", "::", ""):  # noqa: S104  asked for by the operator
        addresses = [
            address.address.partition("%")[0]
            for interface in psutil.net_if_addrs().values()
            for address in interface
            if address.family in (socket.AF_INET, socket.AF_INET6)
        ]
        names = [socket.gethostname(), socket.getfqdn(), *addresses]
    else:
        names = [host]
    return list(dict.fromkeys(_LOOPBACK + [f"[{n}]" if ":" in n else n for n in names if n]))


def _port(text: str) -> int:
    port = int(text)
    if not 0 <= port <= 65_535:
        raise argparse.ArgumentTypeError("a port is between 0 and 65535")
    return port


def _count(text: str) -> int:
    count = int(text)
    if not 1 <= count <= 64:
        raise argparse.ArgumentTypeError("from 1 to 64")
    return count
