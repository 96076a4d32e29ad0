"""From score, signals and fingerprint to the feature vector of the posterior, and its prior.

A fingerprint is compressed to principal components (what is linear) and random Fourier features
of them (what is local), so that the posterior stays small and a verdict speaks for its neighbours.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.posterior import GaussianPrior
from scoring.core.score_prior import INTERCEPT_SD, SLOPE, SLOPE_SD, ScorePrior, score_prior

FloatArray = NDArray[np.float64]

COMPONENT_SD = 0.3
FOURIER_SD = 0.3
_CLIP_SD = 8.0
_MIN_RELATIVE_SD = 0.1
_BANDWIDTH_ROWS = 400
_ROWS_PER_CHUNK = 8192


@dataclass(frozen=True, eq=False)
class FeatureMap:
    """Frozen map of records to features ``(1, z(S), signals, components, Fourier features)``.

    Attributes
    ----------
    prior_of_score : ScorePrior
        Standardises the score and centres the prior.
    signal_mean, signal_sd : float64 (s,)
        Constant signals have sd 1, so that they contribute nothing.
    signal_prior_sd : float64 (s,)
        Prior sd of the signals' coefficients.
    fingerprint_mean, fingerprint_sd : float64 (p,)
    components : float64 (p, m)
        Columns map the standardised fingerprint to components of unit variance, apart from
        directions below a tenth of the leading sd, which stay small instead of blowing up noise.
    frequencies : float64 (m, r), phases : float64 (r,)
        Random Fourier features ``√2·cos(xᵀω + φ)`` of a Gaussian kernel whose bandwidth is the
        median distance (Rahimi, Recht, *Random Features for Large-Scale Kernel Machines*, 2007).
    """

    prior_of_score: ScorePrior
    signal_mean: FloatArray
    signal_sd: FloatArray
    signal_prior_sd: FloatArray
    fingerprint_mean: FloatArray
    fingerprint_sd: FloatArray
    components: FloatArray
    frequencies: FloatArray
    phases: FloatArray

    @property
    def n_features(self) -> int:
        """Columns of `transform`."""
        return 2 + len(self.signal_mean) + int(self.components.shape[1]) + len(self.phases)

    def prior(self) -> GaussianPrior:
        """Prior of the posterior: the score speaks first, all else starts at no effect.

        Components and Fourier features share a total prior variance of 0.09 per unit, so that
        dozens of them do not drown the score before the first verdict.
        """
        sd = np.concatenate(
            [
                [INTERCEPT_SD, SLOPE_SD],
                self.signal_prior_sd,
                np.full(self.components.shape[1], COMPONENT_SD),
                np.full(self.phases.size, FOURIER_SD),
            ]
        )
        mean = np.zeros(self.n_features)
        mean[:2] = self.prior_of_score.intercept, SLOPE
        return GaussianPrior(mean=mean, precision=sd**-2.0)

    def transform(
        self,
        score: FloatArray,
        *,
        signals: FloatArray | None = None,
        fingerprint: FloatArray | None = None,
    ) -> FloatArray:
        """Features, float64 (n, n_features).

        A missing score, signal or fingerprint entry (NaN) counts as average; the columns of a
        group that was fitted must be given. ValueError on other widths.
        """
        n = len(score)
        z = np.nan_to_num(self.prior_of_score.standardise(np.asarray(score, dtype=np.float64)))
        features = np.empty((n, self.n_features))
        features[:, 0], features[:, 1] = 1.0, np.clip(z, -_CLIP_SD, _CLIP_SD)
        n_signals, n_components = self.signal_mean.size, self.components.shape[1]
        signals = _table(signals, n, n_signals, "signals")
        fingerprint = _table(fingerprint, n, self.fingerprint_mean.size, "fingerprint")
        first, second = 2 + n_signals, 2 + n_signals + n_components
        for start in range(0, n, _ROWS_PER_CHUNK):
            rows = slice(start, start + _ROWS_PER_CHUNK)
            features[rows, 2:first] = _standardise(signals[rows], self.signal_mean, self.signal_sd)
            compressed = (
                _standardise(fingerprint[rows], self.fingerprint_mean, self.fingerprint_sd)
                @ self.components
            )
            features[rows, first:second] = compressed
            features[rows, second:] = np.sqrt(2.0) * np.cos(
                compressed @ self.frequencies + self.phases
            )
        return features

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """Plain arrays for storage; `feature_map_from_arrays` reads them back."""
        prior = self.prior_of_score
        return {
            "score": np.array([prior.location, prior.scale, prior.intercept]),
            "signal_mean": self.signal_mean.copy(),
            "signal_sd": self.signal_sd.copy(),
            "signal_prior_sd": self.signal_prior_sd.copy(),
            "fingerprint_mean": self.fingerprint_mean.copy(),
            "fingerprint_sd": self.fingerprint_sd.copy(),
            "components": self.components.copy(),
            "frequencies": self.frequencies.copy(),
            "phases": self.phases.copy(),
        }


def feature_map_from_arrays(arrays: Mapping[str, NDArray[Any]]) -> FeatureMap:
    """The map stored by `FeatureMap.to_arrays`; ValueError when shapes do not fit together."""
    plain = {name: np.array(values, dtype=np.float64) for name, values in arrays.items()}
    location, scale, intercept = (float(value) for value in plain.pop("score"))
    found = FeatureMap(prior_of_score=ScorePrior(location, scale, intercept), **plain)
    p, m = found.components.shape
    s = found.signal_mean.size
    widths = (found.fingerprint_mean.size, found.fingerprint_sd.size)
    signal_widths = (found.signal_sd.size, found.signal_prior_sd.size)
    if (
        widths != (p, p)
        or signal_widths != (s, s)
        or found.frequencies.shape
        != (
            m,
            found.phases.size,
        )
    ):
        raise ValueError("arrays of the feature map do not fit together")
    return found


def fit_feature_map(
    score: FloatArray,
    *,
    base_rate: float,
    rng: np.random.Generator,
    signals: FloatArray | None = None,
    signal_prior_sd: FloatArray | None = None,
    fingerprint: FloatArray | None = None,
    n_components: int = 32,
    n_fourier: int = 96,
) -> FeatureMap:
    """Fit the map on an unlabelled reference window.

    Parameters
    ----------
    score : float64 (n,), in [0, 1] or any increasing transform
        Anomaly score of the reference records; NaN where missing.
    base_rate : float in (0, 1)
        Expected share of violations.
    rng : numpy.random.Generator
        Draws frequencies, phases and the rows of the bandwidth.
    signals : float64 (n, s), optional
    signal_prior_sd : float64 (s,), > 0, optional
        Prior sd of each signal's coefficient; 1 by default, less where signals come in dozens, as
        from `scoring.core.text_features`.
    fingerprint : float64 (n, p), optional
        Values are standardised and clipped at 8 sd; NaN counts as average.
    n_components, n_fourier : int
        At most so many components (and never more than p or n - 1) and Fourier features.

    Returns
    -------
    FeatureMap

    Raises
    ------
    ValueError
        On an empty reference or tables of another length.
    """
    if len(score) == 0:
        raise ValueError("the reference window is empty")
    prior_of_score = score_prior(score, base_rate=base_rate)
    signals = _table(signals, len(score), None, "signals")
    fingerprint = _table(fingerprint, len(score), None, "fingerprint")
    signal_mean, signal_sd = _location_scale(signals)
    if signal_prior_sd is None:
        signal_prior_sd = np.ones(signal_mean.size)
    elif signal_prior_sd.shape != signal_mean.shape or not (signal_prior_sd > 0.0).all():
        raise ValueError("signal_prior_sd must hold one positive number per signal")
    mean, sd = _location_scale(fingerprint)
    standard = _standardise(fingerprint, mean, sd)
    components = principal_components(standard, min(n_components, max(len(score) - 1, 0)))
    compressed = standard @ components
    # The kernel sees the components at their natural size: noise directions stay short.
    natural_sd = 1.0 / np.linalg.norm(components, axis=0)
    bandwidth = median_distance(compressed * natural_sd, rng)
    frequencies = rng.normal(size=(natural_sd.size, n_fourier if natural_sd.size else 0))
    frequencies *= natural_sd[:, None] / bandwidth
    return FeatureMap(
        prior_of_score=prior_of_score,
        signal_mean=signal_mean,
        signal_sd=signal_sd,
        signal_prior_sd=np.array(signal_prior_sd, dtype=np.float64),
        fingerprint_mean=mean,
        fingerprint_sd=sd,
        components=components,
        frequencies=frequencies,
        phases=rng.uniform(0.0, 2.0 * np.pi, (frequencies.shape[1],)),
    )


def _table(values: FloatArray | None, n_rows: int, n_columns: int | None, name: str) -> FloatArray:
    if values is None:
        if n_columns:
            raise ValueError(f"{name} must have {n_columns} columns")
        return np.empty((n_rows, 0))
    if values.ndim != 2 or len(values) != n_rows:
        raise ValueError(f"{name} must be a table of {n_rows} rows")
    if n_columns is not None and values.shape[1] != n_columns:
        raise ValueError(f"{name} must have {n_columns} columns")
    return values


def _location_scale(table: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Mean and sd of the finite entries of each column; constant or empty columns get sd 1."""
    finite = np.isfinite(table)
    counts = np.maximum(finite.sum(axis=0), 1)
    mean = np.where(finite, table, 0.0).sum(axis=0) / counts
    sd = np.sqrt((np.where(finite, table - mean, 0.0) ** 2).sum(axis=0) / counts)
    return mean, np.where(sd > 1e-9 * (1.0 + np.abs(mean)), sd, 1.0)


def _standardise(table: FloatArray, mean: FloatArray, sd: FloatArray) -> FloatArray:
    z = np.clip((np.asarray(table, dtype=np.float64) - mean) / sd, -_CLIP_SD, _CLIP_SD)
    return np.where(np.isnan(z), 0.0, z)


def principal_components(standard: FloatArray, n_components: int) -> FloatArray:
    """Whitening directions (p, m) from the second-moment matrix, by falling variance."""
    n_components = min(n_components, standard.shape[1])
    if n_components == 0:
        return np.empty((standard.shape[1], 0))
    variances, directions = np.linalg.eigh(standard.T @ standard / len(standard))
    leading = np.argsort(-variances, kind="stable")[:n_components]
    sd = np.sqrt(np.maximum(variances[leading], 0.0))
    axes = directions[:, leading]
    # The sign of an eigenvector is the library's whim; the largest entry is made positive.
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(n_components)])
    smallest = max(_MIN_RELATIVE_SD * float(sd[0]), 1e-9)
    return np.asarray(axes * signs / np.maximum(sd, smallest))


def median_distance(rows: FloatArray, rng: np.random.Generator) -> float:
    """Median distance between pairs of rows, or 1 when they coincide."""
    if len(rows) > _BANDWIDTH_ROWS:
        rows = rows[rng.choice(len(rows), _BANDWIDTH_ROWS, replace=False)]
    squares = (rows**2).sum(axis=1)
    distances = squares[:, None] + squares - 2.0 * rows @ rows.T
    upper = distances[np.triu_indices(len(rows), 1)]
    median = float(np.sqrt(max(np.median(upper), 0.0))) if upper.size else 0.0
    return median if median > 1e-9 else 1.0
