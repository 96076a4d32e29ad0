"""A window of real records with known truth, scored and featured without any label."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import OAS
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from benchmarks.review_sets import ReviewSet
from scoring.core.estimation.estimate import Metric
from scoring.core.features import FeatureMap, fit_feature_map
from scoring.core.near_duplicates import local_multiplicity
from scoring.core.text_features import fit_text_map

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

PRIOR_BASE_RATE = 0.05
FLAGGED_SHARE = 0.03


@dataclass(frozen=True, eq=False)
class Pool:
    """Records of one window: raw anomaly score, features, truth, multiplicity."""

    raw: FloatArray
    features: FloatArray
    violation: FloatArray
    multiplicity: FloatArray
    feature_map: FeatureMap

    def __len__(self) -> int:
        return len(self.raw)

    @cached_property
    def flagged(self) -> BoolArray:
        """What a fixed detector flags: the strangest 3 %."""
        rank = np.argsort(np.argsort(-self.raw, kind="stable"))
        return np.asarray(rank < int(FLAGGED_SHARE * len(self)))

    def truth(self, metric: Metric) -> float:
        """The rate when every label is known; NaN where its denominator is empty."""
        y, flagged = self.violation, self.flagged
        part, whole = {
            "prevalence": (y.sum(), y.size),
            "precision": (y[flagged].sum(), flagged.sum()),
            "recall": (y[flagged].sum(), y.sum()),
            "fnr": (y[~flagged].sum(), y.sum()),
            "fpr": ((1 - y)[flagged].sum(), (1 - y).sum()),
        }[metric]
        return float(part / whole) if whole else float("nan")

    def part(self, rows: slice) -> "Pool":
        """The same map over some of the records."""
        return replace(
            self,
            raw=self.raw[rows],
            features=self.features[rows],
            violation=self.violation[rows],
            multiplicity=self.multiplicity[rows],
        )


def make_pool(data: ReviewSet, baseline: IntArray, rows: IntArray, seed: int) -> Pool:
    """Scores and features of ``rows``; detectors and maps are fitted on the unlabelled baseline."""
    own, raw = unsupervised_scores(data.features[baseline], data.features[rows], seed)
    rng = np.random.default_rng(seed)
    own_signals, signals = conformal_score(own, own)[:, None], conformal_score(own, raw)[:, None]
    prior_sd = np.ones(1)
    if data.texts is not None:
        inputs, outputs = (np.array(side, dtype=object) for side in data.texts)
        text_map = fit_text_map(inputs[baseline], outputs[baseline], rng=rng)
        prior_sd = np.concatenate([prior_sd, text_map.prior_sd])
        own_signals, signals = (
            np.hstack([first, text_map.transform(inputs[part], outputs[part])])
            for first, part in ((own_signals, baseline), (signals, rows))
        )
    feature_map = fit_feature_map(
        own,
        base_rate=PRIOR_BASE_RATE,
        rng=rng,
        signals=own_signals,
        signal_prior_sd=prior_sd,
        fingerprint=data.features[baseline],
    )
    features = feature_map.transform(raw, signals=signals, fingerprint=data.features[rows])
    n_waves = feature_map.phases.size
    multiplicity = local_multiplicity(features[:, 3 : features.shape[1] - n_waves], rng=rng)
    return Pool(raw, features, data.violation[rows], multiplicity, feature_map)


def conformal_score(baseline: FloatArray, raw: FloatArray) -> FloatArray:
    """``1 - p`` with the conformal p of Bates et al. (2023), in [0, 1)."""
    below = np.searchsorted(np.sort(baseline), raw, side="left")
    return np.asarray(below / (baseline.size + 1.0))


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
