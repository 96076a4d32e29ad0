"""A sequential detector with a guaranteed average run length, record by record, O(1) memory.

One stream of numbers in [0, 1] (a conformal p-value, a rank, a verdict) is watched for its mean
leaving a band. No window and no history is kept, and looking after each record costs nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.drift.contract import DOWN, UP, DriftError, Floats

_BETS = np.array([0.02, 0.05, 0.1, 0.2, 0.4, 0.8])


@dataclass(frozen=True, slots=True)
class StreamAlarm:
    """The mean left its band.

    at: position of the record that raised the alarm (0 is the first).  since: position of the
    first record after the estimated change.  direction: up or down.  mean_since: mean from there.
    """

    at: int
    since: int
    direction: str
    mean_since: float


class MeanShiftDetector:
    """Shiryaev-Roberts e-detector of an upward or downward shift of a bounded mean.

    For each bet λ, e_t = 1 + λ(x_t - high)/high' upwards (and its mirror image downwards) has
    conditional mean at most 1 while E[x_t | past] lies in [low, high]; M_t = e_t·(M_{t-1} + 1).
    The average of M over bets and sides minus t is then a supermartingale, so stopping when it
    reaches A takes at least A records on average: **ARL >= A**, for any dependence, any
    distribution, any look. The band absorbs what is normal (the time of day, say).

    Source: Shin, Ramdas, Rinaldo, E-detectors: A Nonparametric Framework for Sequential Change
    Detection, 2023 (Definition 2.4); Page, Continuous Inspection Schemes, 1954 (where it began).
    """

    def __init__(self, *, low: float, high: float, average_run_length: float) -> None:
        """Watch for a mean outside [low, high], 0 < low <= high < 1.

        average_run_length: A > 1, records between false alarms on average, at least.
        """
        if not 0.0 < low <= high < 1.0 or not average_run_length > 1.0:
            raise DriftError("0 < low <= high < 1 and average_run_length > 1 expected")
        self.low, self.high = float(low), float(high)
        self.average_run_length = float(average_run_length)
        self.n_seen_ = 0
        self._roberts = np.zeros((2, _BETS.size))
        self._page = np.zeros((2, _BETS.size))  # log CUSUM, whose last zero dates the change
        self._since = np.zeros((2, _BETS.size), np.int64)
        self._sums = np.zeros((2, _BETS.size))

    def update(self, x: float) -> StreamAlarm | None:
        """Take one record's value in [0, 1]; the alarm if it completes one, and start anew then.

        Raises DriftError for a value outside [0, 1].
        """
        if not 0.0 <= x <= 1.0:
            raise DriftError(f"{x} is outside [0, 1]")
        # x - high >= -high, and low - x >= low - 1: so e stays positive for bets below 1
        gains = np.array([(x - self.high) / self.high, (self.low - x) / (1.0 - self.low)])
        e = 1.0 + np.outer(gains, _BETS)
        self._roberts = e * (self._roberts + 1.0)
        fresh = self._page <= 0.0
        self._since[fresh] = self.n_seen_
        self._sums = np.where(fresh, 0.0, self._sums) + x
        self._page = np.maximum(self._page, 0.0) + np.log(e)
        self.n_seen_ += 1
        if float(self._roberts.mean()) < self.average_run_length:
            return None
        side, bet = np.unravel_index(int(np.argmax(self._page)), self._page.shape)
        since = int(self._since[side, bet])
        length = self.n_seen_ - since
        alarm = StreamAlarm(
            at=self.n_seen_ - 1,
            since=since,
            direction=(UP, DOWN)[int(side)],
            mean_since=float(self._sums[side, bet]) / length,
        )
        self._roberts[:], self._page[:] = 0.0, 0.0
        return alarm

    def to_arrays(self) -> dict[str, Floats]:
        """Checkpoint as plain float64 arrays; `from_arrays` continues bit for bit."""
        return {
            "settings": np.array([self.low, self.high, self.average_run_length, self.n_seen_]),
            "state": np.stack([self._roberts, self._page, self._since, self._sums]),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "MeanShiftDetector":
        """Restore a checkpoint; raises DriftError where it is not one."""
        try:
            settings, state = (np.array(arrays[name], np.float64) for name in ("settings", "state"))
        except (KeyError, TypeError, ValueError) as error:
            raise DriftError(f"not a checkpoint: {error}") from error
        if settings.shape != (4,) or state.shape != (4, 2, _BETS.size):
            raise DriftError("not a checkpoint: shapes do not fit")
        if not np.isfinite(state).all() or (state[[0, 2, 3]] < 0).any() or not settings[3] >= 0:
            raise DriftError("not a checkpoint: values out of range")
        low, high, run_length = (float(value) for value in settings[:3])
        detector = cls(low=low, high=high, average_run_length=run_length)
        detector.n_seen_ = int(settings[3])
        detector._roberts, detector._page, detector._sums = state[0], state[1], state[3]
        detector._since = state[2].astype(np.int64)
        return detector
