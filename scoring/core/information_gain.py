"""What a verdict is expected to teach: about the model (BALD) and about the world (surprisal).

BALD alone asks about what the posterior cannot decide; where violations are rare that is seldom
where they are. The surprisal term asks about what would change a reader's mind, violations first.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtr, xlogy

from scoring.core.score_prior import MIN_BASE_RATE, score_prior

FloatArray = NDArray[np.float64]

_ROWS_PER_CHUNK = 2048
_LN2 = math.log(2.0)


@dataclass(frozen=True)
class InformationGain:
    """Expected gain of one verdict per record, with its terms.

    Attributes
    ----------
    gain : float64 (n,)
        ``weight · (bald + λ · surprisal)``, what the sampler is given.
    bald : float64 (n,)
        Mutual information of verdict and posterior, nats, in [0, log 2].
    surprisal : float64 (n,)
        Expected surprisal of the verdict to a reader who knows only the base rate, bits, >= 0.
    probability : float64 (n,)
        Predictive probability of a violation.
    strategy : str
        Name of the strategy that made it.
    """

    gain: FloatArray
    bald: FloatArray
    surprisal: FloatArray
    probability: FloatArray
    strategy: str


@dataclass(frozen=True)
class GainStrategy:
    """A named, frozen rule from posterior moments to a gain; never edited once released.

    Attributes
    ----------
    name : str
        Stored with every round.
    bald_weight, surprisal_weight : float
        Weights of the two terms; both 0 is the constant gain of a uniform round.
    method : "quadrature" or "closed_form"
        How BALD is computed; see `bald_quadrature` and `bald_closed_form`.
    base_rate_cap : float
        The reader expects a violation at most this often. Surprisal then rises with p everywhere;
        with the true rate of a stream where most records violate, rounds would hunt for the
        clean ones (measured: 8 % more reviews than random at a prevalence of 61 %, 15 % fewer
        with the cap).
    """

    name: str
    bald_weight: float
    surprisal_weight: float
    method: Literal["quadrature", "closed_form"] = "quadrature"
    base_rate_cap: float = 0.1

    def __call__(
        self,
        mean: FloatArray,
        variance: FloatArray,
        *,
        base_rate: float,
        weight: FloatArray | None = None,
    ) -> InformationGain:
        """Gain of each record whose log-odds are believed to be N(mean, variance).

        Parameters
        ----------
        mean, variance : float64 (n,)
            Posterior moments of the log-odds; NaN gives a NaN gain, which the sampler imputes.
        base_rate : float in (0, 1)
            Share of violations known to the reader, ``π0``.
        weight : float64 (n,), >= 1, optional
            Severity and business context; multiplies the gain before the draw.

        Raises
        ------
        ValueError
            On a weight below 1 or a base rate outside (0, 1).
        """
        if weight is not None and not (np.asarray(weight) >= 1.0).all():
            raise ValueError("weight must be at least 1")
        mean, variance = np.asarray(mean, dtype=np.float64), np.asarray(variance, dtype=np.float64)
        if self.method == "quadrature":
            probability, bald = _quadrature(mean, variance, n_nodes=64)
        else:
            probability = probit_probability(mean, variance)
            bald = bald_closed_form(mean, variance)
        surprisal = verdict_surprisal(probability, base_rate=min(base_rate, self.base_rate_cap))
        if self.bald_weight == self.surprisal_weight == 0.0:
            gain = np.ones_like(mean)
        else:
            gain = self.bald_weight * bald + self.surprisal_weight * surprisal
        if weight is not None:
            gain = gain * weight
        return InformationGain(
            gain=gain, bald=bald, surprisal=surprisal, probability=probability, strategy=self.name
        )


STRATEGIES: Mapping[str, GainStrategy] = MappingProxyType(
    {
        strategy.name: strategy
        for strategy in (
            GainStrategy("uniform_v1", 0.0, 0.0, "closed_form"),
            GainStrategy("bald_v1", 1.0, 0.0),
            GainStrategy("hybrid_v1", 1.0, 0.25),
            GainStrategy("hybrid_fast_v1", 1.0, 0.25, "closed_form"),
            GainStrategy("surprisal_v1", 0.0, 1.0),
        )
    }
)


def gain_strategy(name: str) -> GainStrategy:
    """The released strategy of that name; ValueError names the known ones."""
    if name not in STRATEGIES:
        raise ValueError(f"unknown gain strategy {name!r}, known: {', '.join(sorted(STRATEGIES))}")
    return STRATEGIES[name]


def cold_start_gain(
    score: FloatArray,
    *,
    base_rate: float,
    weight: FloatArray | None = None,
    strategy: str = "hybrid_v1",
    reference: FloatArray | None = None,
) -> InformationGain:
    """Gain before any verdict, from the prior centred on the anomaly score.

    Parameters
    ----------
    score : float64 (n,), in [0, 1]
        Calibrated anomaly score ``S = 1 - p``; NaN where missing, which gives a NaN gain. When no
        score tells records apart (all equal or missing) the gain is constant and finite.
    base_rate : float in (0, 1)
        Expected share of violations, ``π0``.
    weight : float64 (n,), >= 1, optional
        Severity and business context.
    strategy : str
        Name of the gain strategy.
    reference : float64 (m,), optional
        Scores that fix location, scale and quantile, when ``score`` is only a chunk of the pool.
    """
    prior = score_prior(score if reference is None else reference, base_rate=base_rate)
    mean, variance = prior.moments(score)
    return gain_strategy(strategy)(mean, variance, base_rate=base_rate, weight=weight)


def bald_closed_form(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """BALD of a logistic verdict by the probit approximation, nats, clipped at 0.

    Notes
    -----
    With ``m = √(π/8)·mean``, ``v = (π/8)·variance`` and ``C² = π ln2 / 2``,
    ``H(Φ(m/√(1+v))) - ln2·√(C²/(C²+v))·exp(-m²/(2(C²+v)))`` (Houlsby, Huszár, Ghahramani,
    Lengyel, *Bayesian Active Learning for Classification and Preference Learning*, 2011). Against
    quadrature the error stays below 0.026 nats for sd <= 5; ranks correlate at .999.
    """
    scaled = math.sqrt(math.pi / 8.0) * mean
    spread = (math.pi / 8.0) * variance
    c2 = math.pi * _LN2 / 2.0
    conditional = _LN2 * np.sqrt(c2 / (c2 + spread)) * np.exp(-(scaled**2) / (2.0 * (c2 + spread)))
    return np.maximum(_entropy(probit_probability(mean, variance)) - conditional, 0.0)


def bald_quadrature(mean: FloatArray, variance: FloatArray, *, n_nodes: int = 64) -> FloatArray:
    """BALD ``H(E σ(f)) - E H(σ(f))``, ``f ~ N(mean, variance)``, by Gauss-Hermite; nats, >= 0.

    With 64 nodes the error is below 2e-4 nats for sd <= 5 and abs(mean) <= 8.
    """
    return _quadrature(mean, variance, n_nodes=n_nodes)[1]


def probit_probability(mean: FloatArray, variance: FloatArray) -> FloatArray:
    """``E σ(f) ≈ Φ(m/√(1+v))`` (MacKay, *The Evidence Framework*, 1992), in [0, 1]."""
    scaled = math.sqrt(math.pi / 8.0) * mean / np.sqrt(1.0 + (math.pi / 8.0) * variance)
    return np.asarray(ndtr(scaled))


def verdict_surprisal(probability: FloatArray, *, base_rate: float) -> FloatArray:
    """Expected surprisal of the verdict, ``-p log₂ π0 - (1-p) log₂(1-π0)``, bits.

    This is ``H(p) + KL(p ‖ π0)``; below a base rate of one half it rises with p. Raises
    ValueError for a base rate outside (0, 1); rates below 1e-6 count as 1e-6.
    """
    if not 0.0 < base_rate < 1.0:
        raise ValueError("base_rate must lie in (0, 1)")
    rate = min(max(base_rate, MIN_BASE_RATE), 1.0 - MIN_BASE_RATE)
    return np.asarray(-probability * math.log2(rate) - (1.0 - probability) * math.log2(1.0 - rate))


def _entropy(probability: FloatArray) -> FloatArray:
    return np.asarray(-xlogy(probability, probability) - xlogy(1 - probability, 1 - probability))


def _quadrature(
    mean: FloatArray, variance: FloatArray, *, n_nodes: int
) -> tuple[FloatArray, FloatArray]:
    """Predictive probability and BALD by one pass over the nodes, in chunks of bounded memory."""
    nodes, weights = np.polynomial.hermite.hermgauss(n_nodes)
    weights = weights / math.sqrt(math.pi)
    mean, variance = np.broadcast_arrays(mean, variance)
    probability, conditional = np.empty(mean.size), np.empty(mean.size)
    for start in range(0, mean.size, _ROWS_PER_CHUNK):
        rows = slice(start, start + _ROWS_PER_CHUNK)
        logits = mean[rows, None] + np.sqrt(2.0 * variance[rows, None]) * nodes
        sigmoid = expit(logits)
        probability[rows] = sigmoid @ weights
        # H(σ(f)) = log(1 + e^f) - f·σ(f); the even form keeps the tails from cancelling.
        size = np.abs(logits)
        tail = np.exp(-size)
        conditional[rows] = (np.log1p(tail) + size * tail / (1.0 + tail)) @ weights
    probability = np.clip(probability, 0.0, 1.0)
    return probability, np.maximum(_entropy(probability) - conditional, 0.0)
