"""What a rate would be if reviewers made no mistakes: a figure beside, never instead."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from scoring.core.agreement.gold import GoldAccuracy
from scoring.core.estimation.estimate import Estimate

FloatArray = NDArray[np.float64]

METHOD = "rogan-gladen-v1"
CORRECTABLE = ("prevalence", "precision")

_N_DRAWS = 20_000
_UNINFORMATIVE = (
    "Gold answers leave open whether reviewers recognise violations at all; "
    "more gold items are needed before errors can be corrected."
)


def error_corrected(
    estimate: Estimate, gold: GoldAccuracy, *, rng: np.random.Generator
) -> Estimate:
    """The rate of true violations behind a rate of verdicts, with the gold's own doubt carried.

    Parameters
    ----------
    estimate : Estimate
        Prevalence or precision of verdicts. (Recall and false-positive rate mix verdicts in
        numerator and denominator and have no such correction.)
    gold : GoldAccuracy
        Of the pooled reviewers, taken to err alike in all records the rate is taken over.
    rng : numpy.random.Generator

    Returns
    -------
    Estimate
        Null when the verdict rate is, or when ``P(se + sp <= 1)`` exceeds ``(1 - level)/2``.

    Raises
    ------
    ValueError
        For another metric.

    Notes
    -----
    ``(p + sp - 1)/(se + sp - 1)`` (Rogan, Gladen, *Estimating Prevalence From the Results of a
    Screening Test*, 1978), over draws of p, se and sp. The draws of p have a normal body on either
    side of its value whose quantiles are the estimate's own limits, so that what the floor added
    to them is kept. se and sp come from their Beta posteriors.
    """
    if estimate.metric not in CORRECTABLE:
        raise ValueError(f"only {' and '.join(CORRECTABLE)} can be corrected")
    beside = replace(estimate, method=METHOD, design_low=None, design_high=None)
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return beside
    sensitivity, specificity = (
        posterior.draws(_N_DRAWS, rng) for posterior in (gold.sensitivity, gold.specificity)
    )
    informed = sensitivity + specificity > 1.0
    tail = (1.0 - estimate.level) / 2.0
    if 1.0 - informed.mean() > tail:
        return replace(beside, value=None, low=None, high=None, reason=_UNINFORMATIVE)
    rates = _rate_draws(estimate.value, estimate.low, estimate.high, tail, rng)
    power = sensitivity + specificity - 1.0
    # Draws that cannot tell violations apart say nothing: they stand for any rate, at both ends.
    true_rates = np.clip((rates + specificity - 1.0)[informed] / power[informed], 0.0, 1.0)
    lost = _N_DRAWS - true_rates.size
    low = np.quantile(np.concatenate([true_rates, np.zeros(lost)]), tail)
    high = np.quantile(np.concatenate([true_rates, np.ones(lost)]), 1.0 - tail)
    centre = gold.sensitivity.mean + gold.specificity.mean - 1.0
    value = float(np.clip((estimate.value + gold.specificity.mean - 1.0) / centre, 0.0, 1.0))
    return replace(
        beside,
        value=value,
        low=min(float(low), value),
        high=max(float(high), value),
        assumptions=(
            *estimate.assumptions,
            "Corrected for reviewer errors as measured on gold items, assumed alike elsewhere.",
        ),
    )


def _rate_draws(
    value: float, low: float, high: float, tail: float, rng: np.random.Generator
) -> FloatArray:
    """Draws around ``value`` with ``low`` and ``high`` as their tail quantiles, in [0, 1]."""
    z = rng.standard_normal(_N_DRAWS)
    scale = np.where(z < 0.0, value - low, high - value) / stats.norm.ppf(1.0 - tail)
    return np.asarray(np.clip(value + z * scale, 0.0, 1.0))
