"""Ingest over real HTTP, beside a bare client's COPY and a bare in-process path, in one run.

Run: python -m benchmarks.ingest [--quick] [--scorer lean|percentile|cold_start]
     [--invariants none|starter] [--connections N] [--check]

Starts an installation of its own with default durability. Each round measures, with records that
nobody has seen:
  copy        binary COPY of the same rows by one bare client, 500 a commit (benchmarks.ingest_bare)
  in process  typed decode and staged COPY by one bare client, no HTTP
  http        POST /api/v1/records: authenticated, checked, scored, deduplicated, committed
  replay      the same bodies again: all duplicates
Then single records at a steady pace, and more connections than are served at once. The sending
process has its bodies ready and shares the machine. Ratios are taken within a round.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg

from benchmarks.ingest_bare import Bare, bare, rows_of
from benchmarks.ingest_server import ROOT, Installation
from benchmarks.ingest_workload import Workload, body

BATCH = 500
SINGLES_RATE = 200.0
MANY_CONNECTIONS = 64
PEAK_MIB = 300.0


class Bench:
    """One installation, and what is measured of it."""

    def __init__(self, server: Installation, comparison: Bare, connections: int) -> None:
        self._server = server
        self._bare = comparison
        self._connections = connections
        self._streams = 0

    def batches(self, n: int, *, with_fingerprint: bool, size: int = BATCH) -> list[bytes]:
        """Bodies of records that no call has made before."""
        self._streams += 1
        stream = Workload(f"s{self._streams}", with_fingerprint, seed=self._streams)
        return [body(records) for records in stream.batches(n, size)]

    def round(self, n_batches: int, *, with_fingerprint: bool) -> dict[str, float]:
        """Records a second of every way, each with its own records."""
        n = n_batches * BATCH
        rows = [rows_of(b) for b in self.batches(n_batches, with_fingerprint=with_fingerprint)]
        staged = self.batches(n_batches, with_fingerprint=with_fingerprint)
        sent = self.batches(n_batches, with_fingerprint=with_fingerprint)
        rates = {
            "copy": n / self._time(lambda: [self._bare.copy(batch) for batch in rows]),
            "in process": n / self._time(lambda: [self._bare.decode_and_stage(b) for b in staged]),
        }
        assert self._bare.count() == 2 * n
        self._bare.empty()
        for name, expected in (("http", "accepted"), ("replay", "duplicates")):
            told = self.send(sent, connections=self._connections)
            if told["counts"].get(expected) != n:
                raise SystemExit(f"{name}: {told['statuses']} {told['counts']}")
            rates[name] = n / told["seconds"]
        return rates

    def _time(self, work: Callable[[], object]) -> float:
        self._checkpoint()
        began = time.perf_counter()
        work()
        return time.perf_counter() - began

    def send(
        self, bodies: Sequence[bytes], *, connections: int, rate: float | None = None
    ) -> dict[str, Any]:
        """What the sending process tells of having sent these."""
        with tempfile.TemporaryDirectory(prefix="ingest-bodies-") as folder:
            for i, one in enumerate(bodies):
                (Path(folder) / f"{i:06d}.json").write_bytes(one)
            command = [sys.executable, "-m", "benchmarks.ingest_client", "--folder", folder]
            command += ["--address", self._server.address, "--key", self._server.key]
            command += ["--connections", str(connections)]
            command += [] if rate is None else ["--rate", str(rate)]
            with subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            ) as child:
                assert child.stdin is not None
                assert child.stdout is not None
                assert child.stdout.readline() == "ready\n"
                self._checkpoint()
                child.stdin.write("go\n")
                child.stdin.flush()
                told: dict[str, Any] = json.loads(child.stdout.readline())
                return told

    def _checkpoint(self) -> None:
        with psycopg.connect(self._server.database_url, autocommit=True) as connection:
            connection.execute("CHECKPOINT")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--batches", type=int, default=24, help="of 500 records, each way")
    parser.add_argument("--seconds", type=float, default=30.0, help="of single records")
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--workers", type=int, default=min(4, os.cpu_count() or 2))
    parser.add_argument("--scorer", choices=("lean", "percentile", "cold_start"), default="lean")
    parser.add_argument("--invariants", choices=("none", "starter"), default="none")
    parser.add_argument("--quick", action="store_true", help="two short rounds, to see it work")
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    arguments = parser.parse_args()
    if arguments.quick:
        arguments.rounds, arguments.batches, arguments.seconds = 2, 6, 5.0
    with (
        Installation(workers=arguments.workers) as server,
        bare(server.database_url) as comparison,
    ):
        print(server.release_scorer(arguments.scorer, arguments.invariants))
        bench = Bench(server, comparison, arguments.connections)
        for with_fingerprint in (True, False):  # connections, caches, partitions
            bench.round(2, with_fingerprint=with_fingerprint)
        bars = measure_rounds(bench, arguments)
        bars |= measure_singles(bench, arguments.seconds)
        bars |= measure_many(bench, arguments.batches)
        peak = server.peak_mib()
        print(f"\nPeak memory of a web process: {peak:.0f} MiB")
        bars[f"peak memory below {PEAK_MIB:.0f} MiB"] = peak < PEAK_MIB
    print()
    for bar, met in bars.items():
        print(f"{'met   ' if met else 'MISSED'} {bar}")
    return int(arguments.check and not all(bars.values()))


def measure_rounds(bench: Bench, arguments: argparse.Namespace) -> dict[str, bool]:
    rates: dict[bool, list[dict[str, float]]] = defaultdict(list)
    for number in range(arguments.rounds):
        for with_fingerprint in (True, False):
            rates[with_fingerprint].append(
                bench.round(arguments.batches, with_fingerprint=with_fingerprint)
            )
        print(f"round {number + 1} of {arguments.rounds}", file=sys.stderr, flush=True)
    print(
        "\n| records a second, median | copy | in process | http | replay |"
        " http/copy | http/in process |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- |")
    shares: dict[tuple[bool, str], float] = {}
    for with_fingerprint, rounds in rates.items():
        cells = [f"{statistics.median(r[way] for r in rounds):,.0f}" for way in rounds[0]]
        for base in ("copy", "in process"):
            each = sorted(r["http"] / r[base] for r in rounds)
            shares[with_fingerprint, base] = statistics.median(each)
            cells.append(f"{statistics.median(each):.2f} ({each[0]:.2f}-{each[-1]:.2f})")
        name = "256 numbers, 1.2 kB text" if with_fingerprint else "1.2 kB text"
        print(f"| {name} | {' | '.join(cells)} |")
    return {
        "at least 0.30 of a bare COPY of the same rows": shares[True, "copy"] >= 0.30,
        "at least half of the bare in-process path": shares[True, "in process"] >= 0.50,
        "without fingerprints, at least 0.30 of a bare COPY": shares[False, "copy"] >= 0.30,
    }


def measure_singles(bench: Bench, seconds: float) -> dict[str, bool]:
    bodies = bench.batches(int(seconds * SINGLES_RATE), with_fingerprint=True, size=1)
    told = bench.send(bodies, connections=8, rate=SINGLES_RATE)
    p50, p95, p99 = (statistics.quantiles(told["latencies_ms"], n=100)[i - 1] for i in (50, 95, 99))
    print(f"\nSingle records, {SINGLES_RATE:.0f} a second, 8 connections, from when each was due:")
    print(f"p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms; load average {os.getloadavg()[0]:.1f}")
    print(f"answers: {told['statuses']}")
    return {"single records at 200 a second: p95 below 15 ms": p95 < 15.0}


def measure_many(bench: Bench, n_batches: int) -> dict[str, bool]:
    """More connections than threads: everybody is answered, or told when to come again."""
    bodies = bench.batches(max(MANY_CONNECTIONS, n_batches), with_fingerprint=True)
    told = bench.send(bodies, connections=MANY_CONNECTIONS)
    print(f"\n{MANY_CONNECTIONS} connections, {BATCH} records a body: {told['statuses']}")
    served = set(told["statuses"]) <= {"200", "429", "503"}
    return {
        "64 connections: 200, 429 or 503 for all, refusals with Retry-After": served
        and not told["retry_after_missing"]
    }


if __name__ == "__main__":
    sys.exit(main())
