"""An hour at half the peak: are memory, latency and disk a record flat?

    python -m benchmarks.soak [--minutes 60] [--share 0.5] [--connections 4]

A real `manage.py up` on a folder of its own takes batches of 500 records as fast as it can for a
short while, which gives the peak, and then the stated share of it, paced. Every minute: requests
and their latency, resident memory of every part, bytes of the database a record. At the end the
last third is compared with the first, and what was sent with what is stored.
"""

import argparse
import http.client
import itertools
import json
import statistics
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psutil
import psycopg

from benchmarks.ingest_server import Installation
from benchmarks.ingest_workload import Workload, body

BATCH, N_BODIES, PEAK_SECONDS = 500, 40, 20.0


@dataclass
class Minute:
    """What one minute showed."""

    latencies_ms: list[float] = field(default_factory=list)
    n_accepted: int = 0
    n_refused: int = 0
    web_mib: float = 0.0
    all_mib: float = 0.0
    bytes_a_record: float = 0.0

    def quantile(self, share: float) -> float:
        ordered = sorted(self.latencies_ms)
        return ordered[int(share * (len(ordered) - 1))] if ordered else float("nan")


class Load:
    """Sends batches of new records from several connections, paced or not."""

    def __init__(self, site: Installation) -> None:
        self._site = site
        stream = Workload("soak", with_fingerprint=True)
        self._bodies = []
        for records in stream.batches(N_BODIES, BATCH):
            for record in records:
                record["occurred_at"] = "NOW"
            self._bodies.append(body(records))
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self.minute = Minute()
        self.n_accepted = 0
        self.n_broken = 0  # connections that ended before their answer

    def run(self, connections: int, seconds: float, rate: float | None) -> float:
        """Send for so long, at so many records a second; returns the rate that came of it."""
        before, began = self.n_accepted, time.perf_counter()
        first = next(self._numbers)
        threads = [
            threading.Thread(target=self._work, args=(began, first, seconds, rate))
            for _ in range(connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return (self.n_accepted - before) / (time.perf_counter() - began)

    def _work(self, began: float, first: int, seconds: float, rate: float | None) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._site.port, timeout=60)
        headers = {
            "Authorization": f"Bearer {self._site.key}",
            "Content-Type": "application/json",
        }
        while True:
            number = next(self._numbers)
            due = began + ((number - first) * BATCH / rate if rate else 0.0)
            if max(due, time.perf_counter()) > began + seconds:
                return
            time.sleep(max(0.0, due - time.perf_counter()))
            # The same texts under new names and at new times: making new ones would cost more than
            # sending them, and at their old times they would fall all over the indexes of the ids.
            now = datetime.now(UTC).isoformat(timespec="milliseconds").encode()
            named = self._bodies[number % N_BODIES].replace(b'"soak-', b'"%d-' % number)
            sent = named.replace(b'"NOW"', b'"%s"' % now)
            due = due if rate else time.perf_counter()
            try:
                status, n_taken = self._post(connection, sent, headers)
            except (OSError, http.client.HTTPException):
                # As a client should: once more, which adds nothing that is stored already.
                connection.close()
                status, n_taken = self._post(connection, sent, headers)
                with self._lock:
                    self.n_broken += 1
            took = (time.perf_counter() - due) * 1e3
            with self._lock:
                self.minute.latencies_ms.append(took)
                self.minute.n_accepted += n_taken
                self.n_accepted += n_taken
                self.minute.n_refused += status != 200

    def _post(
        self, connection: http.client.HTTPConnection, sent: bytes, headers: dict[str, str]
    ) -> tuple[int, int]:
        """The status, and how many of the records are stored by now."""
        connection.request("POST", "/api/v1/records?results=none", sent, headers)
        answer = connection.getresponse()
        told = json.loads(answer.read())
        taken = told["accepted"] + told["duplicates"] if answer.status == 200 else 0
        return answer.status, taken

    def turn(self) -> Minute:
        """Begin a new minute; returns the last one."""
        with self._lock:
            ended, self.minute = self.minute, Minute()
        return ended


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=int, default=60)
    parser.add_argument("--share", type=float, default=0.5, help="of the peak")
    parser.add_argument("--connections", type=int, default=4)
    options = parser.parse_args()
    with Installation(workers=2) as site:
        site.release_scorer("lean", "starter")
        load = Load(site)
        load.run(options.connections, PEAK_SECONDS / 2, None)  # warms up
        peak = load.run(options.connections, PEAK_SECONDS, None)
        load.turn()
        rate = options.share * peak
        print(f"peak {peak:,.0f} records/s; now {options.minutes} min at {rate:,.0f}", flush=True)
        minutes = []
        sender = threading.Thread(
            target=load.run, args=(options.connections, options.minutes * 60.0, rate)
        )
        sender.start()
        for number in range(options.minutes):
            time.sleep(60.0)
            minute = load.turn()
            _look(site, minute)
            minutes.append(minute)
            print(
                f"{number + 1:3d} min {minute.n_accepted / 60:7,.0f} records/s"
                f"  p50 {minute.quantile(0.5):5.0f} p95 {minute.quantile(0.95):5.0f} ms"
                f"  refused {minute.n_refused}  web {minute.web_mib:4.0f} all {minute.all_mib:5.0f}"
                f" MiB  {minute.bytes_a_record:,.0f} B a record",
                flush=True,
            )
        sender.join()
        lost = load.n_accepted - _stored(site)
        if load.n_broken:
            print(f"{load.n_broken} connections broke; the web's log ends:\n{site.log('web')}")
    _compare(minutes)
    print(f"{load.n_accepted:,} acknowledged, {lost} of them not stored")
    return 1 if lost > 0 else 0


def _look(site: Installation, minute: Minute) -> None:
    minute.web_mib = site.resident_mib()
    parent = psutil.Process(site.pid)
    family = [parent, *parent.children(recursive=True)]
    minute.all_mib = sum(_own_mib(process) for process in family)
    with psycopg.connect(site.database_url) as database:
        row = database.execute(
            "SELECT pg_database_size(current_database())::float8,"
            " (SELECT sum(n_records) FROM scoring_ingestbatch)"
        ).fetchone()
    assert row is not None
    minute.bytes_a_record = row[0] / float(row[1])


def _own_mib(process: psutil.Process) -> float:
    """Memory that is the process's share: pages of several count for each in part."""
    try:
        return float(process.memory_full_info().pss) / 2**20
    except (psutil.Error, AttributeError):
        return 0.0


def _stored(site: Installation) -> int:
    with psycopg.connect(site.database_url) as database:
        row = database.execute(
            "SELECT count(*) FROM scoring_record WHERE external_id NOT LIKE 'baseline-%'"
        ).fetchone()
    return int(row[0]) if row else 0


def _compare(minutes: list[Minute]) -> None:
    third = max(1, len(minutes) // 3)
    figures = {
        "p50 ms": lambda minute: minute.quantile(0.5),
        "p95 ms": lambda minute: minute.quantile(0.95),
        "web MiB": lambda minute: minute.web_mib,
        "all MiB": lambda minute: minute.all_mib,
        "B a record": lambda minute: minute.bytes_a_record,
    }
    for name, figure in figures.items():
        first = statistics.median(figure(minute) for minute in minutes[:third])
        last = statistics.median(figure(minute) for minute in minutes[-third:])
        print(
            f"{name:>12}: {first:9,.1f} in the first third, {last:9,.1f} in the last"
            f" ({last / first:.2f})"
        )


if __name__ == "__main__":
    sys.exit(main())
