"""Version 1 of the ensemble scorer. Frozen: see `__init__`.

S = α·D_stat + β·D_density + γ·D_contrast + Σ_j w_j·signal_j, each part squashed to
sign(z)·log(1 + |z|) of its robust z: raw is that sum over the weights present, its addends the
contributions. score = 1 - p, with p the conformal p-value among calibration records that had the
same evidence: the model's fingerprint, or signals alone.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import Detector, DetectorError
from scoring.core.detectors.contrastive import Contrastive
from scoring.core.detectors.gmm import GaussianMixture
from scoring.core.detectors.isolation_forest import IsolationForest
from scoring.core.detectors.knn import NearestNeighbours
from scoring.core.detectors.mahalanobis import Mahalanobis
from scoring.core.detectors.robust import RobustScale, squash
from scoring.core.scorers import rank_v1, spreads_v1
from scoring.core.scorers.calibration_map_v1 import RAW, P, p_violation, read_calibration
from scoring.core.scorers.contract import (
    Action,
    Describe,
    InvalidBatchError,
    InvalidConfigError,
    RecordBatch,
    ScoredBatch,
    Term,
)
from scoring.core.scorers.decision_v1 import DecisionRule, Decisions, decide, read_rule
from scoring.core.scorers.state_parts_v1 import knot_names, read_knots
from scoring.core.state import ScorerState

KIND = "ensemble"
NUMBER = 1
MAX_DIMENSIONS = 4096
NOT_SENT = "not sent with this record, or not known for its model"
UNREACHABLE = 2.0  # a threshold above every 1 - p
DETECTORS: dict[str, type[Detector]] = {
    kind.name: kind
    for kind in (Mahalanobis, IsolationForest, NearestNeighbours, GaussianMixture, Contrastive)
}


@dataclass(frozen=True, eq=False)
class Part:
    """A term's weight > 0 and scale, and for a signal its direction and centre."""

    name: str
    weight: float
    scale: RobustScale
    direction: str = rank_v1.HIGH
    centre: float = 0.0

    def oriented(self, x: NDArray[np.float64]) -> NDArray[np.float64]:
        """x so that larger is more anomalous."""
        if self.direction == rank_v1.LOW:
            return -x
        return np.abs(x - self.centre) if self.direction == rank_v1.BOTH else x

    def sentence(self, observed: float, squashed: float, spreads: str) -> str:
        """What a signal's value means: its squashed z, and the spreads that stands for."""
        if observed != observed:
            return NOT_SENT
        if self.direction == rank_v1.BOTH:
            return (
                f"value {observed:.4g} lies {abs(observed - self.centre):.4g} from the"
                f" baseline's {self._usual}"
            )
        side = self._above if observed >= self._median else self._below
        return f"value {observed:.4g} is {spreads}{side}"

    @cached_property
    def _median(self) -> float:
        return -self.scale.median if self.direction == rank_v1.LOW else self.scale.median

    @cached_property
    def _above(self) -> str:
        return f" spreads above the baseline's {self._usual}"

    @cached_property
    def _below(self) -> str:
        return f" spreads below the baseline's {self._usual}"

    @cached_property
    def _usual(self) -> str:
        if self.direction == rank_v1.BOTH:
            return f"median {self.centre:.4g}; {self.scale.median:.4g} is usual"
        return f"median {self._median:.4g}"


@dataclass(frozen=True, eq=False)
class Calibration:
    """Ranks of raw among records with the same evidence, tiers, and the interval by rank.

    low, high: float64 (g,), bounds of the score at below = n·i/(g-1), i = 0..g-1.
    """

    knots: rank_v1.Knots
    rule: DecisionRule
    low: NDArray[np.float64]
    high: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ModelBaseline:
    """A model's detectors, beside their parts, and the calibration of records they score."""

    n_dimensions: int
    detectors: dict[str, Detector]
    parts: dict[str, Part]
    calibration: Calibration


class EnsembleV1:
    """Detectors on fingerprints plus named signals, calibrated conformally."""

    kind = KIND
    number = NUMBER

    def __init__(self, state: ScorerState) -> None:
        """Read a state of `fit_ensemble`; raises InvalidConfigError for any other."""
        try:
            config, arrays = state.config, state.arrays
            settings: Mapping[str, Any] = config["settings"]
            self._signals = [_read_part(entry) for entry in config["signals"]]
            self._models = {
                entry["model"]: ModelBaseline(
                    n_dimensions=entry["n_dimensions"],
                    detectors={
                        part["name"]: _read_detector(
                            arrays, f"model/{i}/{part['name']}/", part, entry["n_dimensions"]
                        )
                        for part in entry["detectors"]
                    },
                    parts={part["name"]: _read_part(part) for part in entry["detectors"]},
                    calibration=_read_calibration(state, settings, f"model/{i}", entry),
                )
                for i, entry in enumerate(config["models"])
            }
            self._signals_only = (
                _read_calibration(state, settings, "signals", config["signals_only"])
                if self._signals
                else None
            )
        except (KeyError, TypeError, AttributeError, DetectorError) as error:
            raise InvalidConfigError(f"not the state of an ensemble scorer: {error}") from error
        self._check(state)
        used = {name for baseline in self._models.values() for name in baseline.parts}
        self._detector_names = names = [name for name in DETECTORS if name in used]
        self._p_violation = read_calibration(state.arrays)
        self._intervention = read_rule(settings, np.zeros(4)).intervention
        # Of all signals at once: a call for each costs a single record more than its score.
        self._signal_scales = (
            np.array([part.scale.median for part in self._signals], dtype=np.float64),
            np.array([part.scale.spread for part in self._signals], dtype=np.float64),
        )
        self._terms = tuple(Term("signal", part.name) for part in self._signals) + tuple(
            Term("detector", name) for name in names
        )
        self._tell = [part.sentence for part in self._signals] + [_tell_distance] * len(names)

    def _check(self, state: ScorerState) -> None:
        if not self._signals and not self._models:
            raise InvalidConfigError("an ensemble needs at least one term")
        known = {RAW, P}
        prefixes = [f"model/{i}" for i in range(len(self._models))]
        for prefix in [*prefixes, "signals"]:
            known |= {*knot_names(f"{prefix}/rank"), f"{prefix}/low", f"{prefix}/high"}
        for prefix, baseline in zip(prefixes, self._models.values(), strict=True):
            for name, detector in baseline.detectors.items():
                known |= {f"{prefix}/{name}/{array}" for array in detector.to_arrays()}
        if not set(state.arrays) <= known:
            raise InvalidConfigError(f"unknown arrays {sorted(set(state.arrays) - known)[:3]}")

    def score(self, batch: RecordBatch) -> ScoredBatch:
        """Score records of one model.

        A fingerprint that is not finite counts as infinitely far and is always reviewed. Where a
        record has nothing to score, raw = score = 0. The interval is the 95 % Beta interval of the
        score's calibration rank.

        Raises InvalidBatchError where fingerprints have another length than their baseline.
        """
        baseline = self._models.get(batch.model)
        rows, broken = _fingerprint_rows(baseline, batch)
        squashed, observed, weight = self._evidence(baseline, rows, broken, batch)
        missing = np.isnan(squashed)  # all others are finite
        weight[missing] = 0.0
        total = weight.sum(axis=1, keepdims=True)
        contributions = np.where(missing, 0.0, squashed) * weight / np.where(total > 0, total, 1.0)
        raw = contributions.sum(axis=1)
        score, low, high, decisions = self._calibrated(baseline, rows, raw, batch, total[:, 0] > 0)
        return ScoredBatch(
            raw=raw,
            score=score,
            p_violation=p_violation(self._p_violation, raw),
            tier=decisions.tier,
            action=np.where(broken, np.maximum(decisions.action, Action.REVIEW), decisions.action),
            terms=self._terms,
            contributions=contributions,
            weight=decisions.weight,
            low=low,
            high=high,
            cold_start=False,
            describe=self._describer(observed, squashed),
            intervention=self._intervention,
        )

    @property
    def terms(self) -> tuple[Term, ...]:
        """The addends of `raw`: the columns of `terms_of`."""
        return self._terms

    def terms_of(self, batch: RecordBatch) -> NDArray[np.float64]:
        """Each term's squashed value before weighting, float64 (n, n_terms), NaN where absent.

        Raises InvalidBatchError where fingerprints have another length than their baseline.
        """
        baseline = self._models.get(batch.model)
        return self._evidence(baseline, *_fingerprint_rows(baseline, batch), batch)[0]

    def _evidence(
        self,
        baseline: ModelBaseline | None,
        rows: NDArray[np.bool_],
        broken: NDArray[np.bool_],
        batch: RecordBatch,
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """squashed, observed, weight, each float64 (n, n_terms)."""
        shape = (batch.n, len(self._terms))
        squashed, observed, weight = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape)
        for j, part in enumerate(self._signals):
            observed[:, j] = batch.signals.get(part.name, np.nan)
            squashed[:, j] = part.oriented(observed[:, j])
            weight[:, j] = part.weight
        n_signals = len(self._signals)
        squashed[:, :n_signals] = squash(squashed[:, :n_signals], *self._signal_scales)
        if baseline is not None and batch.fingerprints is not None:
            for name, part in baseline.parts.items():
                j = len(self._signals) + self._detector_names.index(name)
                good = rows & ~broken
                x = batch.fingerprints if good.all() else batch.fingerprints[good]
                with np.errstate(over="ignore", invalid="ignore"):
                    values = baseline.detectors[name].score(x)
                # finite, but so large that products overflow: as far as anything can be
                observed[good, j] = np.where(np.isnan(values), np.inf, values)
                observed[broken, j] = np.inf
                squashed[:, j] = part.scale.squashed(observed[:, j])
                weight[:, j] = part.weight
        return squashed, observed, weight

    def _calibrated(
        self,
        baseline: ModelBaseline | None,
        rows: NDArray[np.bool_],
        raw: NDArray[np.float64],
        batch: RecordBatch,
        scorable: NDArray[np.bool_],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], Decisions]:
        """score, low, high and decisions, each row under the calibration of its evidence."""
        score, tier = np.zeros(batch.n), np.zeros(batch.n, np.int8)
        low, high = np.full(batch.n, np.nan), np.full(batch.n, np.nan)
        action, weight = np.zeros(batch.n, np.int8), np.ones(batch.n)
        of_model = None if baseline is None else baseline.calibration
        for calibration, members in (
            (of_model, rows & scorable),
            (self._signals_only, ~rows & scorable),
        ):
            index = np.flatnonzero(members)
            if calibration is None or not index.size:
                continue
            chosen: slice | NDArray[np.intp] = slice(None)
            context = batch.context
            if index.size < batch.n:  # seldom: most batches have the same evidence throughout
                chosen = index
                context = [context[i] for i in index.tolist()] if context else ()
            n = calibration.knots.n
            below, _ = rank_v1.counts(calibration.knots, raw[chosen])
            rank = below / (n + 1)
            score[chosen] = rank
            low[chosen] = np.minimum(_at(calibration.low, below / n), rank)
            high[chosen] = np.maximum(_at(calibration.high, below / n), rank)
            decisions = decide(calibration.rule, rank, context)
            tier[chosen], action[chosen] = decisions.tier, decisions.action
            weight[chosen] = decisions.weight
        return score, low, high, Decisions(tier=tier, action=action, weight=weight)

    def _describer(self, observed: NDArray[np.float64], squashed: NDArray[np.float64]) -> Describe:
        def describe(rows: NDArray[np.intp], terms: NDArray[np.intp]) -> list[str]:
            values, sizes = observed[rows, terms], squashed[rows, terms]
            told = zip(
                terms.tolist(), values.tolist(), sizes.tolist(), spreads_v1.told(sizes), strict=True
            )
            return [self._tell[j](value, size, spreads) for j, value, size, spreads in told]

        return describe


def _at(points: NDArray[np.float64], share: NDArray[np.float64]) -> NDArray[np.float64]:
    """Linear interpolation in points at i/(len - 1), at a share in [0, 1]."""
    position = share * (len(points) - 1)
    left = np.minimum(position.astype(np.intp), len(points) - 2)
    value: NDArray[np.float64] = points[left] + (position - left) * (
        points[left + 1] - points[left]
    )
    return value


def _tell_distance(observed: float, squashed: float, spreads: str) -> str:
    if observed != observed:
        return NOT_SENT
    if observed == math.inf:
        return "the fingerprint is not finite, so the record goes to review"
    side = "above" if squashed >= 0 else "below"
    return f"distance from the model's baseline is {spreads} spreads {side} its median"


def _fingerprint_rows(
    baseline: ModelBaseline | None, batch: RecordBatch
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which rows are scored by fingerprint, and which of them are not finite."""
    none = np.zeros(batch.n, np.bool_)
    if baseline is None or batch.fingerprints is None or not batch.fingerprint_rows.any():
        return none, none
    if batch.fingerprints.shape[1] != baseline.n_dimensions:
        raise InvalidBatchError(
            f"fingerprints of model {batch.model!r} have {batch.fingerprints.shape[1]} dimensions,"
            f" its baseline {baseline.n_dimensions}"
        )
    rows = batch.fingerprint_rows
    # A sum is not finite if a term is not: one cheap pass finds the rows to look at closely.
    with np.errstate(over="ignore", invalid="ignore"):
        broken = rows & ~np.isfinite(batch.fingerprints.sum(axis=1))
    if broken.any():
        broken[broken] = ~np.isfinite(batch.fingerprints[broken]).all(axis=1)
    return rows, broken


def _read_part(entry: Mapping[str, Any]) -> Part:
    part = Part(
        name=entry["name"],
        weight=float(entry["weight"]),
        scale=RobustScale(float(entry["median"]), float(entry["spread"])),
        direction=entry.get("direction", rank_v1.HIGH),
        centre=float(entry.get("centre", 0.0)),
    )
    if not 0 < part.weight < math.inf or not 0 < part.scale.spread < math.inf:
        raise InvalidConfigError(f"{part.name}: weight and spread must be finite and above 0")
    if part.direction not in rank_v1.DIRECTIONS:
        raise InvalidConfigError(f"{part.name}: direction is none of {rank_v1.DIRECTIONS}")
    return part


def _read_detector(
    arrays: Mapping[str, NDArray[Any]], prefix: str, entry: Mapping[str, Any], n_dimensions: Any
) -> Detector:
    if type(n_dimensions) is not int or not 1 <= n_dimensions <= MAX_DIMENSIONS:
        raise InvalidConfigError(f"{prefix}: n_dimensions out of range")
    own = {
        name.removeprefix(prefix): array
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    detector = DETECTORS[entry["name"]].from_arrays(own)
    try:
        detector.score(np.zeros((1, n_dimensions), np.float32))
    except ValueError as error:
        raise InvalidConfigError(f"{prefix}: not of {n_dimensions} dimensions") from error
    return detector


def _read_calibration(
    state: ScorerState, settings: Mapping[str, Any], prefix: str, entry: Mapping[str, Any]
) -> Calibration:
    knots = read_knots(state, f"{prefix}/rank", entry["n"])
    p = [float(value) for value in entry["tier_p"]]
    # 1e-12: the same p, computed another way, may differ in its last bit
    thresholds = np.array([1.0 - value - 1e-12 if value > 0 else UNREACHABLE for value in p])
    low, high = state.arrays[f"{prefix}/low"], state.arrays[f"{prefix}/high"]
    if low.ndim != 1 or low.shape != high.shape or low.size < 2:
        raise InvalidConfigError(f"{prefix}: malformed interval")
    return Calibration(knots, read_rule(settings, thresholds), low, high)
