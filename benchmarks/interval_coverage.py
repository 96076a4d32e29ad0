"""Do the intervals cover, how wide are they, and what do they cost against uniform sampling?

    python benchmarks/interval_coverage.py [--runs 500] [--sets mammography,annthyroid]
        [--rare-runs 60] [--watch-runs 200]

Per set: a pool of at most 3,000 records whose strangest 3 % a fixed detector flags, and audits of
300 verdicts (a tenth of smaller pools) in ten rounds, simulated again and again with fresh draws.
Beside the two profiles stand uniform sampling and a design that takes all flagged records and
spends the rest uniformly. ``design`` is our interval before the floor's limits, printed to show
what these cost. Then the regime where only validity is claimed (a million records, one violation
in a thousand, a share of them invisible to the model), dashboards watched over 26 looks, and the
point estimate of ppi-python where that is installed.
"""

import argparse
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.rare_harm import rare_harm_audits  # noqa: E402 - the path above lets it run in place
from benchmarks.review_loop import review  # noqa: E402
from benchmarks.review_pools import Pool, make_pool  # noqa: E402
from benchmarks.review_sets import ReviewSet, available_sets  # noqa: E402
from benchmarks.simulated_audits import (  # noqa: E402
    METRICS,
    Interval,
    stratified_audit,
    uniform_audit,
)
from scoring.core.estimation.estimate import Metric  # noqa: E402
from scoring.core.estimation.rates import estimate_rate  # noqa: E402
from scoring.core.estimation.rounds import DOMAINS, Window, make_round  # noqa: E402
from scoring.core.estimation.sequences import (  # noqa: E402
    asymptotic_sequence,
    betting_sequence,
    floor_tuning_variance,
)
from scoring.core.estimation.totals import round_totals, window_total  # noqa: E402
from scoring.core.estimation.tuning import power_tuned  # noqa: E402
from scoring.core.queue_profiles import PROFILES  # noqa: E402

try:
    from ppi_py import ppi_mean_pointestimate
except ImportError:
    ppi_mean_pointestimate = None

FloatArray = NDArray[np.float64]

DEFAULT_SETS = "mammography,annthyroid,thyroid,satimage-2"
MAX_POOL, BASELINE_SHARE, LOOKS = 3000, 0.35, 26
LEAST_COVERAGE = 0.93
SLACK = 1e-9
STRATIFIED = "all flagged + rest"


def audit_pool(data: ReviewSet, seed: int) -> Pool:
    """One fixed pool and its flags; the randomness under test is that of the draws alone."""
    order = np.random.default_rng(seed).permutation(len(data.violation))
    n_baseline = int(BASELINE_SHARE * order.size)
    baseline, rows = order[:n_baseline], order[n_baseline:][:MAX_POOL]
    return make_pool(data, baseline, rows, seed)


Row = tuple[bool, bool, float]
"""The truth below the interval, above it, and the width."""


class Tally:
    """Misses on either side and widths, by design and metric."""

    def __init__(self, rows: dict[str, dict[str, list[Row]]] | None = None) -> None:
        self.rows: dict[str, dict[str, list[Row]]] = rows or {}

    @property
    def n_runs(self) -> int:
        """Audits that every design has had."""
        counts = [len(rows) for metrics in self.rows.values() for rows in metrics.values()]
        return min(counts, default=0)

    def add(self, design: str, metric: Metric, interval: Interval, truth: float) -> None:
        low, high = interval
        row = (bool(truth < low - SLACK), bool(truth > high + SLACK), float(high - low))
        self.rows.setdefault(design, {}).setdefault(metric, []).append(row)

    def coverage(self, design: str, metric: Metric) -> float:
        return float(
            1.0 - np.mean([below or above for below, above, _ in self.rows[design][metric]])
        )

    def width(self, design: str, metric: Metric) -> float:
        return float(np.mean([width for _, _, width in self.rows[design][metric]]))

    def designs(self) -> list[str]:
        return list(self.rows)

    def show(self) -> None:
        print(f"{'':18}" + "".join(f"{metric:>16}" for metric in METRICS))
        for design in self.designs():
            cells = [
                f"{self.coverage(design, metric):.3f} / {self.width(design, metric):.3f}"
                for metric in METRICS
            ]
            print(f"{design:18}" + "".join(f"{cell:>16}" for cell in cells), flush=True)


def tally_windows(tally: Tally, design: str, windows: list[Window], pool: Pool) -> None:
    """Our intervals, and what they would be without the floor's limits."""
    for metric in METRICS:
        estimate = estimate_rate(windows, metric)
        ours, bare = (0.0, 1.0), (0.0, 1.0)
        if estimate.low is not None and estimate.high is not None:
            ours = estimate.low, estimate.high
        if estimate.design_low is not None and estimate.design_high is not None:
            bare = estimate.design_low, estimate.design_high
        tally.add(design, metric, ours, pool.truth(metric))
        tally.add(f"  {design}, design", metric, bare, pool.truth(metric))


def measure_set(name: str, data: ReviewSet, runs: int, seed: int, kept: Path | None) -> Tally:
    """Audits with a seed each, so that a run that was interrupted goes on where it stopped."""
    pool = audit_pool(data, seed)
    size, n_flagged = len(pool), int(pool.flagged.sum())
    budget = min(300, size // 10)
    truths = ", ".join(f"{metric} {pool.truth(metric):.3f}" for metric in METRICS)
    print(f"\n{name}: N = {size}, {n_flagged} flagged, {budget} verdicts; {truths}")
    path = kept / f"{name}.json" if kept else None
    tally = Tally(json.loads(path.read_text()) if path and path.exists() else None)
    start = time.perf_counter()
    for number in range(tally.n_runs, runs):
        rng = np.random.default_rng((seed, 1, number))
        for profile in PROFILES:
            done = review(pool, profile, rng=rng, until=lambda order: False, budget=budget)
            tally_windows(tally, profile.name, done.windows(budget), pool)
        for design, intervals in (
            ("uniform", uniform_audit(pool, budget=budget, rng=rng)),
            (STRATIFIED, stratified_audit(pool, budget=budget, rng=rng)),
        ):
            for metric, interval in intervals.items():
                tally.add(design, metric, interval, pool.truth(metric))
        if path and (number % 25 == 24 or number + 1 == runs):
            path.write_text(json.dumps(tally.rows))
    print(f"{tally.n_runs} audits")
    tally.show()
    print(f"{'':18}{time.perf_counter() - start:.0f} s", file=sys.stderr)
    return tally


def verdict(tallies: dict[str, Tally]) -> bool:
    """The bars of METHODS §9, set by set; True when all hold."""
    print("\nbars (coverage >= 93 % everywhere; on 3 of 4 sets precision at most half as wide as")
    print("uniform's and recall narrower)")
    passed = True
    for profile in PROFILES:
        least = min(t.coverage(profile.name, m) for t in tallies.values() for m in METRICS)
        narrow = {
            metric: sum(
                t.width(profile.name, metric) <= share * t.width("uniform", metric)
                for t in tallies.values()
            )
            for metric, share in (("precision", 0.5), ("recall", 1.0))
        }
        beside = sum(
            t.width(profile.name, "recall") <= t.width(STRATIFIED, "recall")
            for t in tallies.values()
        )
        print(
            f"{profile.name:10} least coverage {least:.3f}; precision half as wide on "
            f"{narrow['precision']} of {len(tallies)} sets, recall narrower on {narrow['recall']} "
            f"(than with all flagged and the rest uniform: on {beside})"
        )
        enough = 0.75 * len(tallies)
        passed &= least >= LEAST_COVERAGE and min(narrow.values()) >= enough
    return passed


def watch(runs: int, seed: int) -> None:
    """Share of audits in which some look of 26 misses the prevalence."""
    sets = available_sets()
    name = "mammography" if "mammography" in sets else "digits-8"
    pool = audit_pool(sets[name](), seed)
    size, truth = len(pool), pool.truth("prevalence")
    per_round, profile = 12, replace(PROFILES[0], name="watched")
    rho = floor_tuning_variance(profile.floor * per_round / size) / size**2
    rng = np.random.default_rng(seed + 2)
    missed: dict[str, list[bool]] = {"fixed interval": [], "asymptotic": [], "betting": []}
    widths: dict[str, list[float]] = {name: [] for name in missed}

    def note(method: str, low: FloatArray, high: FloatArray) -> None:
        missed[method].append(bool(((low > truth + SLACK) | (high < truth - SLACK)).any()))
        widths[method].append(float(min(high[-1], 1.0) - max(low[-1], 0.0)))

    for _ in range(runs):
        done = review(
            pool,
            profile,
            rng=rng,
            until=lambda order: False,
            budget=LOOKS * per_round,
            per_round=per_round,
        )
        (window,) = done.windows(LOOKS * per_round)
        looks = [
            estimate_rate([replace(window, rounds=window.rounds[:n])], "prevalence")
            for n in range(1, LOOKS + 1)
        ]
        # The interval alone, as a dashboard without the floor's limits would show it.
        note(
            "fixed interval",
            np.array([look.design_low or 0.0 for look in looks]),
            np.array([1.0 if look.design_high is None else look.design_high for look in looks]),
        )
        per_domain = [round_totals(power_tuned(window), domain) for domain in DOMAINS]
        estimates = sum(totals for totals, _ in per_domain) / size
        variances = sum(variances for _, variances in per_domain) / size**2
        sequence = asymptotic_sequence(estimates, variances, tuning_variance=rho)
        note("asymptotic", sequence.low, sequence.high)
        sequence = betting_sequence(_shares(window), _shares(_inverted(window)))
        note("betting", sequence.low, sequence.high)
    print(f"\nwatched over {LOOKS} looks ({name}, {runs} audits): ever missed / width at the end")
    for method, found in missed.items():
        print(f"{method:16}{np.mean(found):.3f} / {np.mean(widths[method]):.3f}")


def _shares(window: Window) -> FloatArray:
    """Each round's Horvitz-Thompson estimate of the share of positive labels."""
    bare = tuple(
        replace(one, predictions=np.zeros(one.size), prediction_totals=(0.0, 0.0))
        for one in window.rounds
    )
    plain = replace(window, rounds=bare)
    totals = sum(round_totals(plain, domain)[0] for domain in DOMAINS)
    return np.asarray(totals) / window.n_records


def _inverted(window: Window) -> Window:
    return replace(
        window, rounds=tuple(replace(one, labels=1.0 - one.labels) for one in window.rounds)
    )


def compare_with_ppi(seed: int) -> None:
    """One uniform round is prediction-powered inference; 1e-8 apart at most."""
    if ppi_mean_pointestimate is None:
        print("\nppi-python is not installed: its comparison is left out")
        return
    rng = np.random.default_rng(seed)
    size, n = 5000, 200
    f = rng.beta(1.0, 9.0, size)
    y = (rng.random(size) < f).astype(float)
    drawn = rng.choice(size, n, replace=False)
    one = make_round(
        y[drawn],
        np.full(n, n / size),
        predictions=f[drawn],
        prediction_totals=(float(f.sum()), 0.0),
    )
    ours = window_total(Window(size, (size, 0), (one,)), 0).value / size
    theirs = float(np.ravel(ppi_mean_pointestimate(y[drawn], f[drawn], f, lam=1))[0])
    print(f"\nppi-python: {theirs:.10f}, ours {ours:.10f}, apart by {abs(theirs - ours):.1e}")
    if abs(theirs - ours) > 1e-8:
        raise SystemExit("the point estimates differ")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=500, help="audits per set")
    parser.add_argument("--sets", default=DEFAULT_SETS, help="comma-separated names")
    parser.add_argument("--rare-runs", type=int, default=60, help="audits per share; 0 skips")
    parser.add_argument("--watch-runs", type=int, default=200, help="0 skips")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kept", type=Path, help="folder of audits so far, to go on with")
    arguments = parser.parse_args()
    if arguments.kept:
        arguments.kept.mkdir(parents=True, exist_ok=True)
    compare_with_ppi(arguments.seed)
    loaders = available_sets()
    names = [name for name in arguments.sets.split(",") if name in loaders]
    missing = set(arguments.sets.split(",")) - set(names) - {""}
    if missing:
        print(f"not on this machine: {', '.join(sorted(missing))}")
    print("\ncoverage / mean width of 95 % intervals")
    tallies = {
        name: measure_set(name, loaders[name](), arguments.runs, arguments.seed, arguments.kept)
        for name in names
    }
    passed = verdict(tallies) if tallies and arguments.runs else True
    if arguments.watch_runs:
        watch(arguments.watch_runs, arguments.seed)
    if arguments.rare_runs:
        rare_harm_audits(arguments.rare_runs, arguments.seed)
    raise SystemExit(0 if passed else 1)


if __name__ == "__main__":
    main()
