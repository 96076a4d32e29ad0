"""What a monitor has lately seen of each model: one baseline of fingerprints, one of signals.

Memory and time per record are bounded: by the largest vector tracked and the number of models.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.baseline import BaselineError, MovingBaseline
from scoring.core.scorers.contract import Action, RecordBatch
from scoring.core.scorers.guard_v1 import Judgement
from scoring.core.state import ScorerState

KIND = "monitor_baselines"
WARM_UP = 100  # records from which a baseline starts
MAX_DIMENSIONS = 512  # an update costs O(d²): .4 ms at 256
MAX_MODELS = 64
FINGERPRINT, SIGNALS = "fingerprint", "signals"

Key = tuple[str, str]  # model, FINGERPRINT or SIGNALS
Floats = NDArray[np.float64]


class MonitorBaselines:
    """Moving baselines by model; not thread-safe, the monitor holds a lock."""

    def __init__(self, *, rate: float) -> None:
        """rate: weight of the newest record, in (0, 1); raises BaselineError for another."""
        if not 0.0 < rate < 1.0:
            raise BaselineError("rate must lie in (0, 1)")
        self.rate = rate
        self.n_absorbed = self.n_refused = 0
        self.baselines: dict[Key, MovingBaseline] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._waiting: dict[Key, list[Floats]] = {}

    def observe(self, batch: RecordBatch, judgement: Judgement) -> None:
        """Take one record, a batch of one, if it was passed and p = 1 - score > .1."""
        p = 1.0 - judgement.score if judgement.action == Action.PASS else 0.0
        if batch.fingerprints is not None:
            vector = batch.fingerprints[0].astype(np.float64)
            self._absorb((batch.model, FINGERPRINT), vector, p)
        if batch.signals:
            if batch.model not in self._names and len(self._names) < MAX_MODELS:
                self._names[batch.model] = tuple(sorted(batch.signals))
            names = self._names.get(batch.model, ())
            missing = np.full(1, np.nan)
            values = [float(batch.signals.get(name, missing)[0]) for name in names]
            self._absorb((batch.model, SIGNALS), np.array(values, np.float64), p)

    def to_state(self) -> ScorerState:
        """A checkpoint; vectors still waiting for a start are left out."""
        arrays: dict[str, NDArray[Any]] = {}
        entries = []
        for i, ((model, kind), baseline) in enumerate(sorted(self.baselines.items())):
            names = list(self._names.get(model, ())) if kind == SIGNALS else []
            entries.append({"model": model, "kind": kind, "names": names})
            for name, array in baseline.to_arrays().items():
                arrays[f"{i}/{name}"] = array
        counts = [self.n_absorbed, self.n_refused]
        config = {"kind": KIND, "rate": self.rate, "counts": counts, "baselines": entries}
        return ScorerState(config=config, arrays=arrays)

    @classmethod
    def from_state(cls, state: ScorerState) -> "MonitorBaselines":
        """Restore a checkpoint; raises BaselineError where it is not one."""
        config = state.config
        if config.get("kind") != KIND:
            raise BaselineError("not a checkpoint of a monitor")
        try:
            restored = cls(rate=float(config["rate"]))
            restored.n_absorbed, restored.n_refused = (int(count) for count in config["counts"])
            for i, entry in enumerate(config["baselines"]):
                model, kind = str(entry["model"]), str(entry["kind"])
                prefix = f"{i}/"
                arrays = {
                    name.removeprefix(prefix): array
                    for name, array in state.arrays.items()
                    if name.startswith(prefix)
                }
                restored.baselines[model, kind] = MovingBaseline.from_arrays(arrays)
                if kind == SIGNALS:
                    restored._names[model] = tuple(str(name) for name in entry["names"])
        except (KeyError, TypeError, ValueError) as error:
            raise BaselineError(f"not a checkpoint of a monitor: {error}") from error
        return restored

    def _absorb(self, key: Key, vector: Floats, p: float) -> None:
        baseline = self.baselines.get(key)
        if baseline is not None and baseline.mean_.size == vector.size:
            absorbed = baseline.update(vector, p=p)
        else:
            absorbed = baseline is None and self._warm_up(key, vector, p)
        self.n_absorbed += absorbed
        self.n_refused += not absorbed

    def _warm_up(self, key: Key, vector: Floats, p: float) -> bool:
        known = key in self._waiting or len(self._waiting) < 2 * MAX_MODELS
        fits = 0 < vector.size <= MAX_DIMENSIONS and bool(np.isfinite(vector).all())
        if not (known and fits and p > 0.1):
            return False
        waiting = self._waiting.setdefault(key, [])
        if waiting and waiting[0].size != vector.size:
            return False
        waiting.append(vector)
        if len(waiting) >= WARM_UP:
            self.baselines[key] = MovingBaseline.start(np.stack(waiting), rate=self.rate)
            waiting.clear()
        return True
