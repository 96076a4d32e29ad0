"""Where what the score says and what people say part ways, segment by segment.

A score stands in for human judgement. Where it errs the same way throughout a segment, every
figure and every threshold is wrong there, however well it does on the whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from scoring.core.estimation.intervals import clopper_pearson

FloatArray = NDArray[np.float64]

LEVEL = 0.95
MIN_LABELS = 20
MIN_EFFECTIVE = 5.0
MAX_SEGMENTS = 100
N_SIMULATIONS = 10_000
_BLOCK = 500
_LEAST_PROBABILITY = 1e-4


@dataclass(frozen=True, slots=True)
class Gap:
    """What is stated and what is seen in one segment.

    Attributes
    ----------
    field, value : str
        The segment; "" and "" for all records.
    stated : float
        Weighted mean of the stated probabilities.
    observed : float
        Weighted share of violations; [low, high] are its limits (Clopper-Pearson at the effective
        size).
    p_value : float or None
        Of "the stated probabilities hold here", two-sided; None where it was not tested.
    adjusted : float or None
        The same after Holm's correction for all segments tested.
    is_flagged : bool
        Whether they part systematically.
    reason : str
        Why it was not tested.
    """

    field: str
    value: str
    stated: float
    observed: float
    low: float
    high: float
    n_labels: int
    n_violations: int
    effective_size: float
    p_value: float | None
    adjusted: float | None
    is_flagged: bool
    reason: str

    @property
    def gap(self) -> float:
        """observed less stated: above 0 the score misses harm, below 0 it sees harm too often."""
        return self.observed - self.stated


@dataclass(frozen=True, slots=True)
class ProxyGaps:
    """overall: of all records.  segments: the largest evidence first, untested ones last."""

    overall: Gap
    segments: tuple[Gap, ...]
    n_tested: int


def proxy_gaps(
    stated: FloatArray,
    labels: FloatArray,
    weights: FloatArray,
    segments: Mapping[str, Sequence[str]],
    *,
    rng: np.random.Generator,
    stated_effective_size: float | None = None,
    n_simulations: int = N_SIMULATIONS,
) -> ProxyGaps:
    """Compare stated probabilities with weighted verdicts in each segment.

    Parameters
    ----------
    stated : float64 (n,), in [0, 1]
        What the score says of each record.
    labels : float64 (n,), 0 or 1
    weights : float64 (n,), > 0
        Export weights, so that a gap is one of the traffic, not of what was drawn.
    segments : mapping
        Field to n values. A field with one value is passed over.
    rng : numpy.random.Generator
    stated_effective_size : float, optional
        Effective number of the verdicts that the probabilities were fitted on: their level is
        only known that well. None where it is exact.
    n_simulations : int
        p-values are no smaller than ``2/(1 + n_simulations)``.

    Returns
    -------
    ProxyGaps

    Raises
    ------
    ValueError
        On an empty input, other lengths, values out of range or weights that are not positive.

    Notes
    -----
    The statistic of a segment is ``T = Σ w(y - p)``. Its law under "the score is right here" is
    simulated: ``y ~ Bernoulli(p)``, with the common shift ``δ ~ N(0, 1/(ν·p̄(1-p̄)))`` of the logits
    for what the calibration itself does not know. A normal law would call a small segment without
    any violation a certain gap. Two-sided p-values, ``(1 + hits)/(1 + simulations)`` each side;
    Holm (*A Simple Sequentially Rejective Multiple Test Procedure*, 1979) keeps the chance of any
    false flag at 5 %.
    """
    p, y, w = _checked(stated, labels, weights, segments)
    members = [
        (field, value, np.asarray(values) == value)
        for field, values in segments.items()
        if len(set(values)) > 1
        for value in sorted(set(values))
    ][:MAX_SEGMENTS]
    masks = [np.ones(len(y), np.bool_), *(mask for _, _, mask in members)]
    reasons = [_untestable(w[mask]) for mask in masks]
    tested = [k for k, reason in enumerate(reasons) if not reason]
    found = _p_values(
        p, y, w, [masks[k] for k in tested], rng, stated_effective_size, n_simulations
    )
    p_values = dict(zip(tested, found, strict=True))
    adjusted = holm({k: value for k, value in p_values.items() if k > 0})
    adjusted[0] = p_values.get(0, 1.0)  # all records are one question of their own
    names = [("", ""), *((field, value) for field, value, _ in members)]
    gaps = [
        _gap(*names[k], p, y, w, masks[k], p_values.get(k), adjusted.get(k), reasons[k])
        for k in range(len(masks))
    ]
    ranked = sorted(gaps[1:], key=lambda gap: (gap.p_value is None, gap.p_value or 0.0))
    return ProxyGaps(gaps[0], tuple(ranked), n_tested=len(p_values) - (0 in p_values))


def expected_by_bin(
    score: FloatArray, labels: FloatArray, weights: FloatArray, *, n_bins: int = 10
) -> FloatArray:
    """What people say of records that score alike, float64 (n,) in [0, 1].

    Stands in for stated probabilities where there is no calibration: a gap then means that a
    segment differs from others of the same score. Bins hold equal weight; equal scores share one.
    """
    _, place = np.unique(score, return_inverse=True)
    mass = np.bincount(place, weights=weights)
    middle = (np.cumsum(mass) - mass / 2.0) / mass.sum()
    bins = np.minimum((middle * n_bins).astype(np.int64), n_bins - 1)[place]
    total = np.bincount(bins, weights=weights, minlength=n_bins)
    hits = np.bincount(bins, weights=weights * labels, minlength=n_bins)
    rates = np.clip(hits / np.where(total > 0, total, 1.0), 0.0, 1.0)
    return np.asarray(rates[bins])


def holm(p_values: Mapping[int, float]) -> dict[int, float]:
    """Holm's adjusted p-values, by the same keys."""
    adjusted: dict[int, float] = {}
    so_far = 0.0
    for rank, (key, value) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        so_far = max(so_far, min(1.0, value * (len(p_values) - rank)))
        adjusted[key] = so_far
    return adjusted


def _p_values(
    p: FloatArray,
    y: FloatArray,
    w: FloatArray,
    masks: Sequence[NDArray[np.bool_]],
    rng: np.random.Generator,
    effective_size: float | None,
    n_simulations: int,
) -> list[float]:
    if not masks:
        return []
    design = np.stack([w * mask for mask in masks], axis=1)
    seen = (y - p) @ design
    slack = 1e-9 * np.abs(design).sum(axis=0)  # sums in another order differ in the last bits
    base = logit(np.clip(p, _LEAST_PROBABILITY, 1.0 - _LEAST_PROBABILITY))
    rate = float(np.average(p, weights=w))
    information = max((effective_size or 0.0) * rate * (1.0 - rate), 1e-9)
    spread = 0.0 if effective_size is None else min(1.0 / np.sqrt(information), 3.0)
    above, below = np.zeros(len(masks)), np.zeros(len(masks))
    for start in range(0, n_simulations, _BLOCK):
        block = min(_BLOCK, n_simulations - start)
        shift = spread * rng.standard_normal((block, 1))
        drawn = rng.random((block, len(p))) < (expit(base + shift) if spread else p)
        simulated = (drawn - p) @ design
        above += (simulated >= seen - slack).sum(axis=0)
        below += (simulated <= seen + slack).sum(axis=0)
    tail = (1.0 + np.minimum(above, below)) / (1.0 + n_simulations)
    return [float(value) for value in np.minimum(1.0, 2.0 * tail)]


def _untestable(weights: FloatArray) -> str:
    n = len(weights)
    if n < MIN_LABELS:
        return f"{n} verdicts, at least {MIN_LABELS} are needed"
    size = weights.sum() ** 2 / np.sum(weights**2)
    if size < MIN_EFFECTIVE:
        return f"a few verdicts carry all the weight: {size:.1f} in effect"
    return ""


def _gap(
    field: str,
    value: str,
    p: FloatArray,
    y: FloatArray,
    w: FloatArray,
    mask: NDArray[np.bool_],
    p_value: float | None,
    adjusted: float | None,
    reason: str,
) -> Gap:
    share = w[mask] / w[mask].sum()
    size = float(1.0 / np.sum(share**2))
    observed = float(np.clip(share @ y[mask], 0.0, 1.0))
    low, high = clopper_pearson(observed * size, size, level=LEVEL)
    return Gap(
        field=field,
        value=value,
        stated=float(share @ p[mask]),
        observed=observed,
        low=low,
        high=high,
        n_labels=int(mask.sum()),
        n_violations=int(y[mask].sum()),
        effective_size=size,
        p_value=p_value,
        adjusted=adjusted if p_value is not None else None,
        is_flagged=p_value is not None and adjusted is not None and adjusted <= 1.0 - LEVEL,
        reason=reason,
    )


def _checked(
    stated: FloatArray,
    labels: FloatArray,
    weights: FloatArray,
    segments: Mapping[str, Sequence[str]],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    p, y, w = (np.asarray(column, dtype=np.float64) for column in (stated, labels, weights))
    if not p.size or not p.shape == y.shape == w.shape or p.ndim != 1:
        raise ValueError("stated, labels and weights must be vectors of one length, not empty")
    if any(len(values) != len(p) for values in segments.values()):
        raise ValueError("one value of each field per record expected")
    if not ((p >= 0.0) & (p <= 1.0)).all() or not np.isin(y, (0.0, 1.0)).all():
        raise ValueError("stated probabilities lie in [0, 1], labels are 0 or 1")
    if not (np.isfinite(w) & (w > 0.0)).all():
        raise ValueError("weights must be finite and above 0")
    return p, y, w
