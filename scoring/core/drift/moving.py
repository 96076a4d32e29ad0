"""The moving baselines of one stream of records: of its fingerprints, and of its signals.

They say where the stream stands lately, and how far a record lies from there. They absorb after
they were asked, so that what is compared has not taught them.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.baseline import ABSORB_ABOVE, BaselineError, MovingBaseline
from scoring.core.drift.contract import Floats
from scoring.core.state import ScorerState

KIND = "moving_baselines"
RATE = 0.001  # weight of the newest record: about the last 2,000 count
WARM_UP = 30  # records from which a baseline starts
PRESENT = 0.95  # share of records that have a signal for it to belong to the baseline
FINGERPRINT, SIGNALS = "fingerprint", "signals"


class MovingBaselines:
    """Exponentially weighted moments of fingerprints and of signals, at O(d²) a record.

    Attributes: fingerprint, signals: MovingBaseline, or None before enough was seen.  names: the
    signals, fixed when their baseline starts.  n_absorbed, n_refused: records so far.
    """

    def __init__(self) -> None:
        self.fingerprint: MovingBaseline | None = None
        self.signals: MovingBaseline | None = None
        self.names: tuple[str, ...] = ()
        self.n_absorbed = self.n_refused = 0

    def absorb(
        self,
        fingerprints: Floats | None,
        signals: Mapping[str, Floats],
        *,
        p: Floats,
        confirmed: NDArray[np.bool_],
    ) -> None:
        """Take records in order of time; what is not normal or was confirmed teaches nothing.

        fingerprints: float64 (n, d), NaN rows where a record has none; or None.
        signals: name -> float64 (n,).  p: float64 (n,), conformal p-values under the frozen
        scorer.  confirmed: bool (n,), confirmed violations.
        """
        normal = (p > ABSORB_ABOVE) & ~confirmed
        self.n_absorbed += int(normal.sum())
        self.n_refused += int((~normal).sum())
        if fingerprints is not None:
            rows = fingerprints[normal & np.isfinite(fingerprints).all(axis=1)]
            self.fingerprint = _fed(self.fingerprint, rows)
        if self.signals is None:
            self.names = tuple(
                sorted(
                    name
                    for name, values in signals.items()
                    if normal.any() and np.isfinite(values[normal]).mean() >= PRESENT
                )
            )
        if self.names:
            table = self.table(signals, len(p))[normal]
            self.signals = _fed(self.signals, table[np.isfinite(table).all(axis=1)])

    def table(self, signals: Mapping[str, Floats], n: int) -> Floats:
        """The baseline's signals side by side, float64 (n, n_names); NaN where missing."""
        gap = np.full(n, np.nan)
        columns = [np.asarray(signals.get(name, gap), np.float64) for name in self.names]
        return np.stack(columns, axis=1) if columns else np.empty((n, 0))

    def distances(
        self, fingerprints: Floats | None, signals: Mapping[str, Floats], n: int
    ) -> dict[str, Floats]:
        """Mahalanobis distances to each baseline that has started: name -> float64 (n,)."""
        found = {}
        prints = self.fingerprint
        if prints is not None and fingerprints is not None:
            found[FINGERPRINT] = prints.distances(fingerprints)
        if self.signals is not None:
            found[SIGNALS] = self.signals.distances(self.table(signals, n))
        return found

    def to_state(self) -> ScorerState:
        """A checkpoint; `from_state` continues bit for bit."""
        arrays: dict[str, Floats] = {}
        for part, baseline in ((FINGERPRINT, self.fingerprint), (SIGNALS, self.signals)):
            if baseline is not None:
                arrays |= {f"{part}/{name}": a for name, a in baseline.to_arrays().items()}
        counts = [self.n_absorbed, self.n_refused]
        return ScorerState(
            config={"kind": KIND, "names": list(self.names), "counts": counts}, arrays=arrays
        )

    @classmethod
    def from_state(cls, state: ScorerState) -> "MovingBaselines":
        """Restore a checkpoint; raises BaselineError where it is not one."""
        if state.config.get("kind") != KIND:
            raise BaselineError("not a checkpoint of moving baselines")
        restored = cls()
        try:
            restored.n_absorbed, restored.n_refused = (int(n) for n in state.config["counts"])
            restored.names = tuple(str(name) for name in state.config["names"])
        except (KeyError, TypeError, ValueError) as error:
            raise BaselineError(f"not a checkpoint of moving baselines: {error}") from error
        restored.fingerprint = _part(state, FINGERPRINT)
        restored.signals = _part(state, SIGNALS)
        return restored


def _fed(baseline: MovingBaseline | None, rows: Floats) -> MovingBaseline | None:
    if baseline is None:
        if len(rows) < WARM_UP or rows.shape[1] == 0:
            return None
        return MovingBaseline.start(rows, rate=RATE)
    if len(rows) and rows.shape[1] == baseline.mean_.size:
        baseline.update_batch(rows)
    return baseline


def _part(state: ScorerState, part: str) -> MovingBaseline | None:
    prefix = f"{part}/"
    arrays = {
        name.removeprefix(prefix): array
        for name, array in state.arrays.items()
        if name.startswith(prefix)
    }
    return MovingBaseline.from_arrays(arrays) if arrays else None


def projected(x: NDArray[np.floating[Any]], dimension: int) -> Floats:
    """Rows on at most `dimension` fixed random directions, float64 (n, min(d, dimension)).

    Distances are kept within about √(2/dimension) of themselves, relatively; the directions depend
    on the two numbers alone, so that every run sees the same ones. NaN rows stay NaN.

    Source: Johnson & Lindenstrauss, Extensions of Lipschitz Mappings into a Hilbert Space, 1984.
    """
    d = x.shape[1]
    wide = np.asarray(x, np.float64)
    if d <= dimension:
        return wide
    directions = np.random.default_rng([d, dimension]).normal(size=(d, dimension))
    return np.asarray(wide @ (directions / np.sqrt(dimension)))
