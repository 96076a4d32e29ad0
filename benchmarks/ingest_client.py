"""The sending side of the ingest benchmark, in a process of its own: bodies from files, over HTTP.

Run by benchmarks/ingest.py: reads all bodies, says `ready`, waits for a line, sends, and prints
what came of it as one line of JSON. Latencies of paced requests count from when each was due, so
that a slow answer is not hidden by the requests it delays.
"""

import argparse
import http.client
import json
import re
import sys
import threading
import time
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

_COUNTS = re.compile(rb'^\{"accepted":(\d+),"duplicates":(\d+),"rejected":(\d+)')


class Sender:
    """Sends bodies from several connections; each takes the next one that is left."""

    def __init__(self, address: str, key: str, bodies: list[bytes], *, rate: float | None) -> None:
        parts = urlsplit(address)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._bodies = bodies
        self._rate = rate
        self._next = count()
        self._lock = threading.Lock()
        self.statuses: Counter[str] = Counter()
        self.counts: Counter[str] = Counter()
        self.latencies_ms: list[float] = []
        self.retry_after_missing = 0

    def run(self, connections: int) -> float:
        """Send everything; returns the seconds it took."""
        self._began = time.perf_counter()
        threads = [threading.Thread(target=self._work) for _ in range(connections)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return time.perf_counter() - self._began

    def _work(self) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        connection.connect()
        while (index := next(self._next)) < len(self._bodies):
            due = time.perf_counter()
            if self._rate is not None:
                due = self._began + index / self._rate
                time.sleep(max(0.0, due - time.perf_counter()))
            self._send(connection, self._bodies[index], due)
        connection.close()

    def _send(self, connection: http.client.HTTPConnection, body: bytes, due: float) -> None:
        try:
            connection.request("POST", "/api/v1/records", body, self._headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()  # connects anew by itself
            with self._lock:
                self.statuses[type(error).__name__] += 1
            return
        latency_ms = (time.perf_counter() - due) * 1e3
        counts = _COUNTS.match(answer)
        with self._lock:
            self.latencies_ms.append(latency_ms)
            self.statuses[str(response.status)] += 1
            if response.status in (429, 503) and not response.headers.get("Retry-After"):
                self.retry_after_missing += 1
            if counts is not None:
                for name, n in zip(
                    ("accepted", "duplicates", "rejected"), counts.groups(), strict=True
                ):
                    self.counts[name] += int(n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True)
    parser.add_argument("--key", required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--rate", type=float)
    arguments = parser.parse_args()
    bodies = [path.read_bytes() for path in sorted(arguments.folder.glob("*.json"))]
    sender = Sender(arguments.address, arguments.key, bodies, rate=arguments.rate)
    print("ready", flush=True)
    sys.stdin.readline()
    seconds = sender.run(arguments.connections)
    told: dict[str, Any] = {
        "seconds": seconds,
        "statuses": sender.statuses,
        "counts": sender.counts,
        "latencies_ms": sender.latencies_ms,
        "retry_after_missing": sender.retry_after_missing,
        "cpu_seconds": time.process_time(),
    }
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
