"""Version 1 of the percentile scorer. Frozen: see `__init__`.

score = raw = Σ_j w_j r_j / Σ_{j present} w_j, where r_j in [0, 1) is the rank of signal j, or of
the fingerprint's Mahalanobis distance, in its baseline. The weight of what a record lacks goes to
what it has, so leaving a signal out neither hides nor accuses. Tiers go by the rank of the score
among the baseline's scores.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.detectors.contract import DetectorError
from scoring.core.detectors.mahalanobis import Mahalanobis
from scoring.core.scorers import rank_v1
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
from scoring.core.scorers.decision_v1 import decide, read_rule, thresholds_at
from scoring.core.scorers.state_parts_v1 import knot_names, read_knots
from scoring.core.state import ScorerState

KIND = "percentile"
NUMBER = 1
INTERVAL_ALPHA = 0.05


@dataclass(frozen=True, eq=False)
class SignalPart:
    """One signal's baseline, direction and weight > 0."""

    name: str
    direction: str
    weight: float
    knots: rank_v1.Knots


@dataclass(frozen=True, eq=False)
class FingerprintPart:
    """One model's fingerprint baseline and the ranks of its distances."""

    detector: Mahalanobis
    knots: rank_v1.Knots

    def distance(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Mahalanobis distance: float32 (n, d) -> float64 (n,); not finite where x is not."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self.detector.score(x)


class PercentileV1:
    """Weighted ranks of signals and of the fingerprint's distance to its model's baseline."""

    kind = KIND
    number = NUMBER

    def __init__(self, state: ScorerState) -> None:
        """Read a state of `fit_percentile`; raises InvalidConfigError for any other."""
        try:
            settings: Mapping[str, Any] = state.config["settings"]
            self._signals = [
                SignalPart(
                    name=entry["name"],
                    direction=settings["signals"][entry["name"]]["direction"],
                    weight=float(settings["signals"][entry["name"]]["weight"]),
                    knots=read_knots(state, f"signal/{i}", entry["n"]),
                )
                for i, entry in enumerate(state.config["signals"])
            ]
            self._fingerprints = {
                entry["model"]: _read_fingerprint(state, f"fingerprint/{i}", entry["n"])
                for i, entry in enumerate(state.config["fingerprints"])
            }
            self._fingerprint_weight = float(settings["fingerprint_weight"])
            self._score_knots = read_knots(state, "score", state.config["n_records"])
            self._rule = read_rule(settings, thresholds_at(settings["tier_rates"]))
        except (KeyError, TypeError, AttributeError, DetectorError) as error:
            raise InvalidConfigError(f"not the state of a percentile scorer: {error}") from error
        self._calibration = read_calibration(state.arrays)
        self._check(state)
        self._terms = tuple(Term("signal", part.name) for part in self._signals)
        if self._fingerprints:
            self._terms += (Term("fingerprint", "mahalanobis"),)

    def _check(self, state: ScorerState) -> None:
        known = {RAW, P} | knot_names("score")
        for i in range(len(self._signals)):
            known |= knot_names(f"signal/{i}")
        for i in range(len(self._fingerprints)):
            known |= knot_names(f"fingerprint/{i}")
            known |= {f"fingerprint/{i}/mean", f"fingerprint/{i}/root"}
        if not set(state.arrays) <= known:
            raise InvalidConfigError(f"unknown arrays {sorted(set(state.arrays) - known)[:3]}")
        weights = [part.weight for part in self._signals]
        weights += [self._fingerprint_weight] if self._fingerprints else []
        if not weights or not all(0 < weight < math.inf for weight in weights):
            raise InvalidConfigError("a percentile scorer needs terms with positive weights")
        if any(part.direction not in rank_v1.DIRECTIONS for part in self._signals):
            raise InvalidConfigError("a direction is none of high, low, both")

    def score(self, batch: RecordBatch) -> ScoredBatch:
        """Score records of one model.

        A fingerprint that is not finite ranks highest and is always reviewed. Where a record has
        nothing to score, raw = score = 0. The interval holds for all ranks at once with 95 %:
        each is off by at most √(log(2m/.05)/(2n)) (Massart, The Tight Constant in the
        Dvoretzky-Kiefer-Wolfowitz Inequality, 1990; Bonferroni over the m terms).

        Raises InvalidBatchError where fingerprints have another length than their baseline.
        """
        distances, broken = np.full(batch.n, np.nan), np.zeros(batch.n, np.bool_)
        baseline = self._fingerprints.get(batch.model)
        if baseline is not None:
            distances, broken = _distances(baseline, batch)
        scored = self.score_with_distances(batch, distances)
        action = np.where(broken, np.maximum(scored.action, Action.REVIEW), scored.action)
        return replace(scored, action=action)

    def score_with_distances(
        self, batch: RecordBatch, distances: NDArray[np.float64]
    ) -> ScoredBatch:
        """Score with given fingerprint distances, float64 (n,), NaN where there is none.

        Fitting ranks its own window by cross-fitted distances this way.
        """
        shape = (batch.n, len(self._terms))
        rank, observed, weight = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(shape[1])
        error = np.zeros(shape[1])
        for j, part in enumerate(self._signals):
            observed[:, j] = batch.signals.get(part.name, np.nan)
            rank[:, j] = rank_v1.anomaly_rank(part.knots, observed[:, j], part.direction)
            sides = 2.0 if part.direction == rank_v1.BOTH else 1.0
            weight[j], error[j] = part.weight, sides * self._rank_error(part.knots.n)
        baseline = self._fingerprints.get(batch.model)
        if baseline is not None:
            observed[:, -1] = distances
            rank[:, -1] = rank_v1.anomaly_rank(baseline.knots, distances, rank_v1.HIGH)
            weight[-1], error[-1] = self._fingerprint_weight, self._rank_error(baseline.knots.n)
        share = _shares(~np.isnan(rank), weight)
        contributions = np.where(share > 0, share * np.nan_to_num(rank), 0.0)
        raw = contributions.sum(axis=1)
        score = np.clip(raw, 0.0, 1.0)
        rarity = rank_v1.anomaly_rank(self._score_knots, score, rank_v1.HIGH)
        decisions = decide(self._rule, rarity, batch.context)
        known = np.where(share.any(axis=1), 1.0, np.nan)
        return ScoredBatch(
            raw=raw,
            score=score,
            p_violation=p_violation(self._calibration, raw),
            tier=decisions.tier,
            action=decisions.action,
            terms=self._terms,
            contributions=contributions,
            weight=decisions.weight,
            low=np.clip(score - share @ error, 0.0, 1.0) * known,
            high=np.clip(score + share @ error, 0.0, 1.0) * known,
            cold_start=False,
            describe=self._describer(batch.model, observed, rank),
            intervention=self._rule.intervention,
        )

    def _rank_error(self, n: int) -> float:
        return math.sqrt(math.log(2 * len(self._terms) / INTERVAL_ALPHA) / (2 * n))

    def _describer(
        self, model: str, observed: NDArray[np.float64], rank: NDArray[np.float64]
    ) -> Describe:
        def describe(rows: NDArray[np.intp], terms: NDArray[np.intp]) -> list[str]:
            values, ranks = observed[rows, terms].tolist(), rank[rows, terms].tolist()
            return [
                self._describe(model, j, value, at)
                for j, value, at in zip(terms.tolist(), values, ranks, strict=True)
            ]

        return describe

    def _describe(self, model: str, j: int, observed: float, rank: float) -> str:
        if j < len(self._signals):
            part = self._signals[j]
            if math.isnan(observed):
                return "not sent with this record; its weight goes to the other terms"
            share = _percent(rank, part.knots.n)
            side = {"high": "above", "low": "below", "both": "more extreme than"}[part.direction]
            return f"value {observed:.4g} is {side} {share} % of the baseline"
        if model not in self._fingerprints:
            return f"no fingerprint baseline for model {model!r}"
        if math.isnan(observed):
            return "no fingerprint with this record; its weight goes to the other terms"
        if math.isinf(observed):
            return "the fingerprint is not finite, so the record goes to review"
        share = _percent(rank, self._fingerprints[model].knots.n)
        return f"distance {observed:.4g} from the model's baseline is above {share} % of it"


def _distances(
    baseline: FingerprintPart, batch: RecordBatch
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distances, NaN without a fingerprint and inf for a broken one; and which are broken."""
    distance = np.full(batch.n, np.nan)
    rows = batch.fingerprint_rows
    if batch.fingerprints is None or not rows.any():
        return distance, np.zeros(batch.n, np.bool_)
    if batch.fingerprints.shape[1] != baseline.detector.mean.size:
        raise InvalidBatchError(
            f"fingerprints of model {batch.model!r} have {batch.fingerprints.shape[1]} dimensions,"
            f" its baseline {baseline.detector.mean.size}"
        )
    distance[rows] = baseline.distance(
        batch.fingerprints if rows.all() else batch.fingerprints[rows]
    )
    broken = rows & ~np.isfinite(distance)
    distance[broken] = np.inf
    return distance, broken


def _shares(present: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each term's share of the weight that is present in its row; rows sum to 1 or are 0."""
    weights = present * weight
    total = weights.sum(axis=1, keepdims=True)
    return weights / np.where(total > 0, total, 1.0)


def _percent(rank: float, n: int) -> str:
    """A rank as a percentage of the baseline, rounded down: 99.97 is not `100.0`."""
    return f"{math.floor(1000.0 * min(1.0, rank * (n + 1) / n) + 1e-9) / 10:.1f}"


def _read_fingerprint(state: ScorerState, prefix: str, n: Any) -> FingerprintPart:
    arrays = {name: state.arrays[f"{prefix}/{name}"] for name in ("mean", "root")}
    return FingerprintPart(Mahalanobis.from_arrays(arrays), read_knots(state, prefix, n))
