"""What a rate would be if reviewers made no mistakes: a figure beside, never instead."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from scoring.core.agreement.gold import BetaPosterior, GoldAccuracy
from scoring.core.estimation.estimate import Estimate
from scoring.core.estimation.intervals import clopper_pearson

FloatArray = NDArray[np.float64]

METHOD = "rogan-gladen-v1"
CORRECTABLE = ("prevalence", "precision")

_N_DRAWS = 20_000
_SIZES = 1e-6, 1e12  # of uniform samples that a limit may amount to
_UNINFORMATIVE = (
    "Gold answers leave open whether reviewers recognise violations at all; "
    "more gold items are needed before errors can be corrected."
)


def error_corrected(
    estimate: Estimate, gold: GoldAccuracy, *, rng: np.random.Generator, base: float = 1.0
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
    base : float, in (0, 1]
        Share of the records that the rate is taken over (`uniform_comparison.rate_base`).

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
    Screening Test*, 1978). It rises with p and sp and falls with se, so its lower limit is the
    quantile over draws from the lower confidence distributions of p and sp and the upper one of
    se, and its upper limit the reverse (melding: Fay, Proschan, Brittain, *Combining One-Sample
    Confidence Procedures for Inferences in the Two-Sample Case*, 2015; for weighted prevalence
    Bayer, Fay, Graubard, *Confidence Intervals for Prevalence Estimates From Complex Surveys With
    Imperfect Assays*, 2023). Those of a proportion are Beta(x, n-x+1) and Beta(x+1, n-x), whose
    quantiles are Clopper and Pearson's limits; for p, n is the uniform sample that would have the
    estimate's own limit, apart for either side, so that what the floor added is kept.

    Verdicts on N records vary though the records do not: p has the variance
    ``(θ se(1-se) + (1-θ) sp(1-sp))/N`` besides, which matters where much of N was reviewed.
    """
    if estimate.metric not in CORRECTABLE:
        raise ValueError(f"only {' and '.join(CORRECTABLE)} can be corrected")
    beside = replace(estimate, method=METHOD, design_low=None, design_high=None)
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return beside
    tail = (1.0 - estimate.level) / 2.0
    chance = gold.sensitivity.draws(_N_DRAWS, rng) + gold.specificity.draws(_N_DRAWS, rng)
    if (chance <= 1.0).mean() > tail:
        return replace(beside, value=None, low=None, high=None, reason=_UNINFORMATIVE)
    errors = _Errors(gold, estimate.n_records * base, estimate.level, rng)
    value = errors.true_rate(estimate.value)
    low = errors.limit(estimate.value, estimate.low, upper=False)
    high = errors.limit(estimate.value, estimate.high, upper=True)
    return replace(
        beside,
        value=value,
        low=min(low, value),
        high=max(high, value),
        assumptions=(
            *estimate.assumptions,
            "Corrected for reviewer errors as measured on gold items, assumed alike elsewhere.",
        ),
    )


@dataclass(frozen=True, eq=False)
class _Errors:
    """How reviewers err, on how many records, and the draws by which that is carried."""

    gold: GoldAccuracy
    n_records: float
    level: float
    rng: np.random.Generator

    def true_rate(self, rate: float) -> float:
        """The rate of violations behind a rate of verdicts, at the central errors."""
        sensitivity, specificity = self.gold.sensitivity.mean, self.gold.specificity.mean
        true_rate = (rate + specificity - 1.0) / (sensitivity + specificity - 1.0)
        return min(max(true_rate, 0.0), 1.0)

    def limit(self, value: float, limit: float, *, upper: bool) -> float:
        """The limit of the rate of violations, from the same one of the rate of verdicts."""
        rates = _rates(value, limit, self.level, self.rng, upper=upper)
        rates = rates + self.rng.normal(0.0, self._verdict_sd(value), _N_DRAWS)
        sensitivity = _proportions(self.gold.sensitivity, self.rng, upper=not upper)
        specificity = _proportions(self.gold.specificity, self.rng, upper=upper)
        power = sensitivity + specificity - 1.0
        # Draws that cannot tell violations apart say nothing: they stand for any rate.
        true_rates = np.full(_N_DRAWS, float(upper))
        informed = power > 0.0
        true_rates[informed] = (rates + specificity - 1.0)[informed] / power[informed]
        tail = (1.0 - self.level) / 2.0
        return float(np.clip(np.quantile(true_rates, 1.0 - tail if upper else tail), 0.0, 1.0))

    def _verdict_sd(self, rate: float) -> float:
        """Of the share that reviewers would call violations among all records."""
        theta = self.true_rate(rate)
        variance = sum(
            share * known.mean * (1.0 - known.mean)
            for share, known in (
                (theta, self.gold.sensitivity),
                (1.0 - theta, self.gold.specificity),
            )
        )
        return math.sqrt(variance / self.n_records)


def _rates(
    value: float, limit: float, level: float, rng: np.random.Generator, *, upper: bool
) -> FloatArray:
    """Draws from the confidence distribution of p on one side, ``limit`` their tail quantile."""
    if limit == value:
        return np.full(_N_DRAWS, value)
    if limit in (0.0, 1.0):
        return np.full(_N_DRAWS, limit)

    def excess(log_size: float) -> float:
        size = math.exp(log_size)
        return clopper_pearson(value * size, size, level=level)[upper] - limit

    least, most = (math.log(size) for size in _SIZES)
    if excess(least) * excess(most) >= 0.0:  # narrower than any sample
        return np.full(_N_DRAWS, limit)
    size = math.exp(float(brentq(excess, least, most, xtol=1e-9)))
    hits, misses = value * size, (1.0 - value) * size
    return rng.beta(hits + upper, misses + (not upper), _N_DRAWS)


def _proportions(known: BetaPosterior, rng: np.random.Generator, *, upper: bool) -> FloatArray:
    """Draws from the confidence distribution of a proportion with these hits and misses."""
    hits, misses = known.hits + upper, known.misses + (not upper)
    if min(hits, misses) == 0.0:  # never seen to go wrong, or right
        return np.full(_N_DRAWS, float(upper))
    return rng.beta(hits, misses, _N_DRAWS)
