"""An installation for the ingest benchmark: `manage.py up` on a folder and port of its own."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from benchmarks.ingest_workload import SCORER, Workload
from oversight.local import logs

ROOT = Path(__file__).resolve().parent.parent
_FOREIGN = ("DATABASE_URL", "REDIS_URL", "OVERSIGHT_DATA", "OVERSIGHT_SECRET_KEY")
_START_SECONDS = 300.0
N_BASELINE = 3_000
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_KINDS = {"lean": "ensemble", "percentile": "percentile"}


class Installation:
    """Real servers with default durability, web, workers and beat; removed at the end."""

    def __init__(self, *, workers: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="ingest-benchmark-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{self.port}"
        self._data = self.folder / "data"
        self._workers = workers
        self._env = {name: value for name, value in os.environ.items() if name not in _FOREIGN}
        self._env |= {"OVERSIGHT_PLAIN_STATIC": "1", "OVERSIGHT_DATA": str(self._data)}
        self._up: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Installation":
        out = self.folder / "up.out"
        with out.open("w") as said:
            self._up = subprocess.Popen(
                [
                    *self._manage("up", "--data", str(self._data), "--port", str(self.port)),
                    *("--workers", str(self._workers), "--tasks", "1"),
                ],
                env=self._env,
                stdout=said,
                stderr=said,
                cwd=ROOT,
            )
        until = time.monotonic() + _START_SECONDS
        while "Ctrl-C stops everything" not in out.read_text():
            if self._up.poll() is not None or time.monotonic() > until:
                raise SystemExit(f"`manage.py up` did not start:\n{out.read_text()}")
            time.sleep(0.2)
        self.key = self.command("createkey", "main", "--scope", "records:write")
        return self

    def __exit__(self, *_: object) -> None:
        if self._up is not None and self._up.poll() is None:
            self._up.send_signal(signal.SIGTERM)
            self._up.wait(120)
        shutil.rmtree((self._data / "servers").resolve(), ignore_errors=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def database_url(self) -> str:
        found: str = json.loads((self._data / "addresses.json").read_text())["DATABASE_URL"]
        return found

    def command(self, *arguments: str) -> str:
        """Run a management command; returns what it printed."""
        done = subprocess.run(
            self._manage(*arguments), env=self._env, capture_output=True, text=True, cwd=ROOT
        )
        if done.returncode:
            raise SystemExit(f"{' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout.strip()

    def release_scorer(self, kind: str, invariants: str) -> str:
        """Take in a baseline and fit a scorer on it, unless it is to stay at cold start."""
        options = ["--project", "main", "--release"]
        if kind == "cold_start":
            if invariants == "none":
                return "cold start"
            return self.command("fit-scorer", *options, "--keep-fit", "--invariants", invariants)
        path = self.folder / "baseline.ndjson"
        with path.open("w") as lines:
            for records in Workload("baseline", with_fingerprint=True).batches(
                N_BASELINE // 500, 500
            ):
                lines.writelines(json.dumps(record) + "\n" for record in records)
        self.command("ingest", str(path), "--project", "main")
        options += ["--kind", _KINDS[kind], "--config", json.dumps(SCORER)]
        if invariants != "none":
            options += ["--invariants", invariants]
        return self.command("fit-scorer", *options)

    @property
    def pid(self) -> int:
        """Of the supervisor."""
        assert self._up is not None
        return self._up.pid

    def web_processes(self) -> list[psutil.Process]:
        """The processes that serve requests."""
        ledger = self._data / "servers" / "children.json"
        parent, _ = json.loads(ledger.read_text())["web"]
        return psutil.Process(parent).children()

    def peak_mib(self) -> float:
        """The largest resident size that any of them has had."""
        peaks = [0.0]
        for process in self.web_processes():
            status = Path(f"/proc/{process.pid}/status")
            if status.exists() and (found := _PEAK.search(status.read_text())):
                peaks.append(int(found.group(1)) / 1024)
        return max(peaks)

    def resident_mib(self) -> float:
        return max((p.memory_info().rss / 2**20 for p in self.web_processes()), default=0.0)

    def log(self, name: str) -> str:
        """How a child's log ends."""
        return logs.tail(self._data / "logs" / f"{name}.log", lines=40)

    def _manage(self, *arguments: str) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]
