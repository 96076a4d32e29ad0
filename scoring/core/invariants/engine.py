"""Compile invariants to one set and evaluate records against it.

One prefilter pass over each text says which invariants may be violated; those that hold of any
text in which nothing was found, by Kleene's three-valued logic with all sleeping atoms false and
all others unknown, are not looked at again. Of the rest a batch settles what arrays over all its
texts can settle.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from scoring.core.invariants.atoms import MAX_SPANS, Atom, Evidence
from scoring.core.invariants.columns import MAX_BATCH_CHARS, MAX_RECORDS, Batch
from scoring.core.invariants.finding_atoms import find_atom
from scoring.core.invariants.language import (
    All,
    Any_,
    Condition,
    ForRegions,
    Implies,
    Invariant,
    Not,
    Predicate,
    WhenModel,
)
from scoring.core.invariants.measuring_atoms import measure_atom
from scoring.core.invariants.patterns import Prefilter, Wake
from scoring.core.invariants.record import RecordView, Span
from scoring.core.invariants.screens import screen_condition
from scoring.core.invariants.vocabulary import MAX_INVARIANTS, InvariantSyntaxError

# Fewer records are done sooner one by one than their arrays are made.
_MIN_SCREENED = 12

_Truth = Callable[[RecordView], bool]


@dataclass(frozen=True, slots=True)
class Violation:
    """One invariant that does not hold of a record.

    Attributes
    ----------
    key, clause, severity, effect, replacement, weight : as in the invariant.
    detail : why, in one line, without quoting the record (safe for logs).
    spans : where, as character offsets into the record's own strings; may be empty.
    """

    key: str
    clause: str
    severity: str
    effect: str
    replacement: str | None
    weight: float
    detail: str
    spans: tuple[Span, ...]


class InvariantSet:
    """Invariants compiled together; immutable, and safe to use from several threads.

    Make it with `InvariantSet.compile(invariants)`.
    """

    def __init__(self, invariants: Sequence[Invariant]) -> None:
        if len(invariants) > MAX_INVARIANTS:
            raise InvariantSyntaxError("", f"more than {MAX_INVARIANTS} invariants")
        keys = [invariant.key for invariant in invariants]
        if len(set(keys)) != len(keys):
            raise InvariantSyntaxError("", "two invariants share a key")
        self.invariants = tuple(invariants)
        self._atoms: list[Atom] = []
        self._ids: dict[Predicate, int] = {}
        self._truths: list[_Truth] = []
        self._nodes: dict[int, _Truth] = {}
        self._regions = [_folded(invariant.regions) for invariant in invariants]
        self._scanned: set[int] = set()
        users: dict[int, set[int]] = {}
        always: list[int] = []
        for index, invariant in enumerate(invariants):
            used: list[int] = []
            self._truths.append(self._compile(invariant.condition, used))
            wakers = self._wakers(invariant.condition, used)
            if wakers is None:
                always.append(index)
                continue
            for atom in wakers:
                users.setdefault(atom, set()).add(index)
        self._scanned.update(users)
        self._always = tuple(always)
        screens = [(index, screen_condition(invariants[index].condition)) for index in always]
        self._screens = [(index, screen) for index, screen in screens if screen is not None]
        self._unscreened = tuple(index for index, screen in screens if screen is None)
        self._scans = self._plan(users)

    @classmethod
    def compile(cls, invariants: Iterable[Invariant]) -> InvariantSet:
        """Compile; raises InvariantSyntaxError, with a path, for patterns and schemas refused."""
        return cls(tuple(invariants))

    def evaluate(self, record: Mapping[str, Any]) -> list[Violation]:
        """The invariants that do not hold of a record, in the order of the set."""
        view = RecordView(record)
        return self._judge(view, self._woken(view))

    def evaluate_batch(self, records: Iterable[Mapping[str, Any]]) -> list[list[Violation]]:
        """`evaluate` of each record, in order."""
        found: list[list[Violation]] = []
        left = iter(records)
        while chunk := [RecordView(record) for record in itertools.islice(left, MAX_RECORDS)]:
            pending = self._pending(chunk)
            found.extend(self._judge(*pair) for pair in zip(chunk, pending, strict=True))
        return found

    def _judge(self, view: RecordView, pending: set[int]) -> list[Violation]:
        """The violated ones of the invariants that may be."""
        violations = []
        for index in sorted(pending):
            regions = self._regions[index]
            if regions and not _in_regions(view.region, regions):
                continue
            if not self._truths[index](view):
                violations.append(self._violation(self.invariants[index], view))
        return violations

    def _woken(self, view: RecordView) -> set[int]:
        """The invariants that a scan wakes or none spares."""
        pending = set(self._always)
        for scan in self._scans:
            scan.wake(view, pending)
        return pending

    def _pending(self, views: list[RecordView]) -> list[set[int]]:
        """Of each record the invariants that a scan wakes, or none spares and no screen settles."""
        if len(views) < _MIN_SCREENED:
            return [self._woken(view) for view in views]
        batch = Batch(views)
        if batch.chars > MAX_BATCH_CHARS:
            half = len(views) // 2
            return self._pending(views[:half]) + self._pending(views[half:])
        pending = [set(self._unscreened) for _ in views]
        for index, screen in self._screens:
            for number in np.flatnonzero(~screen(batch).true).tolist():
                pending[number].add(index)
        for scan in self._scans:
            scan.sweep(batch, views, pending)
        return pending

    def _wakers(self, condition: Condition, used: list[int]) -> set[int] | None:
        """The fewest atoms that, all asleep, make the condition hold; None where none do.

        Only these are scanned for: of "both A and B", either will do. Atoms that no prefilter
        can spare are given up first, then the later ones.
        """
        asleep = {atom for atom in used if self._atoms[atom].sleeps}

        def holds(atoms: set[int]) -> bool:
            return _asleep(condition, lambda predicate: self._ids[predicate] in atoms) is True

        if not holds(asleep):
            return None
        for atom in sorted(asleep, key=lambda a: (not self._atoms[a].always_woken, -used.index(a))):
            if holds(asleep - {atom}):
                asleep.discard(atom)
        return asleep

    def _atom(self, predicate: Predicate) -> int:
        known = self._ids.get(predicate)
        if known is None:
            known = len(self._atoms)
            atom = find_atom(predicate) or measure_atom(predicate)
            if atom is None:
                raise TypeError(f"no atom for {type(predicate).__name__}")
            self._atoms.append(atom)
            self._ids[predicate] = known
        return known

    def _compile(self, condition: Condition, used: list[int]) -> _Truth:
        truth = self._nodes[id(condition)] = self._compile_node(condition, used)
        return truth

    def _compile_node(self, condition: Condition, used: list[int]) -> _Truth:
        match condition:
            case Predicate():
                index = self._atom(condition)
                used.append(index)
                return _leaf(index, self._atoms[index].test, self._scanned)
            case All(children=children):
                return _conjunction([self._compile(child, used) for child in children])
            case Any_(children=children):
                return _disjunction([self._compile(child, used) for child in children])
            case Not(child=child):
                return _negation(self._compile(child, used))
            case Implies(premise=premise, conclusion=conclusion):
                first = _negation(self._compile(premise, used))
                return _disjunction([first, self._compile(conclusion, used)])
            case ForRegions(regions=regions, child=child):
                names = _folded(regions)
                return _guarded(
                    lambda view: _in_regions(view.region, names), self._compile(child, used)
                )
            case WhenModel(models=models, child=child):
                return _guarded(
                    lambda view: _is_model(view.model, models), self._compile(child, used)
                )
        raise TypeError(f"not a condition: {type(condition).__name__}")

    def _plan(self, users: dict[int, set[int]]) -> list[_Scan]:
        targets: dict[str, list[int]] = {}
        for index, atom in enumerate(self._atoms):
            if index in users:
                targets.setdefault(atom.target, []).append(index)
        return [
            _Scan(target, [(index, self._atoms[index]) for index in atoms], users)
            for target, atoms in targets.items()
        ]

    def _violation(self, invariant: Invariant, view: RecordView) -> Violation:
        reasons = self._because(invariant.condition, view, False)
        details = list(dict.fromkeys(reason.detail for reason in reasons))
        spans = list(dict.fromkeys(span for reason in reasons for span in reason.spans))
        return Violation(
            invariant.key,
            invariant.clause,
            invariant.severity,
            invariant.effect,
            invariant.replacement,
            invariant.weight,
            "; ".join(details) or "does not hold",
            tuple(spans[:MAX_SPANS]),
        )

    def _because(self, condition: Condition, view: RecordView, truth: bool) -> list[Evidence]:
        """Evidence that a condition has the truth given: of the children that make it so."""
        match condition:
            case Predicate():
                return [self._atoms[self._ids[condition]].explain(view, truth)]
            case Not(child=child):
                return self._because(child, view, not truth)
            case Implies(premise=premise, conclusion=conclusion):
                parts: list[tuple[Condition, bool]] = [(premise, not truth), (conclusion, truth)]
            case All(children=children) | Any_(children=children):
                parts = [(child, truth) for child in children]
            case ForRegions(child=child) | WhenModel(child=child):
                parts = [(child, truth)]
            case _:
                raise TypeError(f"not a condition: {type(condition).__name__}")
        return [
            reason
            for child, wanted in parts
            if self._nodes[id(child)](view) is wanted
            for reason in self._because(child, view, wanted)
        ]


class _Scan:
    """The prefilter pass over one target, and whom its findings wake."""

    __slots__ = ("_filter", "_listeners", "_target", "_users")

    def __init__(
        self, target: str, atoms: list[tuple[int, Atom]], users: dict[int, set[int]]
    ) -> None:
        self._target = target
        self._users = users
        listeners: dict[Wake, list[int]] = {}
        for index, atom in atoms:
            for wake in atom.wakes:
                listeners.setdefault(wake, []).append(index)
        wakes = sorted(listeners, key=lambda wake: wake.folded)
        self._filter = Prefilter(wakes)
        self._listeners = tuple(tuple(listeners[wake]) for wake in wakes)

    def wake(self, view: RecordView, pending: set[int]) -> None:
        """Add the atoms that may be true to `view.awake`, and their invariants to `pending`."""
        text = view.view(self._target)
        if not text.text:
            # A pattern may match the empty text, and no prefilter has to be asked about it.
            for atoms in self._listeners:
                self._rouse(atoms, view, pending)
            return
        for window in text.windows:
            for pattern in self._filter.candidates(window):
                self._rouse(self._listeners[pattern], view, pending)

    def sweep(self, batch: Batch, views: list[RecordView], pending: list[set[int]]) -> None:
        """`wake` of each record of a batch."""
        column = batch.column(self._target)
        plain = (column.whole & column.plain & (column.chars > 0)).tolist()
        for number in itertools.compress(range(len(plain)), map(operator.not_, plain)):
            self.wake(views[number], pending[number])
        numbers = list(itertools.compress(range(len(plain)), plain))
        found = self._filter.sweep([column.data[number] for number in numbers])
        for number, patterns in zip(numbers, found, strict=True):
            for pattern in patterns:
                self._rouse(self._listeners[pattern], views[number], pending[number])

    def _rouse(self, atoms: tuple[int, ...], view: RecordView, pending: set[int]) -> None:
        for atom in atoms:
            view.awake.add(atom)
            pending.update(self._users.get(atom, ()))


def _leaf(index: int, test: _Truth, scanned: set[int]) -> _Truth:
    def truth(view: RecordView) -> bool:
        if index in scanned and index not in view.awake:
            return False
        known = view.memo.get(index)
        if known is None:
            known = view.memo[index] = test(view)
        return known

    return truth


def _conjunction(truths: list[_Truth]) -> _Truth:
    return lambda view: all(truth(view) for truth in truths)


def _disjunction(truths: list[_Truth]) -> _Truth:
    return lambda view: any(truth(view) for truth in truths)


def _negation(truth: _Truth) -> _Truth:
    return lambda view: not truth(view)


def _guarded(applies: _Truth, truth: _Truth) -> _Truth:
    return lambda view: not applies(view) or truth(view)


def _asleep(condition: Condition, sleeps: Callable[[Predicate], bool]) -> bool | None:
    """Kleene truth with sleeping atoms false and all else unknown (None)."""
    match condition:
        case Predicate():
            return False if sleeps(condition) else None
        case Not(child=child):
            inner = _asleep(child, sleeps)
            return None if inner is None else not inner
        case Implies(premise=premise, conclusion=conclusion):
            return _asleep(Any_(children=(Not(child=premise), conclusion)), sleeps)
        case ForRegions(child=child) | WhenModel(child=child):
            return True if _asleep(child, sleeps) else None
        case All(children=children):
            truths = [_asleep(child, sleeps) for child in children]
            return False if False in truths else None if None in truths else True
        case Any_(children=children):
            truths = [_asleep(child, sleeps) for child in children]
            return True if True in truths else None if None in truths else False
    raise TypeError(f"not a condition: {type(condition).__name__}")


def _folded(regions: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(region.casefold() for region in regions)


def _in_regions(region: str, regions: tuple[str, ...]) -> bool:
    return any(region == name or region.startswith(name + "-") for name in regions)


def _is_model(model: tuple[str, str], models: tuple[str, ...]) -> bool:
    name, version = model
    for wanted in models:
        text = f"{name}@{version}" if "@" in wanted else name
        if text == wanted or (wanted.endswith("*") and text.startswith(wanted[:-1])):
            return True
    return False
