"""How fast verdicts are exported, beside a bare COPY of the same rows, and in how much memory.

    python -m benchmarks.exports [--quick] [--rows 1000000] [--rounds 3]

Starts an installation of its own and fills it with judged cases made from a real one. In each round
every export is made once, each after a COPY of the very query that it reads, whose text is read and
thrown away; each runs in a process of its own, whose largest resident size is told.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections import defaultdict
from typing import Any

from benchmarks.ingest_server import ROOT, Installation

KINDS = ("raw", "calibration")
FORMATS = ("jsonl", "parquet", "csv")
_CHILD = (
    "import django; django.setup(); import json; from benchmarks import exports_pool as pool; "
    "print(json.dumps(pool.{call}))"
)


def run(installation: Installation, call: str) -> Any:
    """The result of a call of `benchmarks.exports_pool`, in a new process of the installation."""
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "oversight.settings",
        "OVERSIGHT_DATA": str(installation.folder / "data"),
        "OVERSIGHT_HOSTS": "testserver",
    }
    environment.pop("DATABASE_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", _CHILD.format(call=call)],
        env=environment,
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    if done.returncode:
        raise SystemExit(f"{call} failed:\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--quick", action="store_true", help="100,000 rows, one round")
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    n_rows, n_rounds = (100_000, 1) if arguments.quick else (arguments.rows, arguments.rounds)
    found: dict[tuple[str, str], list[dict[str, float]]] = defaultdict(list)
    with Installation(workers=1) as installation:
        run(installation, f"fill({n_rows})")
        for _ in range(n_rounds):
            for kind in KINDS:
                for format_name in FORMATS:
                    bare = run(installation, f"copy({kind!r})")
                    made = run(installation, f"write({kind!r}, {format_name!r})")
                    ratio = (made["rows"] / made["seconds"]) / (bare["rows"] / bare["seconds"])
                    found[kind, format_name].append(
                        {**made, "ratio": ratio, "bare": bare["rows"] / bare["seconds"]}
                    )
                    told(kind, format_name, found[kind, format_name][-1:])
    print(f"medians of {n_rounds} rounds:")
    for (kind, format_name), results in found.items():
        told(kind, format_name, results)


def told(kind: str, format_name: str, results: list[dict[str, float]]) -> None:
    ratios = sorted(result["ratio"] for result in results)
    print(
        f"{kind} {format_name}: {results[0]['rows']:,.0f} rows, "
        f"{statistics.median(r['rows'] / r['seconds'] for r in results):,.0f} rows/s, "
        f"bare COPY {statistics.median(r['bare'] for r in results):,.0f} rows/s, "
        f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}), "
        f"peak {max(r['peak_mib'] for r in results):.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()
