"""Fits the ensemble scorer to a baseline window; the result is the state of `ensemble_v1`.

The window is split: detectors see one part, conformal ranks and scales come from the other, so
that p-values are valid for records that neither has seen.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.conformal import rank_interval, tier_thresholds
from scoring.core.detectors.contract import Detector
from scoring.core.detectors.fitting import (
    MIN_VIOLATIONS,
    fit_contrastive,
    fit_gmm,
    fit_isolation_forest,
)
from scoring.core.detectors.knn import NearestNeighbours
from scoring.core.detectors.mahalanobis import Mahalanobis
from scoring.core.detectors.robust import RobustScale, fit_robust_scale
from scoring.core.detectors.trimming import mean_score, trim
from scoring.core.scorers import ensemble_v1, rank_v1
from scoring.core.scorers.batches import join, take, without_fingerprints
from scoring.core.scorers.contract import BaselineTooSmallError, InvalidBatchError, RecordBatch
from scoring.core.scorers.ensemble_settings import group_weights, read_settings
from scoring.core.scorers.state_parts_v1 import knot_arrays
from scoring.core.state import ScorerState

CALIBRATION_SHARE = 0.4
MIN_CALIBRATION = 300  # 299 support a false-alarm rate of 1 %
INTERVAL_POINTS = 1025
# Whatever the profile: fitting may take its time, and one detector alone trims tails it dislikes.
TRIM_WITH = ("mahalanobis", "isolation_forest", "knn")
# They take a tail for what it is, a few records among many, where a covariance is pulled by it. So
# they see all of a baseline whose trim would only cut a tail.
WITH_TAILS = ("isolation_forest", "knn")
Violations = Mapping[str, NDArray[np.float32]]


@dataclass(eq=False)
class _Draft:
    """A state under construction."""

    signals: list[dict[str, Any]] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    signals_only: dict[str, Any] | None = None
    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Split:
    """One model's window: rows detectors are fitted on, and rows that calibrate."""

    fit: RecordBatch
    calibration: RecordBatch


def fit_ensemble(
    batches: Iterable[RecordBatch],
    *,
    config: Mapping[str, Any],
    violations: Violations | None = None,
) -> ScorerState:
    """Fit detectors per model, scales, conformal ranks and controlled tiers.

    batches: the baseline window.
    config: see `ensemble_settings.DEFAULTS`. Models or signals with fewer than `minimum_records`
        values are left out, and the state's config says so under `left_out`; a tier whose rate
        the calibration cannot promise is never reached, and says why under `tiers`.
    violations: model -> float32 (m, d), fingerprints verified as violations. A model's contrast
        takes part once it has 20; before, only where the settings ask for synthetic contrast.

    Raises InvalidConfigError, InvalidBatchError, and BaselineTooSmallError where fewer than
    `minimum_records` records, or no usable term, exist: until then stay with `cold_start`.
    """
    settings = read_settings(config)
    window = list(batches)
    n_records, need = sum(batch.n for batch in window), settings["minimum_records"]
    if n_records < need:
        raise BaselineTooSmallError(have=n_records, need=need)
    rng = np.random.default_rng(settings["seed"])
    splits = [
        _split(join([batch for batch in window if batch.model == model]), rng)
        for model in sorted({batch.model for batch in window})
    ]
    draft = _Draft()
    _fit_signals(splits, settings, draft)
    for split in splits:
        known = (violations or {}).get(split.fit.model)
        _fit_model(split, settings, draft, known, rng)
    if not draft.signals and not draft.models:
        raise BaselineTooSmallError(have=0, need=need, what="values of any signal or fingerprint")
    _calibrate(splits, settings, draft)
    return _state(settings, draft, n_records)


def _split(batch: RecordBatch, rng: np.random.Generator) -> _Split:
    """Draw the calibration rows, apart among rows with and without a usable fingerprint."""
    finite = batch.fingerprint_rows.copy()
    if batch.fingerprints is not None:
        finite &= np.isfinite(batch.fingerprints).all(axis=1)
    chosen = []
    for rows in (np.flatnonzero(finite), np.flatnonzero(~finite & ~batch.fingerprint_rows)):
        n = max(int(CALIBRATION_SHARE * len(rows)), min(MIN_CALIBRATION, len(rows) // 2))
        chosen.append(rng.permutation(rows)[:n])
    calibration = np.sort(np.concatenate(chosen))
    broken = np.flatnonzero(batch.fingerprint_rows & ~finite)
    fit = np.setdiff1d(np.arange(batch.n), np.concatenate([calibration, broken]))
    return _Split(fit=take(batch, fit), calibration=take(batch, calibration))


def _fit_signals(splits: Sequence[_Split], settings: Mapping[str, Any], draft: _Draft) -> None:
    for name in sorted(settings["signals"]):
        parts = [split.fit.signals[name] for split in splits if name in split.fit.signals]
        values = np.concatenate(parts) if parts else np.empty(0)
        values = values[~np.isnan(values)]
        if np.isinf(values).any():
            raise InvalidBatchError(f"signal {name!r} is infinite in the baseline")
        if 2 * values.size < settings["minimum_records"]:
            draft.left_out[name] = f"{values.size} values to fit its scale on"
            continue
        entry = {"name": name, **settings["signals"][name], "centre": float(np.median(values))}
        blank = ensemble_v1.Part(
            name, 1.0, RobustScale(0.0, 1.0), entry["direction"], entry["centre"]
        )
        scale = fit_robust_scale(blank.oriented(values))
        draft.signals.append({**entry, "median": scale.median, "spread": scale.spread})


def _fit_model(
    split: _Split,
    settings: Mapping[str, Any],
    draft: _Draft,
    violations: NDArray[np.float32] | None,
    rng: np.random.Generator,
) -> None:
    x, held_out = _fingerprints(split.fit), _fingerprints(split.calibration)
    if len(x) + len(held_out) < settings["minimum_records"]:
        if len(x):
            found = f"{len(x) + len(held_out)} fingerprints in the baseline"
            draft.left_out[f"fingerprint of {split.fit.model}"] = found
        return
    n_violations = 0 if violations is None else len(violations)
    weights = group_weights(settings, with_violations=n_violations >= MIN_VIOLATIONS)
    if not weights:
        return
    whole, core = x, x
    if settings["trim"]:
        cut = trim(
            x,
            lambda rows: mean_score([_fit_detector(name, rows, rng) for name in TRIM_WITH], rows),
        )
        core = cut.kept
        whole = x if cut.cuts_a_tail else core
    prefix, entries = f"model/{len(draft.models)}", []
    for name, weight in weights.items():
        rows = whole if name in WITH_TAILS else core
        detector = _fit_detector(name, rows, rng, violations)
        scale = fit_robust_scale(detector.score(held_out))
        entry = {"name": name, "weight": weight, "median": scale.median, "spread": scale.spread}
        entries.append(entry)
        for key, array in detector.to_arrays().items():
            draft.arrays[f"{prefix}/{name}/{key}"] = array
    draft.models.append(
        {"model": split.fit.model, "n_dimensions": int(x.shape[1]), "detectors": entries}
    )


def _fingerprints(batch: RecordBatch) -> NDArray[np.float32]:
    if batch.fingerprints is None:
        return np.empty((0, 0), np.float32)
    return batch.fingerprints[batch.fingerprint_rows]


def _fit_detector(
    name: str,
    x: NDArray[np.float32],
    rng: np.random.Generator,
    violations: NDArray[np.float32] | None = None,
) -> Detector:
    if name == "mahalanobis":
        return Mahalanobis.fit(x)
    if name == "knn":
        return NearestNeighbours.fit(x, rng=rng)
    if name == "gmm":
        return fit_gmm(x, rng=rng)
    if name == "isolation_forest":
        return fit_isolation_forest(x, rng=rng)
    return fit_contrastive(x, rng=rng, violations=violations)


def _calibrate(splits: Sequence[_Split], settings: Mapping[str, Any], draft: _Draft) -> None:
    """Ranks of raw: per model with a baseline, and for records scored by signals alone.

    raw does not depend on ranks, so a first state with blank ones computes it.
    """
    prefixes = {entry["model"]: f"model/{i}" for i, entry in enumerate(draft.models)}
    for prefix in [*prefixes.values(), "signals"]:
        _add_ranks(draft, prefix, np.zeros(1), settings)
    scorer = ensemble_v1.EnsembleV1(_state(settings, draft, 0))
    signals_only: list[NDArray[np.float64]] = []
    for split in splits:
        batch = split.calibration
        if batch.model in prefixes:
            rows = np.flatnonzero(batch.fingerprint_rows)
            raw = scorer.score(take(batch, rows)).raw
            _add_ranks(draft, prefixes[batch.model], raw, settings)
        bare = scorer.score(without_fingerprints(batch))
        signals_only.append(bare.raw[~np.isnan(bare.low)])
    if draft.signals:
        _add_ranks(draft, "signals", np.concatenate(signals_only), settings)
    else:
        for name in [name for name in draft.arrays if name.startswith("signals/")]:
            del draft.arrays[name]
        draft.signals_only = None


def _add_ranks(
    draft: _Draft, prefix: str, raw: NDArray[np.float64], settings: Mapping[str, Any]
) -> None:
    knots = rank_v1.build_knots(raw)
    tiers = tier_thresholds(knots.n, settings["tier_rates"])
    draft.arrays.update(knot_arrays(f"{prefix}/rank", knots))
    below = np.linspace(0.0, knots.n, min(INTERVAL_POINTS, knots.n + 1))
    draft.arrays[f"{prefix}/low"], draft.arrays[f"{prefix}/high"] = rank_interval(knots.n, below)
    entry = {
        "n": knots.n,
        "tier_p": [tier.p for tier in tiers],
        "tiers": [{"rate": tier.rate, "rank": tier.rank, "why": tier.reason} for tier in tiers],
    }
    if prefix == "signals":
        draft.signals_only = entry
    else:
        draft.models[int(prefix.removeprefix("model/"))].update(entry)


def _state(settings: Mapping[str, Any], draft: _Draft, n_records: int) -> ScorerState:
    config = {
        "kind": ensemble_v1.KIND,
        "number": ensemble_v1.NUMBER,
        "settings": settings,
        "signals": draft.signals,
        "models": draft.models,
        "signals_only": draft.signals_only,
        "left_out": draft.left_out,
        "n_records": n_records,
    }
    return ScorerState(config=config, arrays=draft.arrays)
