"""What stands in for the records nobody drew: the model's predictions, or a plain mean."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate

import numpy as np
from numpy.typing import NDArray

from scoring.core.estimation.rounds import DOMAINS, FLAGGED, UNFLAGGED, Round, Window

FloatArray = NDArray[np.float64]

MOST_ASSUMED = 0.5


def power_tuned(window: Window) -> Window:
    """The window with each round's predictions shrunk by what earlier rounds say of their worth.

    A prediction that is too high everywhere costs more than none: at a floor of a few per mille,
    every draw without a violation is then a correction of many records, and the total swings by
    the luck of how many draws there were. Since the factor of a round rests on earlier rounds
    only, the total stays unbiased. The first round, which no verdict has taught, gets 0.

    Parameters
    ----------
    window : Window
        No label inside the domains may be NaN.

    Returns
    -------
    Window
        Predictions and their totals multiplied by ``λ`` in [0, 1], apart for flagged and
        unflagged records.

    Notes
    -----
    ``λ_t = Σ c y f / Σ c f²`` with ``c = (1-q)/q²`` over the draws of rounds before t minimises
    the variance there (power tuning: Angelopoulos, Duchi, Zrnic, *PPI++*, 2023).
    """
    agreement, size = np.zeros(len(DOMAINS)), np.zeros(len(DOMAINS))
    tuned = []
    for one in window.rounds:
        powers = np.clip(
            np.divide(agreement, size, out=np.zeros_like(size), where=size > 0.0), 0.0, 1.0
        )
        tuned.append(_scaled(one, powers))
        q = one.inclusion_probabilities
        costs = (1.0 - q) / q**2 * one.predictions
        for domain in DOMAINS:
            inside = one.domain == domain
            agreement[domain] += float(costs[inside] @ one.labels[inside])
            size[domain] += float(costs[inside] @ one.predictions[inside])
    return replace(window, rounds=tuple(tuned))


def centred(windows: Sequence[Window]) -> list[Window]:
    """The windows, where a round without predictions predicts one rate for all its records.

    A Horvitz-Thompson total of answers that are mostly "yes" swings with the luck of how much the
    draws weigh together, and its interval is not the mirror image of the one for "no". Since the
    size of each domain is known, a constant takes that luck out, as a ratio estimator does.

    Parameters
    ----------
    windows : sequence of Window
        No label inside the domains may be NaN.

    Returns
    -------
    list of Window
        Rounds that have predictions are left as they are.

    Notes
    -----
    The constant of a domain is ``λ = Σ c y / (Σ c + max c)`` with ``c = (1-q)/q²``, over such
    rounds of all windows, at most 1/2: up to the last term, which shrinks it where few draws
    carry the weight, it minimises ``Σ c (y - λ)²``, the variance of the total (a regression
    estimator on a constant; Särndal, Swensson, Wretman, *Model Assisted Survey Sampling*, 1992).
    It rests on the draws it corrects, so the bias is of the order of one draw in n. Above 1/2 it
    would shrink the interval towards 1, where no floor draw watches the lower limit.
    """
    rates = _assumed_rates(windows)
    return [
        replace(
            window,
            rounds=tuple(
                _constant(one, rates, sizes) if _is_bare(one) else one
                for one, sizes in zip(window.rounds, _sizes_left(window), strict=True)
            ),
        )
        for window in windows
    ]


def _assumed_rates(windows: Sequence[Window]) -> tuple[float, float]:
    rates = []
    for domain in DOMAINS:
        costs, labels = [np.empty(0)], [np.empty(0)]
        for one in (one for window in windows for one in window.rounds if _is_bare(one)):
            inside = one.domain == domain
            q = one.inclusion_probabilities[inside]
            costs.append((1.0 - q) / q**2)
            labels.append(one.labels[inside])
        cost, label = np.concatenate(costs), np.concatenate(labels)
        whole = float(cost.sum()) + float(cost.max(initial=0.0))
        rates.append(min(float(cost @ label) / whole, MOST_ASSUMED) if whole else 0.0)
    return rates[0], rates[1]


def _is_bare(one: Round) -> bool:
    return not one.predictions.any() and not any(one.prediction_totals)


def _sizes_left(window: Window) -> list[tuple[float, float]]:
    """Records of either domain that were there to be drawn, by round."""
    taken = [[int((one.domain == domain).sum()) for one in window.rounds] for domain in DOMAINS]
    unflagged, flagged = (
        accumulate(counts[:-1], int.__sub__, initial=size)
        for counts, size in zip(taken, window.domain_sizes, strict=True)
    )
    return [(float(a), float(b)) for a, b in zip(unflagged, flagged, strict=True)]


def _constant(one: Round, rates: tuple[float, float], sizes: tuple[float, float]) -> Round:
    return replace(
        one,
        predictions=np.where(
            one.domain == FLAGGED, rates[1], np.where(one.domain == UNFLAGGED, rates[0], 0.0)
        ),
        prediction_totals=(rates[0] * sizes[0], rates[1] * sizes[1]),
    )


def _scaled(one: Round, powers: FloatArray) -> Round:
    return replace(
        one,
        predictions=one.predictions * np.where(one.domain == FLAGGED, powers[1], powers[0]),
        prediction_totals=(
            one.prediction_totals[UNFLAGGED] * float(powers[UNFLAGGED]),
            one.prediction_totals[FLAGGED] * float(powers[FLAGGED]),
        ),
    )
