"""The review loop on a pool with known truth: score, draw, look up the verdict, learn, repeat.

Nothing here sees a label before its record was drawn.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import OAS
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from scoring.core.features import FeatureMap, fit_feature_map
from scoring.core.information_gain import gain_strategy
from scoring.core.near_duplicates import discount_near_duplicates, local_multiplicity
from scoring.core.posterior import Posterior, fit_posterior, prior_posterior
from scoring.core.sampling import floored_order_sample
from scoring.core.temperature import tau_for_effective_sample_size

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

PRIOR_BASE_RATE = 0.05
PRIOR_RECORDS = 20.0
# Rounds grow with what is known, as one more refit teaches less and less.
ROUNDS_PER_DOUBLING = 20


@dataclass(frozen=True)
class Profile:
    """A queue's setting: floor ε, effective sample size in budgets, gain strategy."""

    name: str
    floor: float
    size_in_budgets: float
    strategy: str = "hybrid_v1"


DISCOVER = Profile("discover", floor=0.1, size_in_budgets=2.0)
MEASURE = Profile("measure", floor=0.3, size_in_budgets=6.0)


@dataclass(frozen=True, eq=False)
class Pool:
    """Records of one window: anomaly score and its raw sum, features, truth, multiplicity."""

    raw: FloatArray
    features: FloatArray
    violation: FloatArray
    multiplicity: FloatArray
    feature_map: FeatureMap


def unsupervised_scores(
    baseline: FloatArray, records: FloatArray, seed: int
) -> tuple[FloatArray, FloatArray]:
    """Raw ensemble scores of the baseline itself and of the records, higher is stranger.

    Mahalanobis (OAS), log mean distance to ten neighbours and isolation forest, each scaled by
    its baseline quantiles, signed log, averaged; refitted after trimming the strangest tenth of
    the unlabelled, possibly contaminated baseline twice.
    """
    mean, sd = baseline.mean(axis=0), baseline.std(axis=0)
    sd = np.where(sd > 1e-9, sd, 1.0)
    base, rows = (np.clip((part - mean) / sd, -20, 20) for part in (baseline, records))
    if base.shape[1] > 64:
        compress = PCA(min(64, len(base) - 1), svd_solver="full").fit(base)
        base, rows = compress.transform(base), compress.transform(rows)
    kept = np.ones(len(base), dtype=bool)
    for share in (0.9, 0.81, None):
        covariance = OAS().fit(base[kept])
        neighbours = NearestNeighbors(n_neighbors=min(11, int(kept.sum()))).fit(base[kept])
        forest = IsolationForest(n_estimators=100, random_state=seed).fit(base[kept])

        def terms(
            part: FloatArray,
            skip: int,
            covariance: OAS = covariance,
            neighbours: NearestNeighbors = neighbours,
            forest: IsolationForest = forest,
        ) -> FloatArray:
            distances = neighbours.kneighbors(part)[0][:, skip : skip + 10]
            return np.stack(
                [
                    np.sqrt(covariance.mahalanobis(part)),
                    np.log(distances.mean(axis=1) + 1e-9),
                    -forest.score_samples(part),
                ]
            )

        own = terms(base, 1)
        low, middle, high = np.quantile(own[:, kept], [0.16, 0.5, 0.84], axis=1)[:, :, None]
        spread = np.where(high > low, high - low, 1.0)

        def combine(
            values: FloatArray, middle: FloatArray = middle, spread: FloatArray = spread
        ) -> FloatArray:
            z = (values - middle) / spread
            return np.asarray((np.sign(z) * np.log1p(np.abs(z))).mean(axis=0))

        own_score = combine(own)
        if share is not None:
            kept = own_score <= np.quantile(own_score, share)
    return own_score, combine(terms(rows, 0))


def make_pool(baseline: FloatArray, records: FloatArray, violation: FloatArray, seed: int) -> Pool:
    """Scores, feature map (fitted on the unlabelled baseline) and multiplicities of a pool."""
    own, raw = unsupervised_scores(baseline, records, seed)
    rng = np.random.default_rng(seed)
    feature_map = fit_feature_map(
        own,
        base_rate=PRIOR_BASE_RATE,
        rng=rng,
        signals=conformal_score(own, own)[:, None],
        fingerprint=baseline,
    )
    features = feature_map.transform(
        raw, signals=conformal_score(own, raw)[:, None], fingerprint=records
    )
    n_waves = feature_map.phases.size
    multiplicity = local_multiplicity(features[:, 3 : features.shape[1] - n_waves], rng=rng)
    return Pool(raw, features, violation, multiplicity, feature_map)


def conformal_score(baseline: FloatArray, raw: FloatArray) -> FloatArray:
    """``1 - p`` with the conformal p of Bates et al. (2023), in [0, 1)."""
    below = np.searchsorted(np.sort(baseline), raw, side="left")
    return np.asarray(below / (baseline.size + 1.0))


def review(
    pool: Pool,
    profile: Profile,
    *,
    budget: int,
    seed: int,
    until: Callable[[IntArray], bool],
    on_round: Callable[[int, Posterior], None] | None = None,
) -> IntArray:
    """Review round by round until ``until(order)``; the records in the order they were served."""
    size = len(pool.raw)
    rng = np.random.default_rng(seed)
    prior = pool.feature_map.prior()
    posterior, base_rate = prior_posterior(prior), PRIOR_BASE_RATE
    unlabelled, order = np.ones(size, dtype=bool), np.empty(0, dtype=np.int64)
    rule = gain_strategy(profile.strategy)
    while unlabelled.any() and not until(order):
        count = max(budget, order.size // ROUNDS_PER_DOUBLING)
        places = np.flatnonzero(unlabelled)
        gain = rule(*posterior.moments(pool.features[places]), base_rate=base_rate)
        multiplicity = pool.multiplicity[places]
        tau = tau_for_effective_sample_size(
            gain.gain, profile.size_in_budgets * count, counts=1.0 / multiplicity
        )
        draw = floored_order_sample(
            discount_near_duplicates(gain.gain, multiplicity, tau),
            np.maximum(rng.random(places.size), 2.0**-54),
            budget=count,
            tau=tau,
            floor=profile.floor,
        )
        chosen = places[draw.selected]
        order = np.append(order, chosen)
        unlabelled[chosen] = False
        posterior = fit_posterior(pool.features[order], pool.violation[order], prior)
        expected = float(pool.violation[order].sum()) + float(gain.probability.sum())
        base_rate = (expected + PRIOR_RECORDS * PRIOR_BASE_RATE) / (size + count + PRIOR_RECORDS)
        if on_round is not None:
            on_round(order.size, posterior)
    return order
