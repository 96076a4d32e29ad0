"""From records to decisions: a frozen scorer and its invariants, the same code everywhere.

The server and `scoring.core.monitor` both decide through `Judge`, so the same scorer version gives
the same decision in both. The invariants travel in the scorer state's config, as the document that
`scoring.core.invariants.parse` reads: {"invariants": {"language": 1, "invariants": [...]}}.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from scoring.core.scorers import load_scorer
from scoring.core.scorers.contract import (
    Action,
    Intervention,
    InvalidBatchError,
    InvalidConfigError,
    Reason,
    RecordBatch,
    ScoredBatch,
    Scorer,
)
from scoring.core.state import ScorerState

try:  # a scorer without invariants must run where google-re2 is not installed
    from scoring.core.invariants.engine import InvariantSet
    from scoring.core.invariants.parse import parse_document
except ModuleNotFoundError as error:
    if error.name != "re2":
        raise
    HAS_INVARIANTS = False
else:
    HAS_INVARIANTS = True

INVARIANT = "invariant"
_TIER = {"low": 1, "medium": 2, "high": 3, "critical": 4}
_ACTION = {"flag": Action.REVIEW, "block": Action.INTERVENE, "replace": Action.INTERVENE}


class Violated(Protocol):
    """What a judgement needs to know of a violated invariant (`engine.Violation`)."""

    @property
    def key(self) -> str: ...
    @property
    def severity(self) -> str: ...
    @property
    def effect(self) -> str: ...
    @property
    def replacement(self) -> str | None: ...
    @property
    def weight(self) -> float: ...
    @property
    def detail(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Judgement:
    """The decision on one record, explained.

    raw: the scorer's raw plus the weights of violated invariants; the reasons' contributions sum
    to it.  score: in [0, 1].  p_violation: in [0, 1], None where no calibration exists.  tier: in
    0..4.  intervention: what INTERVENE means here, None for weaker actions.
    """

    raw: float
    score: float
    p_violation: float | None
    low: float | None
    high: float | None
    tier: int
    action: Action
    intervention: Intervention | None
    reasons: tuple[Reason, ...]
    violated: tuple[str, ...]
    cold_start: bool


class Judge:
    """A scorer version with its invariants; immutable, and safe to use from several threads."""

    def __init__(self, state: ScorerState) -> None:
        """Load the scorer and compile the invariants of a state.

        Raises InvalidConfigError where the state is not that of a known scorer, and
        InvariantSyntaxError (or a group of them) where an invariant is malformed.
        """
        kind, number = state.config.get("kind"), state.config.get("number")
        if not isinstance(kind, str) or type(number) is not int:
            raise InvalidConfigError("the state names no scorer kind and number")
        self.scorer: Scorer = load_scorer(kind, number, state)
        self.digest = state.digest()
        document = state.config.get("invariants")
        if document is not None and not HAS_INVARIANTS:
            raise InvalidConfigError("this scorer has invariants, which need google-re2 installed")
        self._invariants = (
            None if document is None else InvariantSet.compile(parse_document(document))
        )

    def judge(
        self, batch: RecordBatch, records: Sequence[Mapping[str, Any]], *, top: int = 5
    ) -> list[Judgement]:
        """Decide on records of one model, in order.

        batch, records: the same records, as columns for the scorer and as mappings (`input`,
        `output`, `signals`, `context`, `model`) for the invariants.
        top: scorer's terms told apart; 0 leaves its reasons out, where nobody reads them.

        A violated invariant lifts the tier to its severity (low 1 ... critical 4) and the action
        to its effect; `block` wins over `replace`, and an invariant over the scorer's own
        intervention. The score stays the scorer's: it is a rank among records without the check.

        Raises InvalidBatchError where the two differ in length or do not fit the scorer.
        """
        if len(records) != batch.n:
            raise InvalidBatchError(f"{len(records)} records for a batch of {batch.n}")
        scored = self.scorer.score(batch)
        violated: Sequence[Sequence[Violated]] = [()] * batch.n
        if self._invariants is not None:
            violated = self._invariants.evaluate_batch(records)
        return [_judgement(scored, i, found, top) for i, found in enumerate(violated)]


def batch_of(records: Sequence[Mapping[str, Any]]) -> RecordBatch:
    """Records of one model as a scorer's batch.

    Each is a mapping with `model` {"name": …}, and optionally `signals` {name: number},
    `fingerprint` (numbers, or a one-dimensional array; all of one length) and `context`.

    Raises InvalidBatchError where they are of several models or a value has the wrong type.
    """
    try:
        models = {record["model"]["name"] for record in records}
        signals = [record.get("signals") or {} for record in records]
        names = sorted({name for row in signals for name in row})
        columns = {
            name: np.array([row.get(name, math.nan) for row in signals], np.float64)
            for name in names
        }
        prints = [record.get("fingerprint") for record in records]
        rows = [None if row is None else np.asarray(row, np.float32) for row in prints]
        context = [record.get("context") or {} for record in records]
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise InvalidBatchError(f"not inference records: {error!r}") from error
    if len(models) > 1 or not all(isinstance(model, str) for model in models):
        raise InvalidBatchError("records of one model, named by a text, expected")
    if not all(isinstance(fields, Mapping) for fields in context):
        raise InvalidBatchError("context: a mapping expected")
    matrix, present = _matrix(rows)
    return RecordBatch(
        model=models.pop() if models else "",
        n=len(records),
        signals=columns,
        fingerprints=matrix,
        has_fingerprint=present,
        context=context,
    )


def _matrix(
    rows: Sequence[NDArray[np.float32] | None],
) -> tuple[NDArray[np.float32] | None, NDArray[np.bool_]]:
    present = np.array([row is not None for row in rows], np.bool_)
    given = [row for row in rows if row is not None]
    if not given:
        return None, present
    if any(row.ndim != 1 for row in given) or len({row.size for row in given}) > 1:
        raise InvalidBatchError("fingerprints: vectors of one length expected")
    matrix = np.zeros((len(rows), given[0].size), np.float32)
    matrix[present] = given
    return matrix, present


def _judgement(scored: ScoredBatch, i: int, found: Sequence[Violated], top: int) -> Judgement:
    action = Action(int(scored.action[i]))
    own = scored.intervention if action == Action.INTERVENE else None
    reasons = [
        Reason(INVARIANT, violation.key, violation.weight, violation.detail) for violation in found
    ]
    reasons += scored.reasons(i, top) if top > 0 else []
    return Judgement(
        raw=float(scored.raw[i]) + sum(violation.weight for violation in found),
        score=float(scored.score[i]),
        p_violation=_known(scored.p_violation[i]),
        low=_known(scored.low[i]),
        high=_known(scored.high[i]),
        tier=max([int(scored.tier[i]), *(_TIER[violation.severity] for violation in found)]),
        action=max([action, *(_ACTION[violation.effect] for violation in found)]),
        intervention=_intervention(own, found),
        reasons=tuple(reasons),
        violated=tuple(violation.key for violation in found),
        cold_start=scored.cold_start,
    )


def _intervention(own: Intervention | None, found: Sequence[Violated]) -> Intervention | None:
    """The gravest wins: any block, then the replacement of the gravest invariant, then own."""
    if own is not None and own.kind == "block":
        return own
    if any(violation.effect == "block" for violation in found):
        return Intervention(kind="block")
    replacing = [violation for violation in found if violation.effect == "replace"]
    if not replacing:
        return own
    gravest = max(replacing, key=lambda violation: _TIER[violation.severity])
    return Intervention(kind="replace", replacement=gravest.replacement)


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)
