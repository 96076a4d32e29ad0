"""How many reviews do informed rounds save, and how fast does the detector learn from them?

    python benchmarks/review_efficiency.py [--seeds 5] [--sets thyroid,musk]

Each set is split at random into an unlabelled baseline (35 %), a pool under review (at most 6,000
records) and held-out records (a quarter of the rest). Reviews until 80 % and 90 % of the pool's
violations were seen are compared with their expectation under random review, with review in order
of the unsupervised score, and with the perfect order (all violations first), since where most
records violate nothing can save much. The true positive rate at 1 % false positives is measured
on the held-out records after 50 to 400 verdicts. After a tenth of the pool, the 95 % intervals of
the same rounds are compared with the truth. Truth is looked up only for drawn records; it
otherwise only measures. docs/learning-figures.md tells what was tuned on which sets.
"""

import argparse
import json
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.review_loop import (  # noqa: E402 - the path above lets the script run in place
    Review,
    review,
)
from benchmarks.review_pools import Pool, make_pool  # noqa: E402
from benchmarks.review_sets import ReviewSet, available_sets  # noqa: E402
from benchmarks.simulated_audits import METRICS  # noqa: E402
from scoring.core.estimation.rates import estimate_rate  # noqa: E402
from scoring.core.posterior import fit_posterior  # noqa: E402
from scoring.core.queue_profiles import PROFILES, QueueProfile  # noqa: E402

FloatArray = NDArray[np.float64]

BASELINE_SHARE, HELD_OUT_SHARE, MAX_POOL = 0.35, 0.25, 6000
RECALLS = (0.8, 0.9)
CHECKPOINTS = (50, 100, 200, 400)
MIN_NORMALS, MIN_VIOLATIONS = 299, 10
SLACK = 1e-9


@dataclass
class Outcome:
    """Figures of one set, one entry per seed."""

    saved: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    found_at_equal_labels: dict[str, list[float]] = field(default_factory=dict)
    tpr: dict[str, list[list[float]]] = field(default_factory=dict)
    covered: dict[str, list[bool]] = field(default_factory=dict)


def reviews_needed(order: NDArray[np.int64], violation: FloatArray, recall: float) -> int:
    """Reviews along ``order`` until that share of the violations was seen."""
    need = math.ceil(recall * violation.sum())
    return int(np.searchsorted(np.cumsum(violation[order]), need)) + 1


def expected_random_reviews(n_records: int, n_violations: int, recall: float) -> float:
    """Mean place of the r-th of m violations in random order, ``r(N+1)/(m+1)``."""
    return math.ceil(recall * n_violations) * (n_records + 1) / (n_violations + 1)


def tpr_at_one_percent(score: FloatArray, violation: FloatArray) -> float:
    """True positive rate at the threshold that 1 % of the held-out normals exceed."""
    threshold = np.quantile(score[violation == 0], 0.99, method="higher")
    return float((score[violation == 1] > threshold).mean())


def split(data: ReviewSet, seed: int) -> tuple[Pool, Pool]:
    """The pool under review and the held-out records, scored from the same baseline."""
    order = np.random.default_rng(seed).permutation(len(data.violation))
    n_baseline = int(BASELINE_SHARE * order.size)
    baseline, rest = order[:n_baseline], order[n_baseline:]
    scored = make_pool(data, baseline, rest, seed)
    n_held_out = int(HELD_OUT_SHARE * rest.size)
    return scored.part(slice(n_held_out, n_held_out + MAX_POOL)), scored.part(slice(0, n_held_out))


def measure(data: ReviewSet, profiles: Iterable[QueueProfile], seed: int, out: Outcome) -> None:
    """Run every design on one split of one set and file its figures."""
    pool, held_out = split(data, seed)
    y, size = pool.violation, len(pool)
    random = [expected_random_reviews(size, int(y.sum()), recall) for recall in RECALLS]
    learnable = (held_out.violation == 0).sum() >= MIN_NORMALS and (
        held_out.violation.sum() >= MIN_VIOLATIONS
    )
    rng = np.random.default_rng(seed)
    orders = {"score": np.argsort(-pool.raw, kind="stable"), "random": rng.permutation(size)}
    enough = max(CHECKPOINTS[-1] if learnable else 0, size // 10)
    for profile in profiles:
        done = review(
            pool,
            profile,
            rng=np.random.default_rng(seed),
            until=lambda order: order.size >= enough and y[order].sum() >= RECALLS[-1] * y.sum(),
        )
        orders[profile.name] = done.order
        out.covered.setdefault(profile.name, []).extend(_covered(done, pool))
    orders["perfect"] = np.argsort(-y, kind="stable")
    equal = reviews_needed(orders["discover"], y, RECALLS[0])
    for name, order in orders.items():
        if name != "random":
            saved = [
                1.0 - reviews_needed(order, y, recall) / expected
                for recall, expected in zip(RECALLS, random, strict=True)
            ]
            out.saved.setdefault(name, []).append(tuple(saved))
        found = float(y[order[:equal]].sum() / y.sum())
        out.found_at_equal_labels.setdefault(name, []).append(found)
        if learnable and name != "perfect":
            out.tpr.setdefault(name, []).append(_learning_curve(pool, held_out, order))
    if learnable:
        unsupervised = tpr_at_one_percent(held_out.raw, held_out.violation)
        out.tpr.setdefault("unsupervised", []).append([unsupervised] * len(CHECKPOINTS))
        ceiling = _ceiling(pool, held_out, seed)
        out.tpr.setdefault("all labels", []).append([ceiling] * len(CHECKPOINTS))


def _covered(done: Review, pool: Pool) -> list[bool]:
    """Whether the interval of each rate that exists holds the truth, at a tenth of the pool."""
    windows, found = done.windows(len(pool) // 10), []
    for metric in METRICS:
        estimate, truth = estimate_rate(windows, metric), pool.truth(metric)
        if estimate.low is not None and estimate.high is not None:
            found.append(bool(estimate.low - SLACK <= truth <= estimate.high + SLACK))
    return found


def _learning_curve(pool: Pool, held_out: Pool, order: NDArray[np.int64]) -> list[float]:
    """The same posterior, taught by another order of review."""
    rates = []
    for n in CHECKPOINTS:
        rows = order[:n]
        posterior = fit_posterior(
            pool.features[rows], pool.violation[rows], pool.feature_map.prior()
        )
        rates.append(tpr_at_one_percent(posterior.moments(held_out.features)[0],
                                        held_out.violation))  # fmt: skip
    return rates


def _ceiling(pool: Pool, held_out: Pool, seed: int) -> float:
    """The better of our posterior and a forest, taught every label of the pool."""
    posterior = fit_posterior(pool.features, pool.violation, pool.feature_map.prior())
    forest = RandomForestClassifier(n_estimators=200, random_state=seed)
    forest.fit(pool.features, pool.violation)
    scores = (
        posterior.moments(held_out.features)[0],
        forest.predict_proba(held_out.features)[:, 1],
    )
    return max(tpr_at_one_percent(score, held_out.violation) for score in scores)


def print_savings(outcomes: dict[str, Outcome], names: list[str]) -> None:
    print("\nReviews saved against random at 80 / 90 % found: median over seeds (least to most)")
    print(f"{'set':16}{'perfect':>8}" + "".join(f"{name:>42}" for name in names))
    medians: dict[str, list[FloatArray]] = {name: [] for name in names}
    for set_name, out in outcomes.items():
        row = f"{set_name:16}{np.median([pair[0] for pair in out.saved['perfect']]):8.2f}"
        for name in names:
            values = np.array(out.saved[name])
            medians[name].append(np.median(values, axis=0))
            middle, low, high = medians[name][-1], values.min(axis=0), values.max(axis=0)
            cell = " / ".join(
                f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(middle, low, high, strict=True)
            )
            row += f"{cell:>42}"
        print(row)
    for label, reduce in (("median", np.median), ("mean", np.mean), ("least", np.min)):
        cells = [reduce(np.array(medians[name]), axis=0) for name in names]
        print(f"{label:24}" + "".join(f"{f'{a:.3f} / {b:.3f}':>42}" for a, b in cells))
    print("\nThe same as a share of what the perfect order saves: median over seeds, 80 / 90 %")
    print(f"{'set':16}" + "".join(f"{name:>18}" for name in names))
    shares = {
        name: np.array(
            [
                np.median(np.array(out.saved[name]) / np.array(out.saved["perfect"]), axis=0)
                for out in outcomes.values()
            ]
        )
        for name in names
    }
    for place, set_name in enumerate(outcomes):
        cells = [f"{a:.2f} / {b:.2f}" for a, b in (shares[name][place] for name in names)]
        print(f"{set_name:16}" + "".join(f"{cell:>18}" for cell in cells))
    cells = [f"{a:.3f} / {b:.3f}" for a, b in (np.median(shares[name], axis=0) for name in names)]
    print(f"{'median':16}" + "".join(f"{cell:>18}" for cell in cells))


def print_equal_labels(outcomes: dict[str, Outcome]) -> None:
    print("\nShare of violations found with the labels `discover` needs for 80 % (median of seeds)")
    names = ["discover", "measure", "score", "random"]
    print(f"{'set':16}" + "".join(f"{name:>14}" for name in names))
    for set_name, out in outcomes.items():
        cells = [np.median(out.found_at_equal_labels[name]) for name in names]
        print(f"{set_name:16}" + "".join(f"{cell:14.2f}" for cell in cells))


def print_learning(outcomes: dict[str, Outcome]) -> None:
    learned = {name: out for name, out in outcomes.items() if out.tpr}
    if not learned:
        return
    print(f"\nTPR at 1 % FPR, held out, after {CHECKPOINTS} verdicts (median of seeds); sets with")
    print(f">= {MIN_NORMALS} normals and >= {MIN_VIOLATIONS} violations held out")
    names = ["discover", "measure", "score", "random"]
    columns: dict[str, list[FloatArray]] = {}
    print(f"{'set':16}{'unsup.':>8}{'all':>6}" + "".join(f"{name:>24}" for name in names))
    for set_name, out in learned.items():
        middle = {name: np.nanmedian(np.array(rates), axis=0) for name, rates in out.tpr.items()}
        for name, rates in middle.items():
            columns.setdefault(name, []).append(rates)
        row = f"{set_name:16}{middle['unsupervised'][0]:8.2f}{middle['all labels'][0]:6.2f}"
        for name in names:
            row += f"{'  ' + ' '.join(f'{rate:.2f}' for rate in middle[name]):>24}"
        print(row)
    table = {name: np.array(rows) for name, rows in columns.items()}
    row = f"{'median':16}{np.median(table['unsupervised']):8.2f}"
    row += f"{np.median(table['all labels']):6.2f}"
    for name in names:
        row += f"{' '.join(f'{rate:.2f}' for rate in np.nanmedian(table[name], axis=0)):>24}"
    print(row)
    row = f"{'share of all':16}{'':14}"
    for name in names:
        share = np.nanmedian(table[name] / np.maximum(table["all labels"], 1e-9), axis=0)
        row += f"{' '.join(f'{value:.2f}' for value in share):>24}"
    print(row)


def print_coverage(outcomes: dict[str, Outcome]) -> None:
    print("\n95 % intervals of the same rounds at a tenth of the pool, all rates, sets and seeds")
    for profile in PROFILES:
        found = [hit for out in outcomes.values() for hit in out.covered[profile.name]]
        print(
            f"{profile.name:16}{sum(found)} of {len(found)} hold the truth ({np.mean(found):.3f})"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--sets", default="", help="comma-separated names; default all")
    parser.add_argument(
        "--results", type=Path, help="file of figures: kept set by set, gone on with"
    )
    arguments = parser.parse_args()
    loaders = available_sets()
    wanted = [name for name in arguments.sets.split(",") if name] or list(loaders)
    outcomes: dict[str, Outcome] = {}
    if arguments.results and arguments.results.exists():
        kept = json.loads(arguments.results.read_text())
        outcomes = {name: Outcome(**figures) for name, figures in kept.items()}
    for name in wanted:
        if name in outcomes:
            continue
        start = time.perf_counter()
        data = loaders[name]()
        outcomes[name] = Outcome()
        for seed in range(arguments.seeds):
            measure(data, PROFILES, seed, outcomes[name])
        if arguments.results:
            figures = {done: asdict(outcome) for done, outcome in outcomes.items()}
            arguments.results.write_text(json.dumps(figures))
        saved = np.median(np.array(outcomes[name].saved["discover"]), axis=0)
        print(
            f"{name}: {time.perf_counter() - start:.0f} s, discover saves {saved[0]:.2f} / "
            f"{saved[1]:.2f}", file=sys.stderr, flush=True,
        )  # fmt: skip
    print(f"{arguments.seeds} seeds, rounds of 1 % of the pool (5 to 30 verdicts)")
    for profile in PROFILES:
        print(f"{profile.name}: floor {profile.floor}, effective size {profile.size_in_budgets} "
              f"budgets, {'flagged records first' if profile.census else 'no census'}")  # fmt: skip
    print_savings(outcomes, ["discover", "measure", "score"])
    print_equal_labels(outcomes)
    print_learning(outcomes)
    print_coverage(outcomes)


if __name__ == "__main__":
    main()
