"""What goes into a scorer and what comes out, the same for every kind and version.

A batch holds records of one model, so that its fingerprints form one matrix; callers group.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

N_TIERS = 5
OTHER = "other"


class ScorerError(ValueError):
    """Base of all refusals of scorers and of their fitting."""


class InvalidBatchError(ScorerError):
    """The arrays of a batch do not fit each other or the scorer."""


class InvalidConfigError(ScorerError):
    """A scorer's settings are malformed."""


class BaselineTooSmallError(ScorerError):
    """Too few records to build a baseline; the message names how many are needed."""

    def __init__(self, *, have: int, need: int, what: str = "baseline records") -> None:
        super().__init__(f"{have} {what}, at least {need} are needed")
        self.have = have
        self.need = need


class Action(IntEnum):
    """What the decision asks of the caller, weakest first."""

    PASS = 0
    REVIEW = 1
    INTERVENE = 2


@dataclass(frozen=True, slots=True)
class Term:
    """One addend of `raw`: kind is `signal`, `fingerprint`, `detector` or `cold_start`."""

    kind: str
    name: str


class Reason(NamedTuple):
    """One line of the explanation of a record's score; a tuple, since every record has several."""

    kind: str
    name: str
    contribution: float
    detail: str


@dataclass(frozen=True, slots=True)
class Intervention:
    """What to do where the action is INTERVENE: `block`, or `replace` by the given text."""

    kind: str
    replacement: str | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class RecordBatch:
    """Records of one model, column by column.

    model: the model's name; it selects the fingerprint baseline.
    n: number of records, >= 0.
    signals: name -> float64 (n,), NaN where a record lacks the signal; an infinity is taken as
        beyond every baseline value.
    fingerprints: float32 (n, d), or None where no record has one.
    has_fingerprint: bool (n,); rows that are False are ignored. None means all rows have one.
    context: n mappings of segment fields, or empty where there are none.

    Raises InvalidBatchError where shapes or types do not fit.
    """

    model: str
    n: int
    signals: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    fingerprints: NDArray[np.float32] | None = None
    has_fingerprint: NDArray[np.bool_] | None = None
    context: Sequence[Mapping[str, str | float | bool]] = ()

    def __post_init__(self) -> None:
        if self.n < 0:
            raise InvalidBatchError("n is negative")
        for name, values in self.signals.items():
            if values.shape != (self.n,) or values.dtype != np.float64:
                raise InvalidBatchError(f"signal {name!r}: float64 of shape ({self.n},) expected")
        if len(self.context) not in (0, self.n):
            raise InvalidBatchError(f"{len(self.context)} contexts for {self.n} records")
        self._check_fingerprints()

    def _check_fingerprints(self) -> None:
        mask, matrix = self.has_fingerprint, self.fingerprints
        if matrix is not None:
            if matrix.ndim != 2 or matrix.shape[0] != self.n or matrix.dtype != np.float32:
                raise InvalidBatchError(f"fingerprints: float32 of shape ({self.n}, d) expected")
            mask = np.ones(self.n, np.bool_) if mask is None else mask
        else:
            mask = np.zeros(self.n, np.bool_) if mask is None else mask
        if mask.shape != (self.n,) or mask.dtype != np.bool_:
            raise InvalidBatchError(f"has_fingerprint: bool of shape ({self.n},) expected")
        if matrix is None and mask.any():
            raise InvalidBatchError("has_fingerprint is set, but there are no fingerprints")
        object.__setattr__(self, "has_fingerprint", mask)

    @property
    def fingerprint_rows(self) -> NDArray[np.bool_]:
        """bool (n,): which records have a fingerprint."""
        assert self.has_fingerprint is not None  # set by __post_init__
        return self.has_fingerprint


Describe = Callable[[NDArray[np.intp], NDArray[np.intp]], Sequence[str]]
Explanation = tuple[str, str, float, str]  # the fields of a Reason


@dataclass(frozen=True, kw_only=True, eq=False)
class ScoredBatch:
    """Explained scores of a batch, row by row in the batch's order.

    raw: float64 (n,), the sum of the row's contributions (to 1e-9).
    score: float64 (n,) in [0, 1]; higher is more anomalous. Ties of score are ranked by raw.
    p_violation: float64 (n,) in [0, 1], NaN where no calibration on verdicts exists.
    tier: int8 (n,) in 0..4, after business weights.  action: int8 (n,), see Action.
    terms: the addends, and contributions: float64 (n, n_terms).
    weight: float64 (n,) >= 1, business weight of the record's context.
    low, high: float64 (n,), interval of the score, NaN where unknown.
    cold_start: no baseline yet, so the score says nothing.
    intervention: what INTERVENE means under this scorer.
    describe: (rows, terms), both intp (m,) -> m plain sentences, of each term what it means for
        its row; called only when reasons are asked for.
    """

    raw: NDArray[np.float64]
    score: NDArray[np.float64]
    p_violation: NDArray[np.float64]
    tier: NDArray[np.int8]
    action: NDArray[np.int8]
    terms: tuple[Term, ...]
    contributions: NDArray[np.float64]
    weight: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    cold_start: bool
    describe: Describe
    intervention: Intervention | None = None

    def __len__(self) -> int:
        return len(self.raw)

    def reasons(self, i: int, top: int = 5) -> list[Reason]:
        """The `top` largest contributions to row i, then the rest as `other`; they sum to raw.

        Terms that contribute nothing are left out, unless nothing contributes. A business weight
        above one is told last, with contribution 0: it moves the tier, not the score.
        """
        (told,) = self._explained(np.array([i]), top)
        return [Reason(*reason) for reason in told]

    def explanations(self, top: int = 5) -> list[list[Explanation]]:
        """`reasons(i, top)` of every row i as plain tuples, with all rows sorted at once."""
        return self._explained(np.arange(len(self)), top)

    def _explained(self, rows: NDArray[np.intp], top: int) -> list[list[Explanation]]:
        contributions = self.contributions[rows]
        order = np.argsort(-np.abs(contributions), axis=1, kind="stable")
        ranked = contributions[np.arange(rows.size)[:, np.newaxis], order]
        n_nonzero = np.count_nonzero(ranked, axis=1)  # zeros come last
        n_listed = np.minimum(np.maximum(n_nonzero, 1), min(max(top, 1), ranked.shape[1]))
        is_listed = np.arange(ranked.shape[1]) < n_listed[:, np.newaxis]
        terms = order[is_listed]
        names = [self._names[j] for j in terms.tolist()]
        details = self.describe(np.repeat(rows, n_listed), terms)
        reasons = zip(names, ranked[is_listed].tolist(), details, strict=True)
        lines = [(kind, name, told, detail) for (kind, name), told, detail in reasons]
        ends = np.cumsum(n_listed)
        explained = [
            lines[start:end]
            for start, end in zip((ends - n_listed).tolist(), ends.tolist(), strict=True)
        ]
        n_tail = n_nonzero - n_listed
        sums = np.cumsum(ranked, axis=1)[np.arange(rows.size), n_listed - 1]
        rest = (self.raw[rows] - sums).tolist()
        for i, n in enumerate(n_tail.tolist()):
            if n > 0:
                plural = "term" if n == 1 else "terms"
                explained[i].append((OTHER, OTHER, rest[i], f"{n} smaller {plural} together"))
        weight = self.weight[rows]
        for i in np.flatnonzero(weight > 1.0).tolist():
            detail = f"the tier is chosen as if this were {weight[i]:g} times as rare"
            explained[i].append(("context", "weight", 0.0, detail))
        return explained

    @cached_property
    def _names(self) -> list[tuple[str, str]]:
        return [(term.kind, term.name) for term in self.terms]


class Scorer(Protocol):
    """A frozen scorer version: the same batch always gives the same answer."""

    kind: str
    number: int

    def score(self, batch: RecordBatch) -> ScoredBatch:
        """Score records; the result does not depend on what else is in the batch."""
        ...
