"""Detectors, ensemble and public packages on labelled anomalies: fits, splits and figures.

Run by `python -m benchmarks.engine --only detection`. The sets are ADBench's. A clean baseline is
half of the normal rows, and everything else is tested; a contaminated one is half of all rows,
anomalies among them. PyOD's detectors join where the package is installed. TPR is at 1 % false
positives on the test normals. The failure held out is one of two kinds that k-means tells apart;
the contrast is taught the other.
"""

import importlib
import importlib.util
import os
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import average_precision_score, roc_auc_score

from scoring.core.detectors import fitting
from scoring.core.detectors.knn import NearestNeighbours
from scoring.core.detectors.mahalanobis import Mahalanobis
from scoring.core.scorers.contract import BaselineTooSmallError, RecordBatch
from scoring.core.scorers.ensemble_fit import fit_ensemble
from scoring.core.scorers.ensemble_v1 import EnsembleV1

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("OVERSIGHT_SHARED_DATA", ROOT.parent / "shared" / "data"))
Matrix = NDArray[np.float32]
Score = Callable[[Matrix], NDArray[np.float64]]
Fit = Callable[[Matrix, np.random.Generator], Score]
FIGURES = ("AUC", "AP", "TPR")
N_LABELS = 40


def ensemble(profile: str) -> Fit:
    """The released ensemble with its defaults, on fingerprints alone."""

    def fit(x: Matrix, rng: np.random.Generator) -> Score:
        scorer = EnsembleV1(fit_ensemble([batch(x)], config={"profile": profile}))
        return lambda rows: scorer.score(batch(rows)).raw

    return fit


def batch(x: Matrix) -> RecordBatch:
    return RecordBatch(model="m", n=len(x), fingerprints=x)


OURS: dict[str, Fit] = {
    "mahalanobis": lambda x, rng: Mahalanobis.fit(x).score,
    "iforest": lambda x, rng: fitting.fit_isolation_forest(x, rng=rng).score,
    "knn": lambda x, rng: NearestNeighbours.fit(x, rng=rng).score,
    "gmm": lambda x, rng: fitting.fit_gmm(x, rng=rng).score,
    "contrast": lambda x, rng: fitting.fit_contrastive(x, rng=rng).score,
    "ensemble lean": ensemble("lean"),
    "ensemble full": ensemble("full"),
}


def pyod_fits() -> dict[str, Fit]:
    """PyOD's detectors with their defaults, or none where it is not installed."""
    if importlib.util.find_spec("pyod") is None:
        return {}

    def standardised(make: Callable[[np.random.Generator], object]) -> Fit:
        def fit(x: Matrix, rng: np.random.Generator) -> Score:
            centre, scale = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
            model = make(rng).fit((x - centre) / scale)
            return lambda rows: model.decision_function((rows - centre) / scale)

        return fit

    forest = importlib.import_module("pyod.models.iforest").IForest
    ecod = importlib.import_module("pyod.models.ecod").ECOD
    knn = importlib.import_module("pyod.models.knn").KNN
    return {
        "PyOD IForest": standardised(lambda rng: forest(random_state=int(rng.integers(2**31)))),
        "PyOD ECOD": standardised(lambda rng: ecod()),
        "PyOD KNN": standardised(lambda rng: knn(n_neighbors=10, method="mean")),
    }


def datasets() -> Iterator[tuple[str, Matrix, NDArray[np.bool_]]]:
    for path in sorted((SHARED / "adbench_visible").glob("*.npz")):
        with np.load(path) as data:
            yield path.stem, data["X"].astype(np.float32), data["y"].astype(bool)


def split(
    x: Matrix, anomalous: NDArray[np.bool_], *, contaminated: bool, rng: np.random.Generator
) -> tuple[Matrix, Matrix, NDArray[np.bool_]]:
    """Baseline, test rows, and which test rows are anomalous."""
    pool = np.arange(len(x)) if contaminated else np.flatnonzero(~anomalous)
    baseline = rng.permutation(pool)[: len(pool) // 2]
    test = np.setdiff1d(np.arange(len(x)), baseline)
    return x[baseline], x[test], anomalous[test]


def tpr_at_1_percent(scores: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> float:
    threshold = np.quantile(scores[~anomalous], 0.99, method="higher")
    return float(np.mean(scores[anomalous] > threshold))


def figures(scores: NDArray[np.float64], anomalous: NDArray[np.bool_]) -> tuple[float, ...]:
    return (
        float(roc_auc_score(anomalous, scores)),
        float(average_precision_score(anomalous, scores)),
        tpr_at_1_percent(scores, anomalous),
    )


def false_alarms(x: Matrix, test: Matrix, anomalous: NDArray[np.bool_]) -> list[float] | None:
    """Share of test normals at tier 1, 2, 3 or above; None where the baseline is too small."""
    try:
        scorer = EnsembleV1(fit_ensemble([batch(x)], config={}))
    except BaselineTooSmallError:
        return None
    tier = scorer.score(batch(test[~anomalous])).tier
    return [float(np.mean(tier >= t)) for t in (1, 2, 3)]


def held_out(x: Matrix, anomalous: NDArray[np.bool_], rng: np.random.Generator) -> list[float]:
    """TPR at 1 % of the kind never labelled: full profile without labels, with labels of the
    other kind; and of the labelled kind's unlabelled rest, without and with labels."""
    baseline, test, wrong = split(x, anomalous, contaminated=False, rng=rng)
    normal, anomalies = test[~wrong], test[wrong]
    scale = np.where(baseline.std(axis=0) > 0, baseline.std(axis=0), 1)
    seed = int(rng.integers(2**31))
    kind = KMeans(2, n_init=5, random_state=seed).fit_predict(anomalies / scale)
    known = int(np.sum(kind == 1) >= np.sum(kind == 0))
    order = rng.permutation(np.flatnonzero(kind == known))
    labelled, rest = order[:N_LABELS], order[N_LABELS:]
    found = []
    for unseen in (np.flatnonzero(kind != known), rest):
        for violations in (None, {"m": anomalies[labelled]}):
            state = fit_ensemble(
                [batch(baseline)], config={"profile": "full"}, violations=violations
            )
            raw = EnsembleV1(state).score(batch(np.concatenate([normal, anomalies[unseen]]))).raw
            mark = np.repeat([False, True], [len(normal), len(unseen)])
            found.append(tpr_at_1_percent(raw, mark) if len(unseen) else float("nan"))
    return found


def table(header: list[str], rows: list[list[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def held_out_rates(sets: list, n_seeds: int) -> dict[str, list[float]]:
    rates = {}
    for name, x, anomalous in sets:
        if anomalous.sum() >= 2 * N_LABELS - 10 and (~anomalous).sum() >= 1200:
            runs = [held_out(x, anomalous, np.random.default_rng(seed)) for seed in range(n_seeds)]
            rates[name] = np.nanmean(runs, axis=0).tolist()
    return rates
