"""The moving baseline: what is normal lately, kept up to date without refits.

It feeds drift and never the score (a frozen scorer version does that), so a slow poisoning of the
baseline cannot teach the scorer to accept what it used to refuse. numpy alone: it also runs inside
the monitored model's process.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SYMMETRISE_EVERY = 100  # without it the rank-1 recursion loses all digits by 50,000 steps
REFACTOR_EVERY = 1000
CHUNK_ROWS = 256
ABSORB_ABOVE = 0.1
RIDGE = 1e-6
_Z_999 = 3.0902  # standard normal quantile at .999


class BaselineError(ValueError):
    """A baseline cannot be started, updated or restored from what was given."""


@dataclass(frozen=True, eq=False)
class ShrunkMoments:
    """mean: float64 (d,).  covariance, precision: float64 (d, d).  shrinkage: in [0, 1]."""

    mean: Floats
    covariance: Floats
    precision: Floats
    shrinkage: float


@dataclass(frozen=True)
class Absorption:
    """What a batch did to the baseline, in records.

    refused: not finite, not normal enough, or confirmed violations.  winsorised: absorbed after
    being pulled in to the edge of what is plausible.
    """

    absorbed: int
    refused: int
    winsorised: int


class MovingBaseline:
    """Exponentially weighted mean, covariance and precision of a vector.

    With z = x - μ:  μ ← μ + a z,  Σ ← (1 - a)(Σ + a z zᵀ), and by Sherman and Morrison
    P ← (P - P z (P z)ᵀ a / (1 + a zᵀ P z)) / (1 - a) stays Σ⁻¹ at a cost of O(d²).

    Anomalies do not teach it: only records with p > .1 that nobody confirmed as violations are
    absorbed, and those beyond the 99.9 % ellipsoid are pulled in to it first (Huber's
    winsorisation), so that one record moves μ by at most a·c standard deviations. Hence μ and Σ
    describe the *absorbed* records: compare windows under the same rule.

    Attributes: mean_ float64 (d,), covariance_ and precision_ float64 (d, d), n_absorbed_,
    n_refused_, n_winsorised_ counts since the start. Treat them as read-only.

    Source: West, Updating Mean and Variance Estimates, 1979 (weighted moments); Sherman &
    Morrison, Adjustment of an Inverse Matrix, 1950.
    """

    def __init__(self, mean: Floats, covariance: Floats, *, rate: float, n_start: float) -> None:
        """Start from moments that n_start records gave; see `start` for the usual way.

        mean: float64 (d,).  covariance: float64 (d, d), positive semi-definite.  rate: a in
        (0, 1), the weight of the newest record.  n_start: >= 1.

        Raises BaselineError where these do not fit.
        """
        d = mean.size
        if mean.shape != (d,) or covariance.shape != (d, d) or d == 0:
            raise BaselineError("mean (d,) and covariance (d, d) expected, d >= 1")
        if not (np.isfinite(mean).all() and np.isfinite(covariance).all()):
            raise BaselineError("moments are not finite")
        if not 0.0 < rate < 1.0 or not n_start >= 1.0:
            raise BaselineError("rate must lie in (0, 1) and n_start be at least 1")
        self.rate = float(rate)
        self.mean_ = np.array(mean, np.float64)
        self.covariance_ = (covariance + covariance.T) / 2.0
        self.precision_: Floats = np.zeros((d, d))
        self.n_absorbed_ = self.n_refused_ = self.n_winsorised_ = 0
        self._steps = 0
        self._limit2 = 0.0
        self._scale = float(np.trace(self.covariance_)) / d or 1.0
        self._sum_w2 = 1.0 / float(n_start)
        # A direction without variance shrinks by (1 - a) a step: refactor, and so put the ridge
        # back, before it has lost more than two or three e-folds.
        self._refactor_every = min(REFACTOR_EVERY, max(1, round(2.0 / rate)))
        self._refactor()

    @classmethod
    def start(cls, x: Floats, *, rate: float) -> "MovingBaseline":
        """Start from a window, float64 (n, d), n >= 2; rows that are not finite are left out.

        Its covariance is shrunk (OAS), so that fewer records than dimensions are enough to start;
        constant columns get variance 1. Raises BaselineError below two finite rows.
        """
        finite = x[np.isfinite(x).all(axis=1)] if x.ndim == 2 else x[:0]
        if len(finite) < 2 or finite.shape[1] == 0:
            raise BaselineError(f"{len(finite)} finite records, at least 2 are needed")
        mean = finite.mean(axis=0)
        centred = finite - mean
        sample = centred.T @ centred / len(finite)
        variance = np.diag(sample)
        constant = variance <= 1e-24 * np.maximum(np.abs(finite).max(axis=0), 1.0) ** 2
        sample[np.diag_indices_from(sample)] = np.where(constant, 1.0, variance)
        shrinkage = oas_shrinkage(sample, float(len(finite)))
        return cls(mean, _shrink(sample, shrinkage), rate=rate, n_start=float(len(finite)))

    @property
    def n_effective(self) -> float:
        """1/Σw² of the weights in force, which tends to (2 - a)/a."""
        return 1.0 / self._sum_w2

    def update(self, x: Floats, *, p: float = 1.0, confirmed: bool = False) -> bool:
        """Absorb one record, float64 (d,), in O(d²); True if it was absorbed.

        p: conformal p-value of the record under the frozen scorer.  confirmed: a reviewer
        confirmed a violation. Raises BaselineError for a vector of another length.
        """
        if x.shape != self.mean_.shape:
            raise BaselineError(f"{x.shape} given, {self.mean_.shape} expected")
        if confirmed or not p > ABSORB_ABOVE or not np.isfinite(x).all():
            self.n_refused_ += 1
            return False
        a = self.rate
        z = x - self.mean_
        pz = self.precision_ @ z
        d2 = float(z @ pz)
        if d2 > self._limit2:
            shrink = np.sqrt(self._limit2 / d2)
            z, pz, d2 = z * shrink, pz * shrink, self._limit2
            self.n_winsorised_ += 1
        self.mean_ = self.mean_ + a * z
        root = np.sqrt(a) * z
        self.covariance_ += np.outer(root, root)
        self.covariance_ *= 1.0 - a
        gain = np.sqrt(a / (1.0 + a * d2)) * pz
        self.precision_ -= np.outer(gain, gain)
        self.precision_ /= 1.0 - a
        self._count(1)
        return True

    def update_batch(
        self,
        x: Floats,
        *,
        p: Floats | None = None,
        confirmed: NDArray[np.bool_] | None = None,
    ) -> Absorption:
        """Absorb records in order, float64 (n, d), by matrix products of CHUNK_ROWS rows.

        Equal to n calls of `update` to rounding, but that a chunk is winsorised against the
        baseline at its start. p: float64 (n,).  confirmed: bool (n,).

        Raises BaselineError where shapes do not fit; then nothing is absorbed.
        """
        n = len(x)
        if x.ndim != 2 or x.shape[1] != self.mean_.size:
            raise BaselineError(f"{x.shape} given, (n, {self.mean_.size}) expected")
        keep = np.isfinite(x).all(axis=1)
        for name, column in (("p", p), ("confirmed", confirmed)):
            if column is not None and column.shape != (n,):
                raise BaselineError(f"{name}: shape ({n},) expected")
        if p is not None:
            keep &= p > ABSORB_ABOVE
        if confirmed is not None:
            keep &= ~confirmed
        rows = x[keep]
        before = self.n_winsorised_
        for start in range(0, len(rows), CHUNK_ROWS):
            self._absorb_chunk(rows[start : start + CHUNK_ROWS])
        self.n_refused_ += n - len(rows)
        return Absorption(len(rows), n - len(rows), self.n_winsorised_ - before)

    def distances(self, x: Floats) -> Floats:
        """Mahalanobis distance √((x - μ)ᵀ P (x - μ)): float64 (n, d) -> (n,), >= 0."""
        z = x - self.mean_
        squared: Floats = np.einsum("ij,ij->i", z @ self.precision_, z)
        return np.sqrt(np.maximum(squared, 0.0))

    def shrunk(self) -> ShrunkMoments:
        """The moments with OAS shrinkage at n = n_effective; O(d³), for where n is not >> d."""
        shrinkage = oas_shrinkage(self.covariance_, self.n_effective)
        covariance = _shrink(self.covariance_, shrinkage)
        return ShrunkMoments(self.mean_.copy(), covariance, _inverse(covariance), shrinkage)

    def to_arrays(self) -> dict[str, Floats]:
        """Checkpoint as plain float64 arrays; `from_arrays` continues bit for bit."""
        scalars = [self.rate, self._scale, self._sum_w2, self._limit2, self._steps]
        counts = [self.n_absorbed_, self.n_refused_, self.n_winsorised_]
        return {
            "mean": self.mean_.copy(),
            "covariance": self.covariance_.copy(),
            "precision": self.precision_.copy(),
            "scalars": np.array(scalars + counts, np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "MovingBaseline":
        """Restore a checkpoint; raises BaselineError where it is not one."""
        try:
            mean, covariance, precision, scalars = (
                np.array(arrays[name], np.float64)
                for name in ("mean", "covariance", "precision", "scalars")
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BaselineError(f"not a checkpoint: {error}") from error
        fits = scalars.shape == (8,) and precision.shape == covariance.shape
        if not fits or not (np.isfinite(precision).all() and np.isfinite(scalars).all()):
            raise BaselineError("not a checkpoint: shapes or values do not fit")
        if not 0.0 < scalars[2] <= 1.0 or not scalars[3] > 0 or (scalars[4:] < 0).any():
            raise BaselineError("not a checkpoint: weights or counts out of range")
        baseline = cls(mean, covariance, rate=float(scalars[0]), n_start=1.0 / scalars[2])
        baseline.covariance_ = covariance  # the constructor may have put a ridge on them
        baseline.precision_ = precision
        baseline._scale, baseline._sum_w2, baseline._limit2 = map(float, scalars[1:4])
        baseline._steps = int(scalars[4])
        baseline.n_absorbed_, baseline.n_refused_, baseline.n_winsorised_ = map(int, scalars[5:])
        return baseline

    def _count(self, n: int) -> None:
        keep = (1.0 - self.rate) ** (2 * n)
        # Σ_{i<n} a² (1-a)^{2i} in closed form
        self._sum_w2 = keep * self._sum_w2 + (1.0 - keep) * self.rate / (2.0 - self.rate)
        self.n_absorbed_ += n
        self._steps += n
        if self._steps >= self._refactor_every:
            self._refactor()
        elif self._steps % SYMMETRISE_EVERY == 0:
            self.precision_ = (self.precision_ + self.precision_.T) / 2.0

    def _absorb_chunk(self, x: Floats) -> None:
        n, a, mean = len(x), self.rate, self.mean_
        z = x - mean
        distance = self.distances(x)
        limit = np.sqrt(self._limit2)
        far = distance > limit
        z[far] *= (limit / distance[far])[:, None]
        lag = np.subtract.outer(np.arange(n), np.arange(n))
        weights = np.where(lag > 0, a * (1.0 - a) ** np.maximum(lag - 1, 0), 0.0)
        # offset of the mean before each row: Σ_{j<i} a (1-a)^{i-1-j} z_j
        innovation = z - weights @ z
        scaled = np.sqrt(a * (1.0 - a) ** np.arange(n, 0, -1.0))[:, None] * innovation
        self.covariance_ = (1.0 - a) ** n * self.covariance_ + scaled.T @ scaled
        self.mean_ = mean + z.T @ (a * (1.0 - a) ** np.arange(n - 1, -1, -1.0))
        self.n_winsorised_ += int(far.sum())
        self._steps = self._refactor_every
        self._count(n)

    def _refactor(self) -> None:
        d = self.mean_.size
        self.covariance_ = (self.covariance_ + self.covariance_.T) / 2.0
        level = max(float(np.trace(self.covariance_)) / d, self._scale)
        try:
            np.linalg.cholesky(self.covariance_)
            precision = _inverse(self.covariance_)
            # 1/tr(P) <= the least eigenvalue: a bound without an eigendecomposition
            needs_ridge = not 0.0 < np.trace(precision) <= 1.0 / (RIDGE * level)
        except np.linalg.LinAlgError:
            needs_ridge = True
        if needs_ridge:
            self.covariance_.flat[:: d + 1] += RIDGE * level
            precision = _inverse(self.covariance_)
        self.precision_ = precision
        self._limit2 = _ellipsoid(d, self.n_effective)
        self._steps = 0


def oas_shrinkage(covariance: Floats, n: float) -> float:
    """Weight in [0, 1] of the target (tr Σ/d)·I for a covariance from n records.

    ρ = min(1, ((1 - 2/d) tr Σ² + tr² Σ) / ((n + 1 - 2/d)(tr Σ² - tr² Σ/d)))

    Source: Chen, Wiesel, Eldar, Hero, Shrinkage Algorithms for MMSE Covariance Estimation, 2010,
    equation 23 (scikit-learn's `oas` leaves the terms in 2/d out).
    """
    d = len(covariance)
    trace, trace2 = float(np.trace(covariance)), float(np.sum(covariance**2))
    spread = (n + 1.0 - 2.0 / d) * (trace2 - trace**2 / d)
    if spread <= 0.0:  # already a multiple of the identity
        return 1.0
    return min(1.0, ((1.0 - 2.0 / d) * trace2 + trace**2) / spread)


def _shrink(covariance: Floats, shrinkage: float) -> Floats:
    d = len(covariance)
    shrunk = (1.0 - shrinkage) * covariance
    shrunk.flat[:: d + 1] += shrinkage * np.trace(covariance) / d
    return shrunk


def _inverse(covariance: Floats) -> Floats:
    inverse = np.linalg.inv(covariance)
    return np.asarray((inverse + inverse.T) / 2.0)


def _ellipsoid(d: int, n: float) -> float:
    """Squared Mahalanobis distance that 99.9 % of normal records stay below.

    χ²_d by Wilson and Hilferty, widened by n/(n - d - 2), the mean inflation of the distance of a
    *new* record when Σ is estimated from n (at most fivefold, for n near or below d).
    """
    spread = 2.0 / (9.0 * d)
    chi2 = d * (1.0 - spread + _Z_999 * np.sqrt(spread)) ** 3
    return float(chi2) * n / max(n - d - 2.0, n / 5.0)
