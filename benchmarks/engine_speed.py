"""What extracting, scoring and deciding cost: medians, and ratios to a plain matrix product.

Run: python -m benchmarks.engine_speed [--rounds N] [--check]
One BLAS thread and CPU time, since other work on the machine is none of ours; each round measures
everything once, in turn, so that the machine's moods hit all alike; ratios are medians over
rounds. `--check` exits with 1 where a bar is missed, `--wall` measures elapsed time instead.
"""

import argparse
import os
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # before numpy is imported
os.environ["OMP_NUM_THREADS"] = "1"
os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np

from scoring.core.fingerprint import FingerprintSpec, fit_pca, random_projections
from scoring.core.scorers import load_scorer
from scoring.core.scorers.contract import RecordBatch, Scorer
from scoring.core.scorers.ensemble_fit import fit_ensemble
from scoring.core.scorers.percentile_fit import fit_percentile
from scoring.core.state import from_bytes, to_bytes

N_DIMENSIONS = 256
N_SIGNALS = 8
N_LARGE = 10_000
N_SINGLE = 40
LAYERS, WIDTH, N_TOKENS = 12, 768, 512
DIRECTIONS = ("high", "low", "both")
SIGNALS = {f"s{i}": {"direction": DIRECTIONS[i % 3]} for i in range(N_SIGNALS)}


def window(n: int, seed: int, mixing: np.ndarray) -> RecordBatch:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, N_DIMENSIONS)) @ mixing
    return RecordBatch(
        model="m",
        n=n,
        signals={name: rng.normal(size=n) for name in SIGNALS},
        fingerprints=x.astype(np.float32),
        context=[{"region": ("EU", "US")[i % 2]} for i in range(n)],
    )


def scorers(baseline: RecordBatch) -> dict[str, Scorer]:
    """Fitted, stored and loaded again, as a monitor would."""
    weights = {"context_weights": {"region": {"EU": 2.0}}, "review_from_tier": 3}
    settings = {"signals": SIGNALS, **weights}
    states = {
        "percentile": fit_percentile([baseline], config=settings),
        "lean, fingerprint only": fit_ensemble([baseline], config={}),
        "lean": fit_ensemble([baseline], config=settings),
        "full": fit_ensemble([baseline], config={**settings, "profile": "full"}),
    }
    return {
        name: load_scorer(state.config["kind"], 1, from_bytes(to_bytes(state)))
        for name, state in states.items()
    }


class Stopwatch:
    """Milliseconds of a call, of this thread's CPU or elapsed."""

    def __init__(self, *, wall: bool) -> None:
        self._clock = time.perf_counter_ns if wall else time.thread_time_ns

    def __call__(self, call: Callable[[], object]) -> float:
        start = self._clock()
        call()
        return (self._clock() - start) / 1e6


def decision(scorer: Scorer, one: RecordBatch) -> Callable[[], object]:
    """A full decision: score, tier, action and the reasons the caller is given."""
    return lambda: scorer.score(one).reasons(0)


def measure(
    n_rounds: int, milliseconds: Stopwatch
) -> tuple[dict[str, list[float]], dict[str, list[float]]]:
    """Milliseconds by name, large batches and extraction once a round, decisions many times."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(N_DIMENSIONS, N_DIMENSIONS)) / np.sqrt(N_DIMENSIONS)
    loaded = scorers(window(5000, 1, mixing))
    large, ones = window(N_LARGE, 2, mixing), [window(1, 10 + i, mixing) for i in range(N_SINGLE)]
    square = rng.normal(size=(N_DIMENSIONS, N_DIMENSIONS)).astype(np.float32)
    spec = FingerprintSpec(layers=tuple((f"layer.{i}", WIDTH) for i in range(LAYERS)))
    activations = {
        name: rng.normal(size=(N_TOKENS, width)).astype(np.float32) for name, width in spec.layers
    }
    fingerprinters = {
        "extraction, random": random_projections(spec),
        "extraction, PCA": fit_pca(spec, [activations]),
    }
    matrix = large.fingerprints
    batches: dict[str, list[float]] = defaultdict(list)
    singles: dict[str, list[float]] = defaultdict(list)
    for _ in range(n_rounds + 1):
        batches["matrix product"].append(milliseconds(lambda: matrix @ square))
        for name, scorer in loaded.items():
            batches[name].append(milliseconds(lambda scorer=scorer: scorer.score(large)))
            for one in ones:
                singles[f"decision, {name}"].append(milliseconds(decision(scorer, one)))
        for name, fingerprinter in fingerprinters.items():
            for _ in range(5):
                singles[name].append(
                    milliseconds(lambda extract=fingerprinter.extract: extract(activations))
                )
    # the first round warms caches
    return (
        {name: values[1:] for name, values in batches.items()},
        {name: values[len(values) // (n_rounds + 1) :] for name, values in singles.items()},
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--check", action="store_true", help="exit with 1 where a bar is missed")
    parser.add_argument("--wall", action="store_true", help="elapsed time, not CPU time")
    arguments = parser.parse_args()
    batches, singles = measure(arguments.rounds, Stopwatch(wall=arguments.wall))
    product = batches["matrix product"]
    print(
        f"\n| {N_LARGE:,} x {N_DIMENSIONS}, {N_SIGNALS} signals | ms, median | x matrix product |"
    )
    print("| --- | --- | --- |")
    ratios = {}
    for name, values in batches.items():
        ratios[name] = statistics.median(a / b for a, b in zip(values, product, strict=True))
        print(f"| {name} | {statistics.median(values):.1f} | {ratios[name]:.2f} |")
    print("\n| one record | ms, median | ms, p95 |\n| --- | --- | --- |")
    p95 = {name: float(np.quantile(values, 0.95)) for name, values in singles.items()}
    for name, values in singles.items():
        print(f"| {name} | {statistics.median(values):.2f} | {p95[name]:.2f} |")
    bars = {
        "lean scorer within 2x of the matrix product": ratios["lean, fingerprint only"] <= 2.0,
        "decision p95 below 5 ms": max(p95["decision, lean"], p95["decision, percentile"]) < 5.0,
        "extraction median below 2 ms": all(
            statistics.median(values) < 2.0
            for name, values in singles.items()
            if name.startswith("extraction")
        ),
    }
    print()
    for bar, met in bars.items():
        print(f"{'met   ' if met else 'MISSED'} {bar}")
    return int(arguments.check and not all(bars.values()))


if __name__ == "__main__":
    sys.exit(main())
