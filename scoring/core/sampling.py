"""Floored order sampling: k records without replacement, each with an exact, positive probability.

Softmax draws over information gain find what teaches most; the hazard floor keeps the whole pool
estimable. The draw depends on (gain, uniform, id) of each record only: never on order, chunking
or the machine's BLAS.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scoring.core.log_sum import ExactLogSum

FloatArray = NDArray[np.float64]

GAIN_GRID = 2.0**-30
_CHUNK = 1 << 15  # the temporaries stay in the cache
_MAX_EXPONENT = 50.0  # exp(50) is a certain inclusion to the last bit, and far from overflow
_ENTRY = np.dtype(
    [
        ("key", "f8"),
        ("exponential", "f8"),
        ("log_weight", "f8"),
        ("hazard", "f8"),
        ("index", "i8"),
        ("id_high", "u8"),
        ("id_low", "u8"),
        ("imputed", "?"),
    ]
)


@dataclass(frozen=True)
class Draw:
    """One round's sample in serving order (descending key), with all that re-derives it.

    Attributes
    ----------
    selected : int64 (k,)
        Positions among the candidates, in the order they were given.
    keys : float64 (k,)
        Order keys; ``+inf`` for floor hits, which come first, smaller exponential first.
    exponentials : float64 (k,)
        ``E = -log u`` of the selected.
    log_softmax : float64 (k,)
        ``φ = τI - logsumexp(τI)``, nats.
    floor_hazards : float64 (k,)
        ``b`` of the selected; all equal ``floor_hazard`` unless shares were given.
    inclusion_probabilities : float64 (k,)
        ``q`` in (0, 1], conditional on the threshold (rank conditioning).
    imputed : bool (k,)
        The gain was not finite and was replaced by ``imputed_gain``.
    threshold : float
        ``κ``, the (k+1)-th key; ``-inf`` when every candidate is taken, ``+inf`` when the floor
        alone overfilled the budget (``floor_overflow``).
    threshold_exponential : float
        ``E`` of the (k+1)-th candidate, NaN when there is none.
    log_normalizer : float
        ``logsumexp(τI)`` over all candidates; NaN without candidates.
    tau, floor, floor_hazard, budget, n_candidates, imputed_gain
        The design as it was asked for.
    n_imputed : int
        Imputed gains among all candidates.
    """

    selected: NDArray[np.int64]
    keys: FloatArray
    exponentials: FloatArray
    log_softmax: FloatArray
    floor_hazards: FloatArray
    inclusion_probabilities: FloatArray
    imputed: NDArray[np.bool_]
    threshold: float
    threshold_exponential: float
    log_normalizer: float
    tau: float
    floor: float
    floor_hazard: float
    budget: int
    n_candidates: int
    n_imputed: int
    imputed_gain: float

    @property
    def softmax_probabilities(self) -> FloatArray:
        """Probability of each selected record to be a single softmax draw."""
        return np.exp(self.log_softmax)

    @property
    def floor_overflow(self) -> bool:
        """More floor hits than budget: q may then lie below the nominal floor εk/N."""
        return self.threshold == math.inf


def floored_order_sample(
    gains: FloatArray,
    uniforms: FloatArray,
    *,
    budget: int,
    tau: float,
    floor: float,
    floor_share: FloatArray | None = None,
    ids: Sequence[bytes] | None = None,
) -> Draw:
    """Draw ``min(budget, N)`` candidates by softmax(τ·gain) over a hazard floor.

    Parameters
    ----------
    gains : float64 (N,)
        Expected information gain. Quantised by `quantise`; a gain that is not finite becomes the
        pool median and is flagged, because a record that cannot be drawn breaks every estimate.
    uniforms : float64 (N,), in (0, 1)
        One number per record, from `keyed_uniforms`.
    budget : int >= 0
        Number of records to draw, ``k``.
    tau : float >= 0
        Inverse temperature per unit of gain; see `tau_for_effective_sample_size`.
    floor : float in [0, 1]
        ``ε``, the share of the budget that is spread evenly: every ``q >= εk/N``.
    floor_share : float64 (N,), > 0, optional
        Multiplies the floor ``εk/N`` of a candidate, e.g. for a stratum with a floor of its own;
        a product of 1 or more makes the record certain while the budget lasts.
    ids : sequence of bytes, length N, optional
        16-byte record ids. They only settle ties of both key and uniform; without ids the
        position does, and such a tie would depend on the order.

    Returns
    -------
    Draw

    Raises
    ------
    ValueError
        On mismatched lengths or a parameter outside its range.

    Notes
    -----
    With ``b = -log(1 - εk/N)`` and ``E = -log u`` the key is ``φ - log(E - b)`` if ``E > b`` and
    ``+inf`` otherwise, and given the (k+1)-th key κ, ``q = 1 - exp(-b - exp(φ - κ))``. With ε = 0
    this is Gumbel top-k (Kool, van Hoof, Welling, *Stochastic Beams and Where to Find Them*,
    ICML 2019); conditioning on κ is rank conditioning (Cohen, Kaplan, *Sketch-Based Estimation of
    Subpopulation-Weight*, 2008), which makes ``Σ y/q`` unbiased.
    """
    sampler = OrderSampler(
        n_candidates=len(gains),
        budget=budget,
        tau=tau,
        floor=floor,
        imputed_gain=median_gain(gains),
    )
    sampler.push(gains, uniforms, floor_share=floor_share, ids=ids)
    return sampler.close()


class OrderSampler:
    """The same draw from chunks, in O(budget) memory: push every candidate once, then close.

    ``N`` must be known beforehand since the floor depends on it; so must τ and the gain that
    stands in for missing ones. The order of the keys needs no normaliser, so one pass suffices.

    Parameters
    ----------
    n_candidates : int >= 0
        Size of the pool; `close` checks it.
    budget, tau, floor
        As in `floored_order_sample`.
    imputed_gain : float, default 0
        Stands in for gains that are not finite; `floored_order_sample` uses the pool median.
    """

    def __init__(
        self,
        *,
        n_candidates: int,
        budget: int,
        tau: float,
        floor: float,
        imputed_gain: float = 0.0,
    ) -> None:
        if n_candidates < 0 or budget < 0:
            raise ValueError("n_candidates and budget must not be negative")
        if not (math.isfinite(tau) and tau >= 0.0):
            raise ValueError("tau must be finite and not negative")
        if not 0.0 <= floor <= 1.0:
            raise ValueError("floor must lie in [0, 1]")
        if not math.isfinite(imputed_gain):
            raise ValueError("imputed_gain must be finite")
        self._n_candidates = n_candidates
        self._budget = budget
        self._tau = tau
        self._floor = floor
        self._imputed_gain = imputed_gain
        size = max(n_candidates, 1)
        self._floor_probability = floor * min(budget, n_candidates) / size
        self._log_sum = ExactLogSum()
        self._kept = np.empty(0, dtype=_ENTRY)
        self._n_pushed = 0
        self._n_imputed = 0

    def push(
        self,
        gains: FloatArray,
        uniforms: FloatArray,
        *,
        floor_share: FloatArray | None = None,
        ids: Sequence[bytes] | None = None,
    ) -> None:
        """Offer the next candidates; arguments as in `floored_order_sample`."""
        for values in (uniforms, floor_share, ids):
            if values is not None and len(values) != len(gains):
                raise ValueError("gains, uniforms, floor_share and ids must have equal lengths")
        for start in range(0, len(gains), _CHUNK):
            part = slice(start, start + _CHUNK)
            self._push_chunk(
                np.asarray(gains[part], dtype=np.float64),
                np.asarray(uniforms[part], dtype=np.float64),
                None if floor_share is None else np.asarray(floor_share[part], dtype=np.float64),
                None if ids is None else ids[part],
            )

    def close(self) -> Draw:
        """Settle the threshold and the probabilities; ValueError if candidates are missing."""
        if self._n_pushed != self._n_candidates:
            raise ValueError(f"{self._n_pushed} of {self._n_candidates} candidates were pushed")
        self._compact()
        chosen, rest = self._kept[: self._budget], self._kept[self._budget :]
        log_normalizer = self._log_sum.value() if self._n_candidates else math.nan
        log_softmax = chosen["log_weight"] - log_normalizer
        threshold, threshold_exponential = -math.inf, math.nan
        if rest.size:
            threshold = float(rest["key"][0] - log_normalizer)
            threshold_exponential = float(rest["exponential"][0])
        hazards = chosen["hazard"].copy()
        return Draw(
            selected=chosen["index"].copy(),
            keys=chosen["key"] - log_normalizer,
            exponentials=chosen["exponential"].copy(),
            log_softmax=log_softmax,
            floor_hazards=hazards,
            inclusion_probabilities=inclusion_probabilities(
                log_softmax, hazards, threshold, threshold_exponential
            ),
            imputed=chosen["imputed"].copy(),
            threshold=threshold,
            threshold_exponential=threshold_exponential,
            log_normalizer=log_normalizer,
            tau=self._tau,
            floor=self._floor,
            floor_hazard=float(_hazards(np.array([self._floor_probability]))[0]),
            budget=self._budget,
            n_candidates=self._n_candidates,
            n_imputed=self._n_imputed,
            imputed_gain=self._imputed_gain,
        )

    def _push_chunk(
        self,
        gains: FloatArray,
        uniforms: FloatArray,
        floor_share: FloatArray | None,
        ids: Sequence[bytes] | None,
    ) -> None:
        if not ((uniforms > 0.0) & (uniforms < 1.0)).all():
            raise ValueError("uniforms must lie strictly between 0 and 1")
        missing = ~np.isfinite(gains)
        if missing.any():
            gains = np.where(missing, self._imputed_gain, gains)
        log_weights = self._tau * quantise(gains)
        self._log_sum.add(log_weights)
        exponentials = -np.log(uniforms)
        hazards = self._chunk_hazards(gains.size, floor_share)
        with np.errstate(divide="ignore"):  # log 0 is the +inf key of a floor hit
            keys = log_weights - np.log(np.maximum(exponentials - hazards, 0.0))
        places = np.flatnonzero(keys >= self._cut(keys))
        entries = np.empty(places.size, dtype=_ENTRY)
        entries["key"] = keys[places]
        entries["exponential"] = exponentials[places]
        entries["log_weight"] = log_weights[places]
        entries["hazard"] = hazards[places]
        entries["index"] = places + self._n_pushed
        entries["imputed"] = missing[places]
        entries["id_high"], entries["id_low"] = _id_columns(places, self._n_pushed, ids)
        self._kept = np.concatenate([self._kept, entries])
        self._n_pushed += gains.size
        self._n_imputed += int(missing.sum())
        self._compact()

    def _chunk_hazards(self, size: int, floor_share: FloatArray | None) -> FloatArray:
        if floor_share is None:
            return np.broadcast_to(_hazards(np.array([self._floor_probability])), size)
        # A share of 0 would leave the record no chance at all in a round where the floor of the
        # others fills the budget, and no weight could make up for that.
        if not (np.isfinite(floor_share) & (floor_share > 0.0)).all():
            raise ValueError("floor_share must be finite and positive")
        return _hazards(self._floor_probability * floor_share)

    def _cut(self, keys: FloatArray) -> float:
        """The least key that can still be among the k+1 best; ties with it are kept."""
        needed = self._budget + 1
        if self._kept.size >= needed:
            return float(self._kept["key"][-1])
        if keys.size > needed:
            return float(np.partition(keys, keys.size - needed)[keys.size - needed])
        return -math.inf

    def _compact(self) -> None:
        kept = self._kept
        order = np.lexsort((kept["id_low"], kept["id_high"], kept["exponential"], -kept["key"]))
        self._kept = kept[order[: self._budget + 1]]


def inclusion_probabilities(
    log_softmax: FloatArray,
    floor_hazards: FloatArray,
    threshold: float,
    threshold_exponential: float,
) -> FloatArray:
    """``q`` given the threshold: ``1 - exp(-b - exp(φ - κ))``, or by the floor alone if κ = +inf.

    At κ = +inf the sample is cut inside the floor hits, which rank by E: a record is in when its E
    is below both its hazard and the first E left out, ``q = 1 - exp(-min(b, E_(k+1)))``.
    """
    if threshold == math.inf:
        hazards = np.minimum(floor_hazards, threshold_exponential)
    else:
        hazards = floor_hazards + np.exp(np.minimum(log_softmax - threshold, _MAX_EXPONENT))
    return np.asarray(-np.expm1(-hazards))


def prefix_inclusion(draw: Draw, n_finished: int) -> FloatArray:
    """Exact ``q`` of the first ``n_finished`` records in serving order, as a draw of their own.

    A finished prefix is a sample of size k' whose threshold is the (k'+1)-th key, so an unspent
    budget biases nothing. Returns float64 (n_finished,); ValueError outside 0..k.
    """
    if not 0 <= n_finished <= draw.selected.size:
        raise ValueError("n_finished must lie between 0 and the number of selected records")
    if n_finished == draw.selected.size:
        return draw.inclusion_probabilities.copy()
    return inclusion_probabilities(
        draw.log_softmax[:n_finished],
        draw.floor_hazards[:n_finished],
        float(draw.keys[n_finished]),
        float(draw.exponentials[n_finished]),
    )


def quantise(gains: FloatArray) -> FloatArray:
    """Round to the grid of 2⁻³⁰ (about 1e-9 nats), ties to even; NaN and infinities stay.

    Libraries of linear algebra differ in the last bits; gains that differ by less than half a grid
    step almost always land on one point, so that another machine re-derives the same keys.
    """
    scaled = np.asarray(gains, dtype=np.float64) * (1.0 / GAIN_GRID)
    return np.asarray(np.multiply(np.rint(scaled, out=scaled), GAIN_GRID, out=scaled))


def median_gain(gains: FloatArray) -> float:
    """Median of the finite gains, quantised; 0 when there are none."""
    finite = gains[np.isfinite(gains)]
    return float(quantise(np.array([np.median(finite)]))[0]) if finite.size else 0.0


def _hazards(floor_probabilities: FloatArray) -> FloatArray:
    hazards = np.full(floor_probabilities.size, np.inf)
    uncertain = floor_probabilities < 1.0
    hazards[uncertain] = -np.log1p(-floor_probabilities[uncertain])
    return hazards


def _id_columns(
    places: NDArray[np.int64], offset: int, ids: Sequence[bytes] | None
) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Ids of the kept places as two ordered integers; the position stands in without ids."""
    if ids is None:
        positions = (places + offset).astype(np.uint64)
        return np.zeros_like(positions), positions
    words = np.frombuffer(b"".join(ids[place] for place in places), dtype=">u8").reshape(-1, 2)
    return words[:, 0].astype(np.uint64), words[:, 1].astype(np.uint64)
