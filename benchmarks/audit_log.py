"""The audit log at a million events: sequencing, proofs, verifying, and its tree's disk space.

    python -m benchmarks.audit_log [--events 1000000]

Starts a PostgreSQL of its own, records events by plain SQL and lets the sequencer order them.
Proofs and batches are timed twice, when the log is a hundredth as long and at its full length: both
should cost the same. Every part runs in a process of its own, whose peak memory is told.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from oversight.local import places
from oversight.local.postgres import Postgres

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    options.add_argument("--events", type=int, default=1_000_000)
    options.add_argument("--part", choices=["prepare", "grow", "prove", "verify"])
    given = options.parse_args()
    if given.part:
        return _part(given)
    with tempfile.TemporaryDirectory(prefix="ov-audit-") as folder:
        where = places.prepare(Path(folder))
        server = Postgres(where, is_durable=False)
        server.start()
        try:
            env = {**os.environ, "DATABASE_URL": server.url, "OVERSIGHT_DATA": folder}
            _run("prepare", 0, env)
            small = given.events // 100
            for n_events in (small, given.events - small):
                for part in ("grow", "prove", "verify"):
                    _run(part, n_events, env)
        finally:
            server.stop()
            places.remove(where)


def _run(part: str, n_events: int, env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "benchmarks.audit_log", "--part", part]
    command += ["--events", str(n_events)]
    done = subprocess.run(command, env=env, cwd=ROOT, check=True, stdout=subprocess.PIPE)
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    print(f"{part:8}" + "  ".join(f"{name} {value}" for name, value in told.items()), flush=True)


def _part(given: argparse.Namespace) -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oversight.settings")
    import django

    django.setup()
    from benchmarks import audit_log_parts as parts

    told = parts.PARTS[given.part](given.events)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({**told, "peak_mib": round(peak)}))


if __name__ == "__main__":
    main()
