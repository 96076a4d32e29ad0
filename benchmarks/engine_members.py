"""The ensemble beside its members, its false alarms, and failures of a kind nobody held against it.

Reported by `benchmarks.engine`; the members are fitted as the ensemble fits them, on the same
splits, and PyOD's detectors in the same run where the package is installed.
"""

import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from tqdm import tqdm

from benchmarks import engine_detection
from benchmarks.engine_detection import FIGURES, N_LABELS, Matrix, split, table
from benchmarks.review_loop import DISCOVER, make_pool, review
from scoring.core.scorers.contract import BaselineTooSmallError

# A detector of the full ensemble; `contrast` has nothing to learn from before there are verdicts.
MEMBERS = ("mahalanobis", "iforest", "knn")
ENSEMBLE = "ensemble full"
FAR = 0.05
# One in four hundred of a 4,000-record window, or fewer where a set has fewer.
N_RARE = 10
REVIEWS_A_ROUND = 20
DataSet = tuple[str, Matrix, NDArray[np.bool_]]
Runs = dict[str, dict[str, list[list[float]]]]  # label -> set -> figures of each seed


def report(sets: list[DataSet], n_seeds: int) -> dict[str, Any]:
    """Print all tables; returns the figures behind them."""
    fits = engine_detection.OURS | engine_detection.pyod_fits()
    out: dict[str, Any] = {"seeds": n_seeds}
    for regime in ("clean", "contaminated"):
        runs = run(sets, fits, n_seeds, contaminated=regime == "contaminated")
        out[regime] = runs
        print(f"\n## {regime} baseline: ROC-AUC / AP / TPR at 1 % FPR, mean of {n_seeds} splits\n")
        print(table(["set", *fits], [*set_rows(sets, runs), *mean_rows(sets, runs)]))
        print(f"\n## {regime} baseline: the full ensemble less its members\n")
        print(table(["set", *(f"{figure}, best member" for figure in FIGURES)], gap_rows(runs)))
    out["false alarms"] = alarms = alarm_runs(sets, n_seeds)
    print("\n## false alarms realised, mean (largest split); asked 0.10, 0.05, 0.01\n")
    rows = [
        [name, *(f"{np.mean(v):.4f} ({np.max(v):.4f})" for v in zip(*runs, strict=True))]
        for name, runs in alarms.items()
    ]
    print(table(["set", "tier 1", "tier 2", "tier 3"], rows))
    out["held out"] = unseen = engine_detection.held_out_rates(sets, n_seeds)
    print(f"\n## a kind of failure held out of everything, {N_LABELS} labels of another: TPR\n")
    header = ["set", "no labels", "labels of the other kind", "alarm after failures"]
    print(
        table(header, [[n, f"{a:.2f}", f"{b:.2f}", after(b)] for n, (a, b, *_) in unseen.items()])
    )
    out["rounds"] = rounds = {n: r for n, *r in delays(sets, n_seeds)}
    print(f"\n## reviews until a kind never seen is found ({N_RARE} records of it, median)\n")
    header = ["set", "records", "first", "by chance", "half", "by chance"]
    print(table(header, [[name, *map(str, row)] for name, row in rounds.items()]))
    return out


def run(sets: list[DataSet], fits: dict[str, Any], n_seeds: int, *, contaminated: bool) -> Runs:
    # In the order of the header, whichever set a detector fits first.
    runs: Runs = {label: {} for label in fits}
    for name, x, anomalous in tqdm(sets, file=sys.stderr):
        for label, fit in fits.items():
            found = []
            for seed in range(n_seeds):
                rng = np.random.default_rng(seed)
                baseline, test, wrong = split(x, anomalous, contaminated=contaminated, rng=rng)
                try:
                    found.append(list(engine_detection.figures(fit(baseline, rng)(test), wrong)))
                except BaselineTooSmallError:
                    break
            if found:
                runs[label][name] = found
    return runs


def set_rows(sets: list[DataSet], runs: Runs) -> list[list[str]]:
    rows = []
    for name, _, _ in sets:
        cells = []
        for of_set in runs.values():
            figures = np.mean(of_set[name], axis=0) if name in of_set else None
            cells.append(
                "too small" if figures is None else " / ".join(f"{v:.2f}" for v in figures)
            )
        rows.append([name, *cells])
    return rows


def mean_rows(sets: list[DataSet], runs: Runs) -> list[list[str]]:
    """Means over sets; ± is the standard deviation of that mean from split to split."""
    every = [name for name, _, _ in sets]
    rows = []
    for title, names in (("all sets", every), ("sets the ensemble fits", list(runs[ENSEMBLE]))):
        cells = []
        for of_set in runs.values():
            if not all(name in of_set for name in names):
                cells.append("-")
                continue
            by_split = np.mean([of_set[name] for name in names], axis=0)
            mean, sd = by_split.mean(axis=0), by_split.std(axis=0)
            cells.append(" / ".join(f"{m:.3f}±{s:.3f}" for m, s in zip(mean, sd, strict=True)))
        rows.append([title, *cells])
    return rows


def gap_rows(runs: Runs) -> list[list[str]]:
    """By set and figure, the ensemble less its best member; below, less the best on average."""
    names = list(runs[ENSEMBLE])
    means = {
        label: np.array([np.mean(runs[label][name], axis=0) for name in names])
        for label in (*MEMBERS, ENSEMBLE)
    }
    members = np.stack([means[label] for label in MEMBERS])
    gaps = means[ENSEMBLE] - members.max(axis=0)
    rows = [
        [name, *(f"{gap:+.3f}{' far' if gap < -FAR else ''}" for gap in row)]
        for name, row in zip(names, gaps, strict=True)
    ]
    on_average = members.mean(axis=1)
    best = on_average.argmax(axis=0)
    overall = means[ENSEMBLE].mean(axis=0) - on_average.max(axis=0)
    last = (f"{gap:+.3f} ({MEMBERS[i]})" for gap, i in zip(overall, best, strict=True))
    return [*rows, ["on average, less the best single detector", *last]]


def alarm_runs(sets: list[DataSet], n_seeds: int) -> dict[str, list[list[float]]]:
    alarms = {}
    for name, x, anomalous in sets:
        runs = [
            engine_detection.false_alarms(
                *split(x, anomalous, contaminated=False, rng=np.random.default_rng(seed))
            )
            for seed in range(n_seeds)
        ]
        if runs[0] is not None:
            alarms[name] = [one for one in runs if one is not None]
    return alarms


def after(tpr: float) -> str:
    """Failures that pass, on average, up to and with the first that raises an alarm."""
    return f"{1 / tpr:.1f}" if tpr > 0 else "none"


def delays(sets: list[DataSet], n_seeds: int) -> list[tuple[str, int, int, int, int, int]]:
    """Reviews until the first and until half of the unseen kind, and by chance.

    The queue's discover profile works through the test rows; the other kind's anomalies are among
    them and teach it their own shape. By chance, the j-th of m is found after j(N + 1)/(m + 1).
    """
    found = []
    for name, x, anomalous in tqdm(sets, file=sys.stderr):
        if anomalous.sum() < 4 * N_RARE or (~anomalous).sum() < 1200:
            continue
        first, half, size = [], [], 0
        for seed in range(n_seeds):
            order, unseen = review_order(x, anomalous, seed)
            places = np.flatnonzero(unseen[order]) + 1
            size, rare = len(unseen), int(unseen.sum())
            first.append(places[0])
            half.append(places[(rare + 1) // 2 - 1])
        chance = (size + 1) / (rare + 1)
        found.append(
            (
                name,
                size,
                int(np.median(first)),
                round(chance),
                int(np.median(half)),
                round(chance * ((rare + 1) // 2)),
            )
        )
    return found


def review_order(
    x: Matrix, anomalous: NDArray[np.bool_], seed: int
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The records of a pool in the order they were reviewed, and which are of the unseen kind."""
    rng = np.random.default_rng(seed)
    baseline, test, wrong = split(x, anomalous, contaminated=False, rng=rng)
    normal, anomalies = test[~wrong], test[wrong]
    kind = KMeans(2, n_init=5, random_state=seed).fit_predict(
        anomalies / np.where(baseline.std(axis=0) > 0, baseline.std(axis=0), 1)
    )
    rarer = int(np.sum(kind == 1) < np.sum(kind == 0))
    unseen_rows = rng.permutation(np.flatnonzero(kind == rarer))[:N_RARE]
    known_rows = np.flatnonzero(kind != rarer)
    records = np.concatenate([normal, anomalies[known_rows], anomalies[unseen_rows]])
    unseen = np.repeat([False, True], [len(normal) + len(known_rows), len(unseen_rows)])
    violation = np.repeat([0.0, 1.0], [len(normal), len(known_rows) + len(unseen_rows)])
    pool = make_pool(baseline.astype(float), records.astype(float), violation, seed)
    enough = (len(unseen_rows) + 1) // 2
    order = review(
        pool,
        DISCOVER,
        budget=REVIEWS_A_ROUND,
        seed=seed,
        until=lambda seen: bool(unseen[seen].sum() >= enough),
    )
    return order, unseen
