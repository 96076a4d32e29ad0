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


Describe = Callable[[int, Sequence[int]], Sequence[str]]
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
    describe: (row, terms) -> a plain sentence for each term; called only when reasons are asked
        for.
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
        row = self.contributions[i]
        order = np.argsort(-np.abs(row), kind="stable")
        told = self._explain(
            i, row[order].tolist(), order.tolist(), top, float(self.raw[i]), float(self.weight[i])
        )
        return [Reason(*reason) for reason in told]

    def explanations(self, top: int = 5) -> list[list[Explanation]]:
        """`reasons(i, top)` of every row i as plain tuples, with all rows sorted at once."""
        order = np.argsort(-np.abs(self.contributions), axis=1, kind="stable")
        ranked = np.take_along_axis(self.contributions, order, axis=1)
        rows = zip(
            ranked.tolist(), order.tolist(), self.raw.tolist(), self.weight.tolist(), strict=True
        )
        return [
            self._explain(i, contributions, terms, top, raw, weight)
            for i, (contributions, terms, raw, weight) in enumerate(rows)
        ]

    def _explain(
        self,
        i: int,
        contributions: list[float],
        terms: list[int],
        top: int,
        raw: float,
        weight: float,
    ) -> list[Explanation]:
        """Row i explained from its contributions, largest first, and the terms they belong to."""
        n_nonzero = len(contributions) - contributions.count(0.0)  # zeros come last
        n_listed = min(max(top, 1), max(n_nonzero, 1), len(contributions))
        listed, told = contributions[:n_listed], terms[:n_listed]
        reasons = [
            (*self._names[j], contribution, detail)
            for j, contribution, detail in zip(told, listed, self.describe(i, told), strict=True)
        ]
        n_tail = n_nonzero - n_listed
        if n_tail > 0:
            plural = "term" if n_tail == 1 else "terms"
            reasons.append((OTHER, OTHER, raw - sum(listed), f"{n_tail} smaller {plural} together"))
        if weight > 1.0:
            detail = f"the tier is chosen as if this were {weight:g} times as rare"
            reasons.append(("context", "weight", 0.0, detail))
        return reasons

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
