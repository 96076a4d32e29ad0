"""From records to decisions: a frozen scorer and its invariants, the same code everywhere.

The server and `scoring.core.monitor` both decide through `Judge`, so the same scorer version gives
the same decision in both. The invariants travel in the scorer state's config, as the document that
`scoring.core.invariants.parse` reads: {"invariants": {"language": 1, "invariants": [...]}}.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scoring.core.fingerprint import as_stored
from scoring.core.scorers import load_scorer
from scoring.core.scorers.calibration_map_v1 import read_calibration
from scoring.core.scorers.contract import (
    InvalidBatchError,
    InvalidConfigError,
    RecordBatch,
    ScoredBatch,
    Scorer,
)
from scoring.core.scorers.guard_v1 import Judgement, Violated, judgement
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

INVARIANTS = "invariants"  # the key of the document in a state's config; read by guard_v1


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
        self.calibration = read_calibration(state.arrays)
        document = state.config.get(INVARIANTS)
        if document is not None and not HAS_INVARIANTS:
            raise InvalidConfigError("this scorer has invariants, which need google-re2 installed")
        self._invariants = (
            None if document is None else InvariantSet.compile(parse_document(document))
        )

    @property
    def has_invariants(self) -> bool:
        """Whether `judge` looks at the records, or at the batch alone."""
        return self._invariants is not None

    def judge(
        self, batch: RecordBatch, records: Sequence[Mapping[str, Any]], *, top: int = 5
    ) -> list[Judgement]:
        """Decide on records of one model, in order.

        batch, records: the same records, as columns for the scorer and as mappings (`input`,
        `output`, `signals`, `context`, `model`) for the invariants, if it has any.
        top: scorer's terms told apart; 0 leaves its reasons out, where nobody reads them.

        A violated invariant lifts the tier to its severity (low 1 ... critical 4) and the action
        to its effect; `block` wins over `replace`, and an invariant over the scorer's own
        intervention (`guard_v1`).

        Raises InvalidBatchError where the two differ in length or do not fit the scorer.
        """
        scored, violated = self.examine(batch, records)
        told = scored.explanations(top) if top > 0 else [[]] * batch.n
        return [
            judgement(scored, i, found, reasons, self.calibration)
            for i, (found, reasons) in enumerate(zip(violated, told, strict=True))
        ]

    def examine(
        self, batch: RecordBatch, records: Sequence[Mapping[str, Any]]
    ) -> tuple[ScoredBatch, Sequence[Sequence[Violated]]]:
        """What `judge` decides on: the scores as columns, and what each record violates.

        Where a record violates nothing, its row of the columns is the decision.

        Raises as `judge` does.
        """
        if len(records) != batch.n:
            raise InvalidBatchError(f"{len(records)} records for a batch of {batch.n}")
        scored = self.scorer.score(batch)
        violated: Sequence[Sequence[Violated]] = [()] * batch.n
        if self._invariants is not None:
            violated = self._invariants.evaluate_batch(records)
        return scored, violated


def with_invariants(state: ScorerState, document: Mapping[str, Any] | None) -> ScorerState:
    """The same scorer with other invariants, or without any; check it by making its `Judge`."""
    config = {key: value for key, value in state.config.items() if key != INVARIANTS}
    if document is not None:
        config[INVARIANTS] = document
    return ScorerState(config=config, arrays=state.arrays)


def batch_of(records: Sequence[Mapping[str, Any]]) -> RecordBatch:
    """Records of one model as a scorer's batch.

    Each is a mapping with `model` {"name": …}, and optionally `signals` {name: number},
    `fingerprint` (numbers, or a one-dimensional array; all of one length) and `context`.
    Fingerprints are rounded as the server stores them, since it scores what it stores.

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
        rows = [
            None if row is None else as_stored(np.asarray(row, np.float64)).astype(np.float32)
            for row in prints
        ]
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
