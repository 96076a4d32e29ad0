"""By how much and which way: effect sizes that do not grow with the number of records."""

import numpy as np
from numpy.typing import NDArray

from scoring.core.drift.contract import DOWN, MOVED, NARROWER, UP, WIDER, Effect, Floats


def shift_of(x: Floats, weights: Floats) -> Effect:
    """Effect on a number, as Cliff's delta: P(window > reference) - P(window < reference).

    x: float64 (n,), finite.  weights: float64 (n,), positive on the window, negative on the
    reference (`permutation.contrasts`). Where neither side prevails, the middle half says whether
    the window is wider or narrower. before and after are weighted medians.

    Source: Cliff, Dominance Statistics, 1993.
    """
    window, reference = np.maximum(weights, 0.0), np.maximum(-weights, 0.0)
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    last = np.searchsorted(ordered, ordered, side="right") - 1
    first = np.searchsorted(ordered, ordered, side="left")
    cumulative = np.concatenate([[0.0], np.cumsum(reference[order])])
    below, above = cumulative[first], cumulative[-1] - cumulative[last + 1]
    delta = float(window[order] @ (below - above))
    gaps = np.cumsum(weights[order])[np.unique(last)]
    rose, fell = max(0.0, -float(gaps.min())), max(0.0, float(gaps.max()))
    before, after = _quartiles(x, reference), _quartiles(x, window)
    if max(rose, fell) >= 2.0 * min(rose, fell):
        direction = UP if rose > fell else DOWN
    else:
        direction = WIDER if after[2] - after[0] > before[2] - before[0] else NARROWER
    return Effect(delta, "Cliff's delta", direction, before[1], after[1])


def share_of(flags: NDArray[np.bool_], weights: Floats) -> Effect:
    """Effect on a share, in percentage points."""
    window, reference = np.maximum(weights, 0.0), np.maximum(-weights, 0.0)
    before, after = float(reference @ flags), float(window @ flags)
    change = 100.0 * (after - before)
    return Effect(change, "percentage points", UP if change > 0 else DOWN, before, after)


def spread_of(x: Floats, weights: Floats) -> Effect:
    """Effect on vectors, float64 (n, d): how far the mean moved, in units of the usual spread.

    size: ‖Δmean‖/√tr Σ_reference.  before, after: √tr Σ of each side. The direction is `moved`
    unless the spread changed by more than the mean did.
    """
    window, reference = np.maximum(weights, 0.0), np.maximum(-weights, 0.0)
    means = [side @ x for side in (reference, window)]
    before, after = (
        float(np.sqrt(side @ np.sum((x - mean) ** 2, axis=1)))
        for side, mean in zip((reference, window), means, strict=True)
    )
    size = float(np.linalg.norm(means[1] - means[0])) / max(before, 1e-300)
    ratio = after / max(before, 1e-300)
    direction = MOVED if size >= abs(ratio - 1.0) else WIDER if ratio > 1.0 else NARROWER
    return Effect(size, "spreads", direction, before, after)


def mix_of(codes: NDArray[np.intp], weights: Floats) -> Effect:
    """Effect on a mix of categories: the share of records that changed category, in [0, 1].

    before, after: the shares of the category that moved most; the direction is its.
    """
    gaps = np.bincount(codes, weights=weights)
    window = np.bincount(codes, weights=np.maximum(weights, 0.0))
    most = int(np.argmax(np.abs(gaps)))
    size = float(np.abs(gaps).sum()) / 2.0
    direction = UP if gaps[most] > 0 else DOWN
    after = float(window[most])
    return Effect(size, "share of the mix", direction, after - float(gaps[most]), after)


def _quartiles(x: Floats, weights: Floats) -> tuple[float, float, float]:
    order = np.argsort(x, kind="stable")
    cumulative = np.cumsum(weights[order])
    total = float(cumulative[-1])
    at = np.searchsorted(cumulative, np.array([0.25, 0.5, 0.75]) * total * (1.0 - 1e-9))
    low, middle, high = (float(x[order[min(i, x.size - 1)]]) for i in at)
    return low, middle, high
