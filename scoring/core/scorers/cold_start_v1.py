"""Version 1 of the scorer that has no baseline yet. Frozen: see `__init__`.

A conformal p-value against an empty calibration window is 1, so every score is 0: nothing is
claimed, and what is reviewed comes from the sampling floor.
"""

import numpy as np

from scoring.core.scorers.contract import (
    Action,
    InvalidConfigError,
    RecordBatch,
    ScoredBatch,
    Term,
)
from scoring.core.state import ScorerState

KIND = "cold_start"
NUMBER = 1


def new_state(*, records_needed: int) -> ScorerState:
    """State of a cold-start scorer that tells how many records a baseline takes (>= 1)."""
    if records_needed < 1:
        raise InvalidConfigError("records_needed must be at least 1")
    config = {"kind": KIND, "number": NUMBER, "records_needed": records_needed}
    return ScorerState(config=config)


class ColdStartV1:
    """Scores everything 0 and passes it, saying why."""

    kind = KIND
    number = NUMBER

    def __init__(self, state: ScorerState) -> None:
        """Read a state of `new_state`; raises InvalidConfigError for any other."""
        needed = state.config.get("records_needed")
        if type(needed) is not int or needed < 1 or state.arrays:
            raise InvalidConfigError("not the state of a cold-start scorer")
        self._detail = f"no baseline yet: it takes {needed} records"

    def score(self, batch: RecordBatch) -> ScoredBatch:
        """raw = score = 0, tier 0, PASS."""
        n = batch.n
        unknown = np.full(n, np.nan)
        return ScoredBatch(
            raw=np.zeros(n),
            score=np.zeros(n),
            p_violation=unknown,
            tier=np.zeros(n, np.int8),
            action=np.full(n, Action.PASS, np.int8),
            terms=(Term(KIND, KIND),),
            contributions=np.zeros((n, 1)),
            weight=np.ones(n),
            low=unknown,
            high=unknown,
            cold_start=True,
            describe=lambda rows, terms: [self._detail] * len(rows),
        )
