"""What goes into a drift comparison and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGNAL, SCORE, FINGERPRINT, DISTANCE = "signal", "score", "fingerprint", "distance"
CENTRE_DISTANCE = "distance from the centre"  # the second test of fingerprints
MISSING, MIX, VERDICT_RATE = "missing", "mix", "verdict_rate"
UP, DOWN, WIDER, NARROWER, MOVED = "up", "down", "wider", "narrower", "moved"


class DriftError(ValueError):
    """Arrays or settings of a drift comparison do not fit."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Sample:
    """Records of one model, column by column.

    times: float64 (n,), seconds since the epoch, UTC.
    signals: name -> float64 (n,), NaN where a record lacks the signal.
    score: float64 (n,), or None.
    distances: name -> float64 (n,), how far each record lies from something fixed beforehand, such
        as a moving baseline that has absorbed neither sample; NaN where that cannot be said.
    fingerprints: float (n, d), a row with a value that is not finite counts as lacking; or None.
    segments: field -> array (n,) of text, the context values to look into one by one.

    Raises DriftError where shapes do not fit.
    """

    times: Floats
    signals: Mapping[str, Floats] = field(default_factory=dict)
    score: Floats | None = None
    distances: Mapping[str, Floats] = field(default_factory=dict)
    fingerprints: NDArray[np.floating[Any]] | None = None
    segments: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        n = len(self.times)
        columns = {"times": self.times, **self.signals, **self.distances, **self.segments}
        if self.score is not None:
            columns["score"] = self.score
        for name, column in columns.items():
            if column.shape != (n,):
                raise DriftError(f"{name!r}: shape ({n},) expected, {column.shape} given")
        if not np.isfinite(self.times).all():
            raise DriftError("a time is not finite")
        prints = self.fingerprints
        if prints is not None and (prints.ndim != 2 or len(prints) != n):
            raise DriftError(f"fingerprints: shape ({n}, d) expected, {prints.shape} given")

    def __len__(self) -> int:
        return len(self.times)

    def take(self, rows: NDArray[np.intp]) -> "Sample":
        """The records at the given positions, in that order."""
        return Sample(
            times=self.times[rows],
            signals={name: values[rows] for name, values in self.signals.items()},
            score=None if self.score is None else self.score[rows],
            distances={name: values[rows] for name, values in self.distances.items()},
            fingerprints=None if self.fingerprints is None else self.fingerprints[rows],
            segments={name: values[rows] for name, values in self.segments.items()},
        )


@dataclass(frozen=True, slots=True)
class Segment:
    """Records whose context field has this value."""

    field: str
    value: str


@dataclass(frozen=True, slots=True)
class Effect:
    """How far something moved, and which way.

    size: signed where there is an up and a down.  unit: what `size` counts.
    before, after: the reference's and the window's own figure in the unit of the data.
    """

    size: float
    unit: str
    direction: str
    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Since:
    """When it began: seconds since the epoch (UTC), with a 90 % bootstrap range."""

    at: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class DriftTest:
    """One test of a report. p: raw p-value.  p_adjusted: family-wise, compare it with alpha."""

    kind: str
    name: str
    segment: Segment | None
    statistic: float
    p: float
    p_adjusted: float
    n_reference: int
    n_window: int


@dataclass(frozen=True, slots=True)
class DriftAlarm:
    """One test that fired. since: None where there is nothing to order, as for verdict rates."""

    test: DriftTest
    effect: Effect
    since: Since | None

    def sentence(self) -> str:
        """The alarm in one plain line."""
        test, effect = self.test, self.effect
        where = f" where {test.segment.field} is {test.segment.value}" if test.segment else ""
        return (
            f"{test.kind} {test.name}{where}: {effect.direction}, "
            f"{effect.before:.4g} -> {effect.after:.4g} ({effect.size:+.2g} {effect.unit}), "
            f"adjusted p {test.p_adjusted:.2g}"
        )


@dataclass(frozen=True, slots=True)
class DriftReport:
    """Every test that was run, and those that fired at the family-wise error rate `alpha`.

    season: what the reference was matched on.  matched: share of the window with a counterpart in
    the reference's same season; the rest could not be compared.
    """

    alarms: tuple[DriftAlarm, ...]
    tests: tuple[DriftTest, ...]
    alpha: float
    season: str
    matched: float
    n_reference: int
    n_window: int
