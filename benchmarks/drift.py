"""Drift and baseline figures: false alarms, power, delays, numerical error, time per inference.

Run: python -m benchmarks.drift [--runs N]
Simulated figures come from fixed seeds; those of XSTest need the shared data and are left out
without it. Times are medians of CPU time, since other work on the machine is none of ours.
"""

from __future__ import annotations

import argparse
import gzip
import json
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from scoring.core.baseline import MovingBaseline
from scoring.core.drift.compare import DriftSettings, compare_windows
from scoring.core.drift.contract import Sample
from scoring.core.drift.localise import change_points, fourier_features, joined, step_features
from scoring.core.drift.population_stability import population_stability
from scoring.core.drift.rates import rate_drift_p, weighted_rate
from scoring.core.drift.streaming import MeanShiftDetector
from scoring.core.monitor import Monitor
from scoring.core.scorers.contract import RecordBatch
from scoring.core.scorers.percentile_fit import fit_percentile

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OVERSIGHT_SHARED_DATA", ROOT.parent / "shared" / "data"))
Floats = NDArray[np.float64]
Change = Callable[[Floats], Floats]
D, N = 64, 200


def add_to_few(x: Floats) -> Floats:
    return x + np.where(np.arange(x.shape[1]) < 3, 0.4, 0.0)


def add_to_some(x: Floats) -> Floats:
    return x + np.where(np.arange(len(x)) < len(x) // 20, 1.5, 0.0)[:, None]


CHANGES: dict[str, Change] = {
    "none": lambda x: x,
    "dense, mean + .12 sd in all": lambda x: x + 0.12,
    "sparse, mean + .4 sd in 3": add_to_few,
    "scale x 1.1": lambda x: 1.1 * x,
    "5 % of records + 1.5 sd": add_to_some,
}


def sample(x: Floats, start: float, *, as_signals: bool) -> Sample:
    times = start + np.arange(float(len(x)))
    if as_signals:
        return Sample(times=times, signals={f"s{j}": x[:, j] for j in range(x.shape[1])})
    return Sample(times=times, fingerprints=x)


def alarm_share(change: Change, runs: int, rng: np.random.Generator, *, as_signals: bool) -> float:
    settings = DriftSettings(n_permutations=199)
    alarms = 0
    for _ in range(runs):
        reference, window = rng.normal(size=(2, N, D))
        report = compare_windows(
            sample(reference, 0.0, as_signals=as_signals),
            sample(change(window), float(N), as_signals=as_signals),
            rng=rng,
            settings=settings,
        )
        alarms += bool(report.alarms)
    return alarms / runs


def print_power(runs: int) -> None:
    rng = np.random.default_rng(1)
    print(f"share of reports with an alarm, alpha 5 %, d={D}, n=m={N}, {runs} runs")
    print(f"  {'change':32}{'prints':>8}{'signals':>9}")
    for name, change in CHANGES.items():
        shares = [alarm_share(change, runs, rng, as_signals=flag) for flag in (False, True)]
        print(f"  {name:32}{shares[0]:8.3f}{shares[1]:9.3f}")


def print_other_alarms(runs: int) -> None:
    rng = np.random.default_rng(2)
    found = [population_stability(rng.normal(size=100), rng.normal(size=100)) for _ in range(runs)]
    print("PSI at n=m=100 without drift:", end=" ")
    print(f"chi-square {np.mean([i.p <= 0.05 for i in found]):.3f}", end=", ")
    print(f"rule of thumb (> .1) {np.mean([i.psi > 0.1 for i in found]):.3f}")
    for after in (0.05, 0.15):
        alarms = 0
        for _ in range(runs):
            sides = []
            for rate, tilt in ((0.05, 3.0), (after, 1.0)):
                y = rng.uniform(size=6000) < rate
                q = np.where(y, tilt, 1.0) * rng.uniform(0.5, 1.5, size=y.size)
                q *= 300 / q.sum()
                drawn = rng.uniform(size=y.size) < q
                sides.append(weighted_rate(y[drawn].astype(float), 1 / q[drawn]))
            alarms += rate_drift_p(*sides) <= 0.05
        print(f"verdict rate .05 -> {after}, 300 weighted verdicts a side: {alarms / runs:.3f}")


def print_run_lengths(runs: int) -> None:
    rng = np.random.default_rng(3)
    lengths, delays = [], []
    for _ in range(runs):
        detector = MeanShiftDetector(low=0.5, high=0.5, average_run_length=200)
        hits = (i for i in range(2000) if detector.update(float(rng.integers(2))))
        lengths.append(next(hits, 2000))
        detector = MeanShiftDetector(low=0.45, high=0.55, average_run_length=10_000)
        stream = np.clip(rng.normal(0.75, 0.2, size=1000), 0, 1)
        delays.append(next((i for i, x in enumerate(stream) if detector.update(float(x))), 1000))
    print(f"e-detector, stated ARL 200: measured {np.mean(lengths):.0f} (cut at 2000)")
    print(f"e-detector, ARL 10,000, mean .5 -> .75: median delay {np.median(delays):.0f} records")


def print_xstest() -> None:
    folder = SHARED / "drift_xstest"
    if not folder.exists():
        print("XSTest: the shared data is absent, left out")
        return
    with gzip.open(folder / "records.ndjson.gz", "rt", encoding="utf-8") as lines:
        records = [json.loads(line) for line in lines]
    prints = np.load(folder / "embeddings.npy").astype(np.float64)
    length = np.array([float(len(record["output"])) for record in records])
    profanity = np.array([record["signals"]["profanity"] for record in records])
    truth = json.loads((folder / "change_points.json").read_text())["change_points"]
    print(f"XSTest, model swaps at {truth}; found (90 % range)")
    for name, blocks in _blocks(prints, length, profanity):
        points = change_points(joined(blocks), np.random.default_rng(4))
        print(f"  {name:24}", *(f"{p.index} ({p.low}-{p.high})" for p in points))
    past = np.sort(length[:300])
    for swap in truth[:1]:
        ranks = np.searchsorted(past, length[300:], side="right") / 300
        detector = MeanShiftDetector(low=0.42, high=0.58, average_run_length=10_000)
        alarm = next(a for a in (detector.update(float(r)) for r in ranks) if a is not None)
        at, since = 300 + alarm.at, 300 + alarm.since
        print(f"  online from length, ARL 10,000: alarm at {at}, dated {since} (true {swap})")


def _blocks(
    prints: Floats, length: Floats, profanity: Floats
) -> Iterator[tuple[str, list[Floats]]]:
    signals = [step_features(length), step_features(profanity)]
    embedded = fourier_features(prints, np.random.default_rng(5))
    yield "signals", signals
    yield "embeddings", [embedded]
    yield "signals and embeddings", [*signals, embedded]


def print_baseline() -> None:
    rng = np.random.default_rng(6)
    x = rng.normal(size=(2000, 8)) @ (rng.normal(size=(8, 8)) + 2 * np.eye(8))
    baseline = MovingBaseline.start(x, rate=0.01)
    for step in range(100_000):
        baseline.update(x[step % 2000])
    error = np.abs(baseline.precision_ - np.linalg.inv(baseline.covariance_)).max()
    print(f"baseline, d=8, 100,000 rank-1 steps: largest error of P {error:.1e}")
    for d in (64, 256):
        x = rng.normal(size=(1500, d))
        baseline = MovingBaseline.start(x, rate=0.001)
        started = time.process_time()
        for row in x:
            baseline.update(row)
        single = (time.process_time() - started) / len(x)
        started = time.process_time()
        baseline.update_batch(x)
        batch = (time.process_time() - started) / len(x)
        print(f"  d={d}: {1e3 * single:.3f} ms an update, {1e3 * batch:.3f} ms in a batch")


def print_monitor() -> None:
    rng = np.random.default_rng(7)
    names = ("toxicity", "length", "confidence")
    window = RecordBatch(
        model="m",
        n=3000,
        signals={name: rng.uniform(size=3000) for name in names},
        fingerprints=rng.normal(size=(3000, 256)).astype(np.float32),
    )
    signals = {name: {"direction": "high"} for name in names}
    state = fit_percentile([window], config={"signals": signals, "fingerprint_weight": 1.0})
    monitor = Monitor(state)
    costs = []
    for i in range(6000):
        record = {
            "model": {"name": "m"},
            "signals": dict.fromkeys(names, 0.5),
            "fingerprint": rng.normal(size=256).astype(np.float32),
        }
        started = time.process_time()
        monitor.check(record)
        if i >= 500:
            costs.append(1e3 * (time.process_time() - started))
    early, late = np.median(costs[:1000]), np.median(costs[-1000:])
    p99 = np.quantile(costs, 0.99)
    print("monitor, 256-d fingerprint and 3 signals, one thread:", end=" ")
    print(f"median {early:.2f} ms early, {late:.2f} ms late, p99 {p99:.2f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200, help="Monte Carlo runs a figure")
    runs = parser.parse_args().runs
    print_power(runs)
    print_other_alarms(runs)
    print_run_lengths(runs)
    print_xstest()
    print_baseline()
    print_monitor()


if __name__ == "__main__":
    main()
