"""How far to trust the model's predictions inside an estimate, learned from earlier rounds."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from scoring.core.estimation.rounds import DOMAINS, FLAGGED, UNFLAGGED, Round, Window

FloatArray = NDArray[np.float64]


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


def _scaled(one: Round, powers: FloatArray) -> Round:
    return replace(
        one,
        predictions=one.predictions * np.where(one.domain == FLAGGED, powers[1], powers[0]),
        prediction_totals=(
            one.prediction_totals[UNFLAGGED] * float(powers[UNFLAGGED]),
            one.prediction_totals[FLAGGED] * float(powers[FLAGGED]),
        ),
    )
