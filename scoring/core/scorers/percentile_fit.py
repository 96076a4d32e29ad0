"""Fits the percentile scorer to a baseline window; the result is the state of `percentile_v1`.

Baseline distances are cross-fitted: a record's own distance under a covariance that has seen it is
too small, and ranks against such distances would call every new record an outlier.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.mahalanobis import Mahalanobis
from scoring.core.scorers import percentile_v1, rank_v1
from scoring.core.scorers.contract import (
    N_TIERS,
    BaselineTooSmallError,
    InvalidBatchError,
    InvalidConfigError,
    RecordBatch,
)
from scoring.core.scorers.decision_v1 import read_rule
from scoring.core.scorers.state_parts_v1 import knot_arrays
from scoring.core.state import ScorerState

MINIMUM_RECORDS = 300
N_FOLDS = 5
DEFAULTS: dict[str, Any] = {
    "signals": {},  # name -> {direction: high|low|both, weight: > 0}
    "fingerprint_weight": 1.0,  # 0 leaves fingerprints out
    "context_weights": {},  # field -> value as text -> weight >= 1
    "tier_rates": [0.10, 0.05, 0.01, 0.001],  # share of the baseline that reaches tier 1, 2, 3, 4
    "review_from_tier": None,
    "intervene_from_tier": None,
    "intervention": None,  # {kind: block} or {kind: replace, replacement: text}
    "minimum_records": MINIMUM_RECORDS,
    "seed": 0,  # of the folds of the cross-fitting
}


@dataclass(frozen=True, eq=False)
class _Baselines:
    """Entries for the state's config, its arrays, and what was left out for want of values."""

    signals: list[dict[str, Any]]
    fingerprints: list[dict[str, Any]]
    arrays: dict[str, NDArray[Any]]
    left_out: dict[str, str]


def fit_percentile(batches: Iterable[RecordBatch], *, config: Mapping[str, Any]) -> ScorerState:
    """Fit baseline, ranks and tier thresholds.

    batches: the baseline window; several batches of one model are joined.
    config: any of DEFAULTS' keys; weights are relative to each other. A signal or a model's
        fingerprint with fewer than `minimum_records` values is left out, and the state's config
        says so under `left_out`.

    Raises InvalidConfigError for malformed settings, BaselineTooSmallError where fewer than
    `minimum_records` records, or no usable term, exist, InvalidBatchError where a signal is
    infinite or fingerprints of one model differ in length.
    """
    settings = read_settings(config)
    window = list(batches)
    n_records = sum(batch.n for batch in window)
    if n_records < settings["minimum_records"]:
        raise BaselineTooSmallError(have=n_records, need=settings["minimum_records"])
    baselines = _Baselines([], [], {}, {})
    _fit_signals(window, settings, baselines)
    distances = _fit_fingerprints(window, settings, baselines)
    if not baselines.signals and not baselines.fingerprints:
        need = settings["minimum_records"]
        raise BaselineTooSmallError(have=0, need=need, what="values of any signal or fingerprint")
    # Scores do not depend on the ranks of scores: a first state without them finds them.
    state = _state(settings, baselines, n_records, np.zeros(n_records))
    scores = _baseline_scores(window, state, distances)
    return _state(settings, baselines, n_records, scores)


def read_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with their defaults; raises InvalidConfigError where one is malformed."""
    unknown = set(config) - set(DEFAULTS)
    if unknown:
        raise InvalidConfigError(f"unknown settings {sorted(unknown)}")
    settings = {**DEFAULTS, **config}
    signals = settings["signals"]
    if not isinstance(signals, Mapping):
        raise InvalidConfigError("signals: {name: {direction, weight}} expected")
    settings["signals"] = {name: read_signal(name, entry) for name, entry in signals.items()}
    weight = settings["fingerprint_weight"]
    if not _is_number(weight) or not 0 <= weight < math.inf:
        raise InvalidConfigError("fingerprint_weight: a finite number >= 0 expected")
    check_rates(settings["tier_rates"])
    if type(settings["minimum_records"]) is not int or settings["minimum_records"] < N_FOLDS * 2:
        raise InvalidConfigError(f"minimum_records: an integer >= {N_FOLDS * 2} expected")
    if type(settings["seed"]) is not int or settings["seed"] < 0:
        raise InvalidConfigError("seed: an integer >= 0 expected")
    read_rule(settings, np.zeros(N_TIERS - 1))
    return settings


def read_signal(name: str, entry: Any) -> dict[str, Any]:
    """One signal's direction (high) and weight (1); raises InvalidConfigError."""
    if not isinstance(entry, Mapping) or not set(entry) <= {"direction", "weight"}:
        raise InvalidConfigError(f"signal {name!r}: {{direction, weight}} expected")
    direction, weight = entry.get("direction", rank_v1.HIGH), entry.get("weight", 1.0)
    if direction not in rank_v1.DIRECTIONS:
        raise InvalidConfigError(f"signal {name!r}: direction is none of {rank_v1.DIRECTIONS}")
    if not _is_number(weight) or not 0 < weight < math.inf:
        raise InvalidConfigError(f"signal {name!r}: weight must be finite and above 0")
    return {"direction": direction, "weight": float(weight)}


def check_rates(rates: Any) -> None:
    """Raises InvalidConfigError unless these are four non-increasing rates in (0, 1)."""
    is_list = isinstance(rates, list) and len(rates) == N_TIERS - 1
    if not is_list or not all(_is_number(rate) and 0 < rate < 1 for rate in rates):
        raise InvalidConfigError(f"tier_rates: {N_TIERS - 1} numbers in (0, 1) expected")
    if sorted(rates, reverse=True) != rates:
        raise InvalidConfigError("tier_rates must not increase")


def _fit_signals(
    window: Sequence[RecordBatch], settings: Mapping[str, Any], into: _Baselines
) -> None:
    for name in sorted(settings["signals"]):
        parts = [batch.signals[name] for batch in window if name in batch.signals]
        values = np.concatenate(parts) if parts else np.empty(0)
        values = values[~np.isnan(values)]
        if np.isinf(values).any():
            raise InvalidBatchError(f"signal {name!r} is infinite in the baseline")
        if values.size < settings["minimum_records"]:
            into.left_out[name] = f"{values.size} values in the baseline"
            continue
        knots = rank_v1.build_knots(values)
        into.arrays.update(knot_arrays(f"signal/{len(into.signals)}", knots))
        into.signals.append({"name": name, "n": knots.n})


def _fit_fingerprints(
    window: Sequence[RecordBatch], settings: Mapping[str, Any], into: _Baselines
) -> dict[str, NDArray[np.float64]]:
    """Fit each model's baseline; returns its cross-fitted distances by model."""
    distances: dict[str, NDArray[np.float64]] = {}
    if settings["fingerprint_weight"] == 0:
        return distances
    for model in sorted({batch.model for batch in window}):
        x = finite_fingerprints([batch for batch in window if batch.model == model])
        if len(x) < settings["minimum_records"]:
            if len(x):
                into.left_out[f"fingerprint of {model}"] = f"{len(x)} fingerprints in the baseline"
            continue
        rng = np.random.default_rng(settings["seed"])
        distances[model] = _cross_fitted_distances(x, rng)
        knots = rank_v1.build_knots(distances[model])
        detector = Mahalanobis.fit(x)
        prefix = f"fingerprint/{len(into.fingerprints)}"
        into.arrays.update(knot_arrays(prefix, knots))
        into.arrays.update({f"{prefix}/mean": detector.mean, f"{prefix}/root": detector.root})
        into.fingerprints.append({"model": model, "n": knots.n})
    return distances


def finite_fingerprints(batches: Sequence[RecordBatch]) -> NDArray[np.float32]:
    """All finite fingerprints of one model's batches, float32 (n, d); (0, 0) where none exist."""
    parts = [
        batch.fingerprints[_finite_rows(batch)]
        for batch in batches
        if batch.fingerprints is not None and batch.fingerprint_rows.any()
    ]
    if len({part.shape[1] for part in parts}) > 1:
        raise InvalidBatchError(f"fingerprints of model {batches[0].model!r} differ in length")
    return np.concatenate(parts) if parts else np.empty((0, 0), np.float32)


def _finite_rows(batch: RecordBatch) -> NDArray[np.bool_]:
    assert batch.fingerprints is not None  # the caller has looked
    return batch.fingerprint_rows & np.isfinite(batch.fingerprints).all(axis=1)


def _cross_fitted_distances(
    x: NDArray[np.float32], rng: np.random.Generator
) -> NDArray[np.float64]:
    """Each record's distance under a baseline fitted without its fold, float64 (n,)."""
    fold = rng.permutation(len(x)) % N_FOLDS
    distance = np.empty(len(x))
    for k in range(N_FOLDS):
        distance[fold == k] = Mahalanobis.fit(x[fold != k]).score(x[fold == k])
    return distance


def _baseline_scores(
    window: Sequence[RecordBatch], state: ScorerState, distances: Mapping[str, NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Scores of the baseline window itself, with the cross-fitted distances."""
    scorer = percentile_v1.PercentileV1(state)
    used = dict.fromkeys(distances, 0)
    scores = []
    for batch in window:
        if batch.model in distances and batch.fingerprints is not None:
            rows = _finite_rows(batch)
            known = np.full(batch.n, np.nan)
            start = used[batch.model]
            used[batch.model] = start + int(rows.sum())
            known[rows] = distances[batch.model][start : used[batch.model]]
            scores.append(scorer.score_with_distances(batch, known).score)
        else:
            scores.append(scorer.score(batch).score)
    return np.concatenate(scores)


def _state(
    settings: Mapping[str, Any],
    baselines: _Baselines,
    n_records: int,
    scores: NDArray[np.float64],
) -> ScorerState:
    config = {
        "kind": percentile_v1.KIND,
        "number": percentile_v1.NUMBER,
        "settings": settings,
        "signals": baselines.signals,
        "fingerprints": baselines.fingerprints,
        "left_out": baselines.left_out,
        "n_records": n_records,
    }
    ranks = knot_arrays("score", rank_v1.build_knots(scores))
    return ScorerState(config=config, arrays={**baselines.arrays, **ranks})


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
