"""Near-duplicates share one record's chance, so that copies do not fill a round.

The discount enters the gain before the draw. Inclusion probabilities therefore stay exact, and
the floor still sees every copy, as an estimate of the whole stream needs.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scoring.core.features import median_distance

FloatArray = NDArray[np.float64]

_ROWS_PER_CHUNK = 8192
# At this width in radii, eight projections agree on a pair one radius apart half of the time.
_WIDTH_IN_RADII = 9.6
_N_PROJECTIONS = 8


def local_multiplicity(
    features: FloatArray,
    *,
    rng: np.random.Generator,
    relative_radius: float = 0.02,
    n_tables: int = 16,
) -> FloatArray:
    """How many candidates each record practically equals, itself included.

    Parameters
    ----------
    features : float64 (n, d)
        E.g. compressed fingerprints. A row with NaN counts as unlike any other.
    rng : numpy.random.Generator
        Draws the projections; the result depends on their values, not on the order of rows.
    relative_radius : float > 0
        Distance at which a pair counts half, as a share of the pool's median distance.
    n_tables : int >= 1
        Hash tables averaged; the error falls with the root of their number.

    Returns
    -------
    float64 (n,), >= 1
        ``m_i = 1/T · Σ_t |bucket_t(i)|``, whose expectation is ``Σ_j k(‖x_i - x_j‖)`` for the
        collision kernel k of p-stable hashing: 1 at distance 0, one half at the radius, and
        below 1e-3 from a sixth of the median distance on.

    Raises
    ------
    ValueError
        On a radius or number of tables that is not positive.

    References
    ----------
    Datar, Immorlica, Indyk, Mirrokni, *Locality-Sensitive Hashing Scheme Based on p-Stable
    Distributions*, 2004; Coleman, Shrivastava, *Sub-linear RACE Sketches for Approximate Kernel
    Density Estimation on Streaming Data*, 2020.
    """
    if relative_radius <= 0.0 or n_tables < 1:
        raise ValueError("relative_radius and n_tables must be positive")
    multiplicity = np.ones(len(features))
    usable = np.flatnonzero(np.isfinite(features).all(axis=1))
    if usable.size < 2 or features.shape[1] == 0:
        return multiplicity
    rows = np.asarray(features[usable], dtype=np.float64)
    # The scale must not follow the order of the rows, and a sorted sample does not.
    scale_rows = rows[np.lexsort(rows.T)]
    width = _WIDTH_IN_RADII * relative_radius * median_distance(scale_rows, rng)
    total = np.zeros(usable.size)
    for _ in range(n_tables):
        buckets = _buckets(rows, width, rng)
        _, inverse, counts = np.unique(buckets, return_inverse=True, return_counts=True)
        total += counts[inverse]
    multiplicity[usable] = total / n_tables
    return multiplicity


def discount_near_duplicates(
    gains: FloatArray,
    multiplicity: FloatArray,
    tau: float,
    *,
    least_gain: float = -math.inf,
) -> FloatArray:
    """Gains that give m near-equal records together the softmax weight of one.

    ``I' = I - log(m)/τ`` divides ``exp(τI)`` by m. Solve τ first, with ``counts = 1/m`` in
    `tau_for_effective_sample_size`, so that the effective size counts distinct records. At τ = 0
    the draw is uniform and the gains come back unchanged.

    Parameters
    ----------
    gains : float64 (n,)
    multiplicity : float64 (n,), >= 1
        From `local_multiplicity`.
    tau : float >= 0
    least_gain : float
        No discount goes below it. With the least gain of the pool, the share of the softmax that
        every record is sure of stays what it was, and so do the limits that rest on it
        (`scoring.core.estimation.rounds.floor_testimony`).

    Returns
    -------
    float64 (n,)
        May be negative; only differences matter to the sampler.

    Raises
    ------
    ValueError
        On a multiplicity below 1 or a negative τ.
    """
    if not (multiplicity >= 1.0).all() or not (math.isfinite(tau) and tau >= 0.0):
        raise ValueError("multiplicity must be at least 1 and tau finite and not negative")
    if tau == 0.0:
        return gains.copy()
    return np.maximum(gains - np.log(multiplicity) / tau, np.minimum(gains, least_gain))


def _buckets(rows: FloatArray, width: float, rng: np.random.Generator) -> NDArray[np.uint64]:
    """One bucket per row: eight quantised projections mixed to 64 bits."""
    directions = rng.normal(size=(rows.shape[1], _N_PROJECTIONS)) / width
    offsets = rng.random(_N_PROJECTIONS)
    multipliers = rng.integers(0, 2**63, _N_PROJECTIONS, dtype=np.uint64) * np.uint64(2)
    multipliers += np.uint64(1)
    buckets = np.empty(len(rows), dtype=np.uint64)
    for start in range(0, len(rows), _ROWS_PER_CHUNK):
        part = slice(start, start + _ROWS_PER_CHUNK)
        cells = np.floor(rows[part] @ directions + offsets).astype(np.int64).view(np.uint64)
        mixed = np.zeros(len(cells), dtype=np.uint64)
        for column in range(_N_PROJECTIONS):
            mixed = (mixed ^ cells[:, column]) * multipliers[column]
            mixed ^= mixed >> np.uint64(29)
        buckets[part] = mixed
    return buckets
