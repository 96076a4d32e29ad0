"""The monitor inside the monitored model's own process: judge, act, remember, never get in the way.

It decides by the same code as the server (`scoring.core.judgement`), needs numpy alone (and
google-re2 where the scorer has invariants), costs the same for the millionth inference as for the
first, and may be called from any number of threads.
"""

import logging
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.judgement import Judge, batch_of
from scoring.core.monitor_baselines import MonitorBaselines
from scoring.core.scorers.contract import (
    Action,
    Intervention,
    InvalidBatchError,
    Reason,
    RecordBatch,
)
from scoring.core.scorers.guard_v1 import Judgement
from scoring.core.state import ScorerState, from_bytes

logger = logging.getLogger(__name__)

LATENCY_EDGES_MS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0)

Record = Mapping[str, Any]
Clock = Callable[[], float]


@dataclass(frozen=True, slots=True, eq=False)
class MonitoringResult:
    """What the monitor says of one inference.

    score: in [0, 1]; None where the record could not be scored, and then the action is REVIEW.
    fingerprint: float32 (d,), None where the record has none.  intervention: what to do if the
    action is INTERVENE.  latency_ms: of this call, callbacks left out.
    """

    score: float | None
    tier: int
    action: Action
    reasons: tuple[Reason, ...]
    fingerprint: NDArray[np.float32] | None
    latency_ms: float
    raw: float | None
    p_violation: float | None
    intervention: Intervention | None


@dataclass(frozen=True, slots=True)
class MonitorMetrics:
    """Counts since the start.

    by_action: inferences by PASS, REVIEW, INTERVENE.  unscorable: records that did not fit.
    callback_errors: callbacks that raised.  queued: waiting now.  dropped: lost because nobody
    drained the queue.  latency_counts: calls up to each of LATENCY_EDGES_MS, the last beyond all.
    """

    by_action: tuple[int, int, int]
    unscorable: int
    callback_errors: int
    queued: int
    dropped: int
    absorbed: int
    refused: int
    latency_counts: tuple[int, ...]


Callback = Callable[[Record, MonitoringResult], None]


class Monitor:
    """Scores each inference, calls back where it must be blocked or modified, queues it.

    This is the Engine issue's algorithm 1: score, invariants, decision, baseline, callback, queue.

    The moving baselines are for drift: the decision never depends on them, so two monitors of one
    scorer version decide alike whatever they have seen.
    """

    def __init__(
        self,
        state: ScorerState,
        *,
        on_block: Callback | None = None,
        on_modify: Callback | None = None,
        queue_size: int = 10_000,
        baseline_rate: float = 0.001,
        clock: Clock = time.perf_counter,
    ) -> None:
        """Start from a scorer state; `Monitor.load` reads one from a file.

        on_block, on_modify: called in the inference's own thread where the action is INTERVENE by
        blocking or by replacing; what they raise is logged and counted, not passed on.
        queue_size: records kept for `drain`, >= 1 of each kind.  baseline_rate: weight of the
        newest record in the baselines, in (0, 1).  clock: seconds, monotonic.

        Raises InvalidConfigError for a state of no known scorer.
        """
        self._judge = Judge(state)
        self._callbacks = {"block": on_block, "replace": on_modify}
        self._clock = clock
        self._lock = threading.Lock()
        self._size = max(1, queue_size)
        # Two queues: a flood of harmless records must not push out those that a person must see.
        self._urgent: deque[tuple[Record, MonitoringResult]] = deque()
        self._ordinary: deque[tuple[Record, MonitoringResult]] = deque()
        self._baselines = MonitorBaselines(rate=baseline_rate)
        self._by_action = [0, 0, 0]
        self._unscorable = self._callback_errors = self._dropped = 0
        self._latency = [0] * (len(LATENCY_EDGES_MS) + 1)

    @classmethod
    def load(cls, path: str | PathLike[str], **options: Any) -> "Monitor":
        """Read a scorer version's file (`scoring.core.state.to_bytes`); options as above.

        Raises StateError where the file is not a scorer state, InvalidConfigError where the
        scorer is unknown, OSError where the file cannot be read.
        """
        return cls(from_bytes(Path(path).read_bytes()), **options)

    @property
    def scorer_digest(self) -> str:
        """SHA-256 (hex) of the scorer version in use."""
        return self._judge.digest

    def check(self, record: Record) -> MonitoringResult:
        """Judge one inference, as `POST /api/v1/records` takes it, with a numeric fingerprint.

        Never raises over a record: what cannot be scored goes to review, and says why.
        """
        started = self._clock()
        batch: RecordBatch | None = None
        try:
            batch = batch_of([record])
            judgement: Judgement | None = self._judge.judge(batch, [record])[0]
            detail = ""
        except InvalidBatchError as error:
            judgement, detail = None, str(error)
        fingerprint = None
        if batch is not None and batch.fingerprints is not None:
            fingerprint = batch.fingerprints[0]
        if judgement is not None and batch is not None:
            with self._lock:
                self._baselines.observe(batch, judgement)
        result = _result(judgement, detail, fingerprint, 1e3 * (self._clock() - started))
        self._remember(record, result)
        self._call_back(record, result)
        return result

    def drain(self, limit: int = 1000) -> list[tuple[Record, MonitoringResult]]:
        """Take up to `limit` records off the queue, those to review or intervened first."""
        taken: list[tuple[Record, MonitoringResult]] = []
        with self._lock:
            for queue in (self._urgent, self._ordinary):
                while queue and len(taken) < limit:
                    taken.append(queue.popleft())
        return taken

    def metrics(self) -> MonitorMetrics:
        """The counts, consistent with each other."""
        with self._lock:
            passed, review, intervene = self._by_action
            return MonitorMetrics(
                by_action=(passed, review, intervene),
                unscorable=self._unscorable,
                callback_errors=self._callback_errors,
                queued=len(self._urgent) + len(self._ordinary),
                dropped=self._dropped,
                absorbed=self._baselines.n_absorbed,
                refused=self._baselines.n_refused,
                latency_counts=tuple(self._latency),
            )

    def checkpoint(self) -> ScorerState:
        """The moving baselines, to be written by `scoring.core.state.to_bytes`."""
        with self._lock:
            return self._baselines.to_state()

    def restore(self, checkpoint: ScorerState) -> None:
        """Continue from a checkpoint; raises BaselineError where it is not one."""
        baselines = MonitorBaselines.from_state(checkpoint)
        with self._lock:
            self._baselines = baselines

    def _remember(self, record: Record, result: MonitoringResult) -> None:
        with self._lock:
            self._by_action[result.action] += 1
            self._unscorable += result.score is None
            self._latency[bisect_left(LATENCY_EDGES_MS, result.latency_ms)] += 1
            queue = self._ordinary if result.action == Action.PASS else self._urgent
            if len(queue) >= self._size:
                queue.popleft()
                self._dropped += 1
            queue.append((record, result))

    def _call_back(self, record: Record, result: MonitoringResult) -> None:
        if result.intervention is None:
            return
        callback = self._callbacks[result.intervention.kind]
        if callback is None:
            return
        try:
            callback(record, result)
        except Exception:  # the caller still has the result, and the model must keep answering
            logger.exception("a callback of the monitor failed")
            with self._lock:
                self._callback_errors += 1


def _result(
    judgement: Judgement | None,
    detail: str,
    fingerprint: NDArray[np.float32] | None,
    latency_ms: float,
) -> MonitoringResult:
    if judgement is None:
        return MonitoringResult(
            score=None,
            tier=0,
            action=Action.REVIEW,
            reasons=(Reason("unscorable", "record", 0.0, detail),),
            fingerprint=fingerprint,
            latency_ms=latency_ms,
            raw=None,
            p_violation=None,
            intervention=None,
        )
    return MonitoringResult(
        score=judgement.score,
        tier=judgement.tier,
        action=judgement.action,
        reasons=judgement.reasons,
        fingerprint=fingerprint,
        latency_ms=latency_ms,
        raw=judgement.raw,
        p_violation=judgement.p_violation,
        intervention=judgement.intervention,
    )
