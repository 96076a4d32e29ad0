"""How many reviews do informed rounds save, and how fast does the detector learn from them?

    python benchmarks/review_efficiency.py [--seeds 3] [--sets thyroid,musk] [--budget 10]

Each set is split at random into an unlabelled baseline (35 %), a pool under review (at most 6,000
records) and held-out records (a quarter of the rest). Reviews until 80 % and 90 % of the pool's
violations were seen are compared with their expectation under random review and with review in
order of the unsupervised score. The true positive rate at 1 % false positives is measured on the
held-out records after 50 to 400 verdicts. Truth is looked up only for drawn records; it otherwise
only measures. What the figures owe to these sets: budget, λ and size were tried on annthyroid,
thyroid, WBC, digits and xstest-refusal, the cap on the base rate on begin, and the prior sd of
components (0.3, not 1) was picked of two values on all of them, so expect slightly less elsewhere.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.review_loop import (  # noqa: E402 - the path above lets the script run in place
    DISCOVER,
    MEASURE,
    Pool,
    Profile,
    make_pool,
    review,
)
from benchmarks.review_sets import ReviewSet, available_sets  # noqa: E402
from scoring.core.posterior import Posterior, fit_posterior  # noqa: E402

FloatArray = NDArray[np.float64]

BASELINE_SHARE, HELD_OUT_SHARE, MAX_POOL = 0.35, 0.25, 6000
RECALLS = (0.8, 0.9)
CHECKPOINTS = (50, 100, 200, 400)
MIN_NORMALS, MIN_VIOLATIONS = 299, 10


@dataclass
class Outcome:
    """Figures of one set, one entry per seed."""

    saved: dict[str, list[tuple[float, ...]]] = field(default_factory=dict)
    found_at_equal_labels: dict[str, list[float]] = field(default_factory=dict)
    tpr: dict[str, list[list[float]]] = field(default_factory=dict)


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
    scored = make_pool(data.features[baseline], data.features[rest], data.violation[rest], seed)
    n_held_out = int(HELD_OUT_SHARE * rest.size)
    return _part(scored, slice(n_held_out, n_held_out + MAX_POOL)), _part(
        scored, slice(0, n_held_out)
    )


def _part(pool: Pool, rows: slice) -> Pool:
    return replace(
        pool,
        raw=pool.raw[rows],
        features=pool.features[rows],
        violation=pool.violation[rows],
        multiplicity=pool.multiplicity[rows],
    )


def measure(
    data: ReviewSet, profiles: Iterable[Profile], seed: int, budget: int, out: Outcome
) -> None:
    """Run every design on one split of one set and file its figures."""
    pool, held_out = split(data, seed)
    y, size = pool.violation, len(pool.violation)
    random = [expected_random_reviews(size, int(y.sum()), recall) for recall in RECALLS]
    learnable = (held_out.violation == 0).sum() >= MIN_NORMALS and (
        held_out.violation.sum() >= MIN_VIOLATIONS
    )
    rng = np.random.default_rng(seed)
    orders = {"score": np.argsort(-pool.raw, kind="stable"), "random": rng.permutation(size)}
    checkpoints: dict[str, list[float]] = {}
    for profile in profiles:
        rates: list[float] = []

        def on_round(n_verdicts: int, posterior: Posterior, rates: list[float] = rates) -> None:
            if learnable and len(rates) < 4 and n_verdicts >= CHECKPOINTS[len(rates)]:
                mean, _ = posterior.moments(held_out.features)
                rates.append(tpr_at_one_percent(mean, held_out.violation))

        orders[profile.name] = review(
            pool,
            profile,
            budget=budget,
            seed=seed,
            until=lambda order: (
                y[order].sum() >= RECALLS[-1] * y.sum()
                and (order.size >= CHECKPOINTS[-1] or not learnable)
            ),
            on_round=on_round,
        )
        checkpoints[profile.name] = rates
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
        if learnable and name in ("score", "random"):
            checkpoints[name] = _learning_curve(pool, held_out, order)
    if learnable:
        checkpoints["unsupervised"] = [tpr_at_one_percent(held_out.raw, held_out.violation)] * 4
        checkpoints["all labels"] = [_ceiling(pool, held_out, seed)] * 4
        for name, rates in checkpoints.items():
            out.tpr.setdefault(name, []).append(rates + [math.nan] * (4 - len(rates)))


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
    print("\nReviews saved against random at 80 / 90 % recall: median over seeds (least-most)")
    print(f"{'set':16}" + "".join(f"{name:>43}" for name in names))
    medians: dict[str, list[FloatArray]] = {name: [] for name in names}
    for set_name, out in outcomes.items():
        row = f"{set_name:16}"
        for name in names:
            values = np.array(out.saved[name])
            medians[name].append(np.median(values, axis=0))
            middle, low, high = medians[name][-1], values.min(axis=0), values.max(axis=0)
            cell = " / ".join(
                f"{m:.2f} ({a:.2f} to {b:.2f})" for m, a, b in zip(middle, low, high, strict=True)
            )
            row += f"{cell:>43}"
        print(row)
    for label, reduce in (("median", np.median), ("mean", np.mean), ("least", np.min)):
        cells = [reduce(np.array(medians[name]), axis=0) for name in names]
        print(f"{label:16}" + "".join(f"{f'{a:.3f} / {b:.3f}':>43}" for a, b in cells))


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--budget", type=int, default=10, help="verdicts per round")
    parser.add_argument("--sets", default="", help="comma-separated names; default all")
    arguments = parser.parse_args()
    loaders = available_sets()
    wanted = [name for name in arguments.sets.split(",") if name] or list(loaders)
    outcomes: dict[str, Outcome] = {}
    for name in wanted:
        start = time.perf_counter()
        data = loaders[name]()
        outcomes[name] = Outcome()
        for seed in range(arguments.seeds):
            measure(data, (DISCOVER, MEASURE), seed, arguments.budget, outcomes[name])
        print(f"{name}: {time.perf_counter() - start:.0f} s", file=sys.stderr, flush=True)
    print(f"{arguments.seeds} seeds, {arguments.budget} verdicts a round; discover: floor .1, ESS "
          "2 budgets; measure: floor .3, ESS 6 budgets")  # fmt: skip
    print_savings(outcomes, ["discover", "measure", "score"])
    print_equal_labels(outcomes)
    print_learning(outcomes)


if __name__ == "__main__":
    main()
