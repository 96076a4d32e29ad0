"""The engine's figures in one run: what deciding costs, and how well anomalies are found.

Run: python -m benchmarks.engine [--quick] [--only PART] [--seeds N] [--json FILE]
Parts: speed, invariants, detection. One BLAS thread, CPU time, medians over rounds that measure
everything in turn; ratios are of one run. `--quick` shows the shape of the tables in minutes with
fewer rounds, one seed and small sets only: its figures are not for quoting. The parts can be run
alone for more detail (benchmarks.engine_speed, .invariants, .engine_detection).
"""

import argparse
import json
import os
import statistics
import sys
import warnings
from pathlib import Path
from typing import Any

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from benchmarks import engine_detection, engine_members, engine_speed, invariants
from benchmarks.engine_detection import table
from scoring.core.invariants.packs import load_starter
from scoring.core.invariants.parse import dump_document
from scoring.core.judgement import with_invariants
from scoring.core.monitor import Monitor
from scoring.core.scorers.ensemble_fit import fit_ensemble

N_INVARIANTS = 47
QUICK_ROWS = 4000
Bar = tuple[str, str, str, bool]  # figure, measured, goal, whether it is met


def spread(values: list[float], unit: str) -> str:
    low, high = np.quantile(values, [0.05, 0.95])
    return f"{statistics.median(values):.2f} {unit} (p5 {low:.2f}, p95 {high:.2f})"


def speed(n_rounds: int) -> list[Bar]:
    """Extraction, decisions on signals and fingerprint, and batches against their product."""
    batches, singles = engine_speed.measure(n_rounds, engine_speed.Stopwatch(wall=False))
    bars = []
    for name, values in singles.items():
        extraction = name.startswith("extraction")
        figure = statistics.median(values) if extraction else float(np.quantile(values, 0.95))
        goal = "median below 2 ms" if extraction else "p95 below 5 ms"
        bars.append((name, spread(values, "ms"), goal, figure < (2.0 if extraction else 5.0)))
    for name, values in batches.items():
        if name == "matrix product":
            continue
        ratios = [a / b for a, b in zip(values, batches["matrix product"], strict=True)]
        lean = name == "lean, fingerprint only"
        bars.append(
            (
                f"batch of {engine_speed.N_LARGE:,}, {name}",
                f"{spread(ratios, 'x the product')}, {statistics.median(values):.1f} ms",
                "within 2 x" if lean else "",
                not lean or statistics.median(ratios) <= 2.0,
            )
        )
    return bars


def whole_decisions(n_rounds: int) -> list[Bar]:
    """`Monitor.check` with invariants, as a model's own process calls it."""
    rng = np.random.default_rng(0)
    d = engine_speed.N_DIMENSIONS
    mixing = rng.normal(size=(d, d)) / np.sqrt(d)
    baseline = engine_speed.window(5000, 1, mixing)
    starter = load_starter()
    bars = []
    for profile in ("lean", "full"):
        settings = {"signals": engine_speed.SIGNALS, "profile": profile}
        state = fit_ensemble([baseline], config=settings)
        monitor = Monitor(with_invariants(state, dump_document(starter[:N_INVARIANTS])))
        records = [
            {
                **record,
                "model": {"name": "m", "version": "1"},
                "signals": {name: float(rng.normal()) for name in engine_speed.SIGNALS},
                "fingerprint": rng.normal(size=d) @ mixing,
            }
            for record in invariants.records_of(invariants.corpus(2000, 40))
        ]
        times = [
            invariants.once(lambda m=monitor, r=record: m.check(r)) * 1e3
            for _ in range(n_rounds + 1)
            for record in records
        ][len(records) :]
        bars.append(
            (
                f"whole decision, {profile}: {d} dimensions, {N_INVARIANTS} invariants on 2 kB",
                spread(times, "ms"),
                "p95 below 5 ms",
                float(np.quantile(times, 0.95)) < 5.0,
            )
        )
    return bars


def invariant_costs(n_rounds: int) -> list[Bar]:
    single = invariants.single_costs(N_INVARIANTS, n_rounds)
    bars = [
        (
            f"{N_INVARIANTS} invariants on 2 kB, one record",
            spread(single, "ms"),
            "below 5 ms",
            float(np.quantile(single, 0.95)) < 5.0,
        )
    ]
    costs = invariants.batch_costs(N_INVARIANTS, n_rounds)
    for name, values in costs.items():
        goal = name == "batch"
        alone = costs[name.replace("batch", "one by one")]
        ratio = statistics.median(a / b for a, b in zip(values, alone, strict=True))
        measured = spread(values, "µs a record")
        bars.append(
            (
                f"{N_INVARIANTS} invariants on 1.2 kB, {name}",
                f"{measured}, {ratio:.2f} x one by one" if "batch" in name else measured,
                "at most 50 µs" if goal else "",
                not goal or statistics.median(values) <= 50.0,
            )
        )
    worst = max(invariants.hostile_costs(1 if n_rounds < 5 else 3).items(), key=lambda i: i[1])
    bars.append((f"1 MB of {worst[0]}, the worst of seven", f"{worst[1]:.0f} ms", "", True))
    return bars


def detection(n_seeds: int, *, quick: bool) -> dict[str, Any]:
    """Tables of detection, and whether the ensemble keeps up with its members."""
    sets = list(engine_detection.datasets())
    if not sets:
        print(f"no data under {engine_detection.SHARED}: set OVERSIGHT_SHARED_DATA")
        return {}
    if quick:
        sets = [item for item in sets if len(item[1]) <= QUICK_ROWS]
    return engine_members.report(sets, n_seeds)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", choices=("speed", "invariants", "detection"))
    parser.add_argument("--seeds", type=int, help="splits of each set, 5 unless told")
    parser.add_argument("--json", type=Path, help="also write all figures here")
    arguments = parser.parse_args()
    warnings.simplefilter("ignore", ConvergenceWarning)
    n_rounds = 3 if arguments.quick else 15
    bars: list[Bar] = []
    out: dict[str, Any] = {}
    if arguments.only in (None, "speed"):
        bars += speed(n_rounds) + whole_decisions(n_rounds)
    if arguments.only in (None, "invariants"):
        bars += invariant_costs(n_rounds)
    if bars:
        rows = [
            [name, got, goal and f"{goal}: {'met' if ok else 'MISSED'}"]
            for name, got, goal, ok in bars
        ]
        print("\n## What deciding costs (CPU time, one thread)\n")
        print(table(["figure", "median", "goal"], rows))
        out["cost"] = bars
    if arguments.only in (None, "detection"):
        n_seeds = arguments.seeds or (1 if arguments.quick else 5)
        out["detection"] = detection(n_seeds, quick=arguments.quick)
    if arguments.json:
        arguments.json.write_text(json.dumps(out, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
