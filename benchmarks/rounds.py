"""A sampling round over millions of candidates: time, memory, and a bare scan of the same columns.

    python -m benchmarks.rounds [--records 1000000] [--cold]

Starts a PostgreSQL of its own, fills one window by COPY (fingerprints of 256 numbers, one signal),
teaches a posterior from a first small window, and draws one round over the large one in a process
of its own. The bare scan reads the same columns of the same rows in the same order by the same
binary COPY and throws them away; it runs before and after the draw. The ratio is of this run alone.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from oversight.local import places
from oversight.local.postgres import Postgres

ROOT = Path(__file__).resolve().parents[1]
DIMENSION = 256
BATCH = 10_000
TAUGHT_ON = 20_000
BUDGET = 120
_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_TRAILER = b"\xff\xff"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--records", type=int, default=1_000_000)
    options.add_argument("--cold", action="store_true", help="no posterior: the score alone")
    options.add_argument("--part", choices=["fill", "scan", "draw", "verify"])
    given = options.parse_args()
    if given.part:
        return _part(given)
    with tempfile.TemporaryDirectory(prefix="ov-rounds-") as folder:
        where = places.prepare(Path(folder))
        server = Postgres(where, is_durable=False)
        server.start()
        try:
            _measure(given, {**os.environ, "DATABASE_URL": server.url, "OVERSIGHT_DATA": folder})
        finally:
            server.stop()
            places.remove(where)


def _measure(given: argparse.Namespace, environment: dict[str, str]) -> None:
    environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

    def run(part: str) -> dict[str, Any]:
        command = [sys.executable, "-m", "benchmarks.rounds", "--part", part]
        command += ["--records", str(given.records), *(["--cold"] if given.cold else [])]
        done = subprocess.run(
            command, env=environment, cwd=ROOT, check=True, stdout=subprocess.PIPE
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        print(
            f"{part:8}" + "  ".join(f"{name} {value}" for name, value in told.items()), flush=True
        )
        return told

    run("fill")
    before, drawn, after = run("scan"), run("draw"), run("scan")
    scan = (before["seconds"] + after["seconds"]) / 2
    print(f"ratio   {drawn['seconds'] / scan:.2f} of a bare scan of the same columns")
    run("verify")


def _part(given: argparse.Namespace) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oversight.settings")
    import django

    django.setup()
    from benchmarks import rounds_parts as parts

    began = time.monotonic()
    told = parts.PARTS[given.part](given.records, given.cold)
    told = {"seconds": round(time.monotonic() - began, 1), **told}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**told, "peak_mib": round(peak)}))


def copied(table: str, columns: dict[str, Any]) -> bytes:
    """Rows of fixed width as binary COPY: name -> array of that width, or None for NULL."""
    n = next(len(values) for values in columns.values() if values is not None)
    fields: list[tuple[str, str]] = [("n", ">i2")]
    for name, values in columns.items():
        fields.append((f"{name}_width", ">i4"))
        if values is not None:
            fields.append((name, values.dtype.str if values.dtype.kind != "V" else values.dtype))
    rows = np.zeros(n, dtype=fields)
    rows["n"] = len(columns)
    for name, values in columns.items():
        rows[f"{name}_width"] = -1 if values is None else values.dtype.itemsize
        if values is not None:
            rows[name] = values
    return _HEADER + rows.tobytes() + _TRAILER


def generated(first: int, n: int, start: datetime) -> tuple[Any, Any, Any, Any]:
    """Ids, signals, scores and fingerprints of n records; one in fifty lies apart."""
    rng = np.random.default_rng(first)
    moments = int(start.timestamp() * 1000) + (first + np.arange(n)) // 20
    ids = np.empty((n, 16), np.uint8)
    ids[:, :6] = moments.astype(">u8")[:, None].view(np.uint8).reshape(n, 8)[:, 2:]
    ids[:, 6:] = rng.integers(0, 256, (n, 10), np.uint8)
    ids[:, 6] = 0x80 | ids[:, 6] & 0x0F
    ids[:, 8] = 0x80 | ids[:, 8] & 0x3F
    order = np.lexsort(ids.T[::-1])
    ids = np.ascontiguousarray(ids[order])
    bad = (ids[:, 15] % 50) == 0
    vectors = rng.standard_normal((n, DIMENSION), np.float32)
    vectors[bad, :4] += 2.0
    score = np.clip(rng.random(n) * 0.9 + 0.1 * bad, 0, 1)
    return ids.view("V16")[:, 0], bad, score, vectors.astype("<f2").view(f"V{2 * DIMENSION}")[:, 0]


def moment_of(window: int) -> datetime:
    return datetime(2026, 11, 2, tzinfo=UTC) + timedelta(days=window)


if __name__ == "__main__":
    main()
