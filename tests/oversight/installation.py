"""A whole installation under `manage.py up`, as real processes: started, struck and looked at."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psutil

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
# What this test run was given, its long deadline among it, is nothing to an installation.
_OURS = ("DATABASE_URL", "REDIS_URL", "OVERSIGHT_")


def wait_for(condition, *, seconds=PATIENCE_SECONDS, what="the condition"):
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    """A port that stays free until it is asked for: outside the range that the kernel gives out.

    Other processes of this run begin to look elsewhere.
    """
    for port in range(10_000 + os.getpid() % 20_000, 32_768):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("no port is free")


class Installation:
    """One data folder, and at most one `up` on it."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.port = free_port()
        self.env = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}
        self.env["OVERSIGHT_PLAIN_STATIC"] = "1"
        self.up: subprocess.Popen[str] | None = None
        self.output = data.with_name("up.out")
        self._key = ""
        self._sent = 0

    def manage(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]

    @property
    def up_command(self) -> list[str]:
        where = ("--data", str(self.data), "--port", str(self.port))
        return self.manage("up", *where, "--workers", "1", "--tasks", "1")

    def start(self) -> str:
        """Start unless it runs; returns what this start has said until it was ready."""
        if self.up is None or self.up.poll() is not None:
            with self.output.open("w") as out:
                self.up = subprocess.Popen(self.up_command, env=self.env, stdout=out, stderr=out)
            wait_for(self._has_started, what="up to be ready")
        return self.output.read_text()

    def _has_started(self) -> bool:
        text = self.output.read_text()
        assert self.up.poll() is None, text
        return "Ctrl-C stops everything" in text

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.up.send_signal(number)
        return self.up.wait(PATIENCE_SECONDS)

    def end(self) -> None:
        if self.up is not None and self.up.poll() is None:
            self.stop()
        # As root, below a closed folder, the servers' files lie elsewhere.
        shutil.rmtree((self.data / "servers").resolve(), ignore_errors=True)

    def parts(self) -> dict[str, int]:
        """The parts by name, with their pids, as the supervisor has noted them."""
        ledger = self.data / "servers" / "children.json"
        return {name: pid for name, (pid, _) in json.loads(ledger.read_text()).items()}

    def processes(self) -> list[psutil.Process]:
        """Everything that runs for this installation, found by what it was told or works in."""
        marks, found = {str(self.data), str((self.data / "servers").resolve())}, []
        for process in psutil.process_iter():
            try:
                told = [*process.cmdline(), process.cwd(), process.environ().get("OVERSIGHT_DATA")]
            except psutil.Error:
                continue
            if any(mark in (part or "") for mark in marks for part in told):
                found.append(process)
        return found

    @property
    def key(self) -> str:
        """An API key of the first project, made by a command that finds the running servers."""
        if not self._key:
            made = subprocess.run(
                self.manage("createkey", "main", "--scope", "records:write,records:read,review"),
                env=self.env | {"OVERSIGHT_DATA": str(self.data)},
                capture_output=True,
                text=True,
                check=True,
            )
            self._key = made.stdout.strip()
        return self._key

    def request(self, path: str, body: object = None, timeout: float = 60.0) -> tuple[int, dict]:
        """Status and body of an API answer; 0 and the reason where none came."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._key}", "Content-Type": "application/json"},
        )
        try:
            try:
                answer = urllib.request.urlopen(request, timeout=timeout)
            except urllib.error.HTTPError as error:
                answer = error
            with answer:
                return answer.status, json.loads(answer.read() or b"{}")
        except (OSError, ValueError, http.client.HTTPException) as error:
            return 0, {"error": repr(error)}

    def record(self) -> dict:
        self._sent += 1
        return {
            "external_id": f"record-{os.getpid()}-{self._sent}",
            "occurred_at": datetime.now(UTC).isoformat(),
            "model": {"name": "assistant", "version": "1"},
            "input": "what is it?",
            "output": "it is this",
        }

    def is_ready(self) -> bool:
        return self.request("/readyz", timeout=20)[0] == 200
