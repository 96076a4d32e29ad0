"""One draw: from candidates to a sample with its probabilities. Pure: arrays in, arrays out.

A round and its verification both come through here, so that they cannot differ.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from review.models.queues import Stratum
from scoring.core import information_gain, randomness, sampling
from scoring.core.temperature import tau_for_effective_sample_size
from scoring.selectors.candidates import Candidates

DEFAULT_BASE_RATE = 0.05
_EFFECTIVE_SIZE_PER_BUDGET = 2  # METHODS: τ such that 1/Σp² is twice the budget


@dataclass(frozen=True, slots=True)
class Drawn:
    """A draw and the gains it was made from, quantised, float64 (n_candidates,)."""

    draw: sampling.Draw
    gains: npt.NDArray[np.float64]


def gains_of(candidates: Candidates, *, strategy: str, base_rate: float) -> npt.NDArray[np.float64]:
    """Expected information gain before any verdict, float64 (n,), quantised."""
    if not len(candidates):
        return np.zeros(0)
    prior = information_gain.cold_start_gain(
        candidates.score, base_rate=base_rate, weight=candidates.weight, strategy=strategy
    )
    return sampling.quantise(prior.gain)


def draw(
    candidates: Candidates,
    *,
    seed: bytes,
    stratum: Stratum | str,
    budget: int,
    tau: float | None,
    floor: float,
    strategy: str,
    base_rate: float,
) -> Drawn:
    """Draw a sample by floored order sampling over softmax(τ·gain).

    Args:
        seed: the round's; with the stratum and a record's id it gives the record's random number.
        tau: None to set it by effective sample size.
    """
    gains = gains_of(candidates, strategy=strategy, base_rate=base_rate)
    ids = [record.bytes for record in candidates.ids]
    uniforms = randomness.keyed_uniforms(ids, seed=seed, stream=str(stratum))
    if tau is None:
        tau = temperature(gains, budget)
    made = sampling.floored_order_sample(
        gains, uniforms, budget=budget, tau=tau, floor=floor, ids=ids
    )
    return Drawn(draw=made, gains=gains)


def temperature(gains: npt.NDArray[np.float64], budget: int) -> float:
    """τ at which the softmax spreads over twice the budget; 0 where nothing is to choose."""
    if gains.size == 0 or budget == 0:
        return 0.0
    return tau_for_effective_sample_size(gains, float(_EFFECTIVE_SIZE_PER_BUDGET * budget))
