"""What a batch of records settles at once: predicates that are surely true or false, by arrays.

A screen is a shortcut and never an answer of its own: what it settles is what the atom of the
predicate would say, and what it leaves open is asked of the atom, record by record.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scoring.core.invariants import language as lang
from scoring.core.invariants.columns import (
    MAX_CHARS,
    Batch,
    Bools,
    Column,
    Hashes,
    Ints,
    Words,
    byte_table,
)
from scoring.core.invariants.finding_atoms import CONTROL_BYTES
from scoring.core.invariants.patterns import compile_pattern

_PROBE = 3
_HEAD_BITS = 16
_HEAD_SHIFT = np.uint32(32 - _HEAD_BITS)
# One bracketed class and nothing else: matches any text that holds one of its characters.
_ONE_CLASS = re.compile(r"\[(?:\\.|[^\[\]\\])+\]", re.DOTALL)


class Settled(NamedTuple):
    """Which records of a batch a condition surely holds of, and of which it surely does not.

    Both bool of shape (n_records,), never both true; where neither is, the question is open.
    """

    true: Bools
    false: Bools


Screen = Callable[[Batch], Settled]


def screen_condition(condition: lang.Condition) -> Screen | None:
    """The screen of a condition, None where no batch would settle any of it."""
    match condition:
        case lang.Predicate():
            return _screen_predicate(condition)
        case lang.Not(child=child):
            return _negation(screen_condition(child))
        case lang.All(children=children):
            return _conjunction([screen_condition(child) for child in children])
        case lang.Any_(children=children):
            return _disjunction([screen_condition(child) for child in children])
        case lang.Implies(premise=premise, conclusion=conclusion):
            return screen_condition(lang.Any_(children=(lang.Not(child=premise), conclusion)))
        case lang.ForRegions(child=child) | lang.WhenModel(child=child):
            return _guarded(screen_condition(child))
    raise TypeError(f"not a condition: {type(condition).__name__}")


def _negation(screen: Screen | None) -> Screen | None:
    if screen is None:
        return None

    def run(batch: Batch) -> Settled:
        true, false = screen(batch)
        return Settled(false, true)

    return run


def _conjunction(screens: list[Screen | None]) -> Screen | None:
    return _negation(_disjunction([_negation(screen) for screen in screens]))


def _disjunction(screens: list[Screen | None]) -> Screen | None:
    known = [screen for screen in screens if screen is not None]
    if not known:
        return None
    open_left = len(known) < len(screens)

    def run(batch: Batch) -> Settled:
        parts = [screen(batch) for screen in known]
        false = np.logical_and.reduce([part.false for part in parts])
        true = np.logical_or.reduce([part.true for part in parts])
        return Settled(true, false & (not open_left))

    return run


def _guarded(screen: Screen | None) -> Screen | None:
    """Holds where its child does; whether it applies at all is asked record by record."""
    if screen is None:
        return None
    return lambda batch: Settled(screen(batch).true, np.zeros(len(batch), np.bool_))


def _screen_predicate(predicate: lang.Predicate) -> Screen | None:
    match predicate:
        case lang.Length():
            return _length(predicate)
        case lang.Regex(min_count=1) if _ONE_CLASS.fullmatch(predicate.pattern):
            return _one_class(predicate)
        case lang.Invisible():
            return _invisible(predicate)
        case lang.MixedScript(target=target):
            return _false_where(target, lambda column: column.western)
        case lang.ScriptShare():
            return _script(predicate)
        case lang.Repetition():
            return _repetition(predicate)
        case lang.Overlap(run_words=int(run)):
            return _run_overlap(predicate, run)
        case lang.Overlap(min_share=float() | int()):
            return _share_overlap(predicate)
    return None


def _false_where(target: str, absent: Callable[[Column], Bools]) -> Screen:
    def run(batch: Batch) -> Settled:
        column = batch.column(target)
        return Settled(np.zeros(len(batch), np.bool_), column.whole & absent(column))

    return run


def _length(predicate: lang.Length) -> Screen | None:
    if predicate.unit == "words":
        return None
    target, lines = predicate.target, predicate.unit == "lines"
    low = -np.inf if predicate.min is None else predicate.min
    high = np.inf if predicate.max is None else predicate.max

    def run(batch: Batch) -> Settled:
        column = batch.column(target)
        size = column.newlines + (column.chars > 0) if lines else column.chars
        known = column.whole | (not lines)
        inside = (low <= size) & (size <= high)
        return Settled(known & inside, known & ~inside)

    return run


def _one_class(predicate: lang.Regex) -> Screen:
    target = predicate.target
    pattern = compile_pattern(predicate.pattern, predicate.ignore_case)
    members = [code for code in range(128) if pattern.found(bytes([code]))]
    table = byte_table(members)

    def run(batch: Batch) -> Settled:
        column = batch.column(target)
        found = column.begins(table)
        if not found.all():
            found = column.contains(table)
        return Settled(column.whole & found, column.whole & column.ascii & ~found)

    return run


def _invisible(predicate: lang.Invisible) -> Screen:
    table = byte_table(CONTROL_BYTES)
    if "control" not in predicate.kinds:
        return _false_where(predicate.target, lambda column: column.western)
    return _false_where(predicate.target, lambda column: column.western & ~column.contains(table))


def _script(predicate: lang.ScriptShare) -> Screen | None:
    share = 1.0 if "latin" in predicate.scripts else 0.0
    if not predicate.min <= share <= predicate.max:
        return None
    target = predicate.target

    def run(batch: Batch) -> Settled:
        column = batch.column(target)
        # Too few letters hold as well, where the least number of them is not zero.
        known = column.western if predicate.min_letters > 0 else column.ascii
        return Settled(column.whole & known, np.zeros(len(batch), np.bool_))

    return run


def _repetition(predicate: lang.Repetition) -> Screen:
    size, n, share = predicate.min_size, predicate.n, predicate.max_share

    def novel(column: Column) -> Bools:
        if predicate.of == "lines":
            distinct, lines = column.words.lines
            return (lines < size) | (1.0 - distinct / np.maximum(lines, 1) <= share)
        if predicate.of == "bytes":
            return column.bytes < size
        total = column.words.count - n + 1
        repeated = 1.0 - column.words.distinct(n) / np.maximum(total, 1)
        return (column.words.count < size) | (total <= 0) | (repeated <= share)

    return _false_where(predicate.target, novel)


def _run_overlap(predicate: lang.Overlap, run_words: int) -> Screen:
    """False where none of the three-word probes of `WordIndex.first_run` stands in the source."""
    stride = run_words - _PROBE + 1

    def absent(batch: Batch, source_of: Ints, sources: Column) -> Bools:
        met, owner = _met(batch.column(predicate.target).words, source_of, sources, _PROBE, stride)
        unmet: Bools = np.bincount(owner[met], minlength=len(batch)) == 0
        return unmet

    return _comparison(predicate, absent)


def _share_overlap(predicate: lang.Overlap) -> Screen:
    """False where too few of a text's n-grams stand in its source.

    Most texts have more distinct n-grams than their source has room for; of the others n-grams
    are looked up.
    """
    n, share = predicate.n, predicate.min_share or 0.0

    def absent(batch: Batch, source_of: Ints, sources: Column) -> Bools:
        words = batch.column(predicate.target).words
        total = words.count - n + 1

        def few_with(most: Ints) -> Bools:
            room = np.maximum(most - n + 1, 0)[source_of]
            shared = total - np.maximum(words.distinct(n) - room, 0)
            few: Bools = shared / np.maximum(total, 1) < share
            return few | (words.count < max(predicate.min_words, n))

        # Each word but the last takes two bytes; folding may only add words where it is not plain.
        few = few_with(np.where(sources.plain, (sources.bytes + 1) // 2, np.int64(MAX_CHARS)))
        if not few.all():
            few = few_with(sources.words.count)
        if not few.all():
            met, owner = _met(words, source_of, sources, n, 1, ~few)
            shared = np.bincount(owner[met], minlength=len(batch))
            few |= shared / np.maximum(total, 1) < share
        return few

    return _comparison(predicate, absent)


def _met(
    words: Words, source_of: Ints, sources: Column, n: int, stride: int, chosen: Bools | None = None
) -> tuple[Bools, Ints]:
    """Whether each `stride`-th n-gram of the texts stands in the text's source, and its text.

    By hashes: one that stands there is always met.
    """
    places, owner = words.places(n, stride, chosen)
    # Equal n-grams of different sources must not meet: each source has a key of its own.
    keys = words.grams(n)[places] ^ _source_keys(source_of[owner])
    said, source = sources.words.places(n, 1)
    known = np.sort(sources.words.grams(n)[said] ^ _source_keys(source))
    met = np.zeros(1 << _HEAD_BITS, np.bool_)
    met[known >> _HEAD_SHIFT] = True
    met = met[keys >> _HEAD_SHIFT]
    # Few keys begin as a known one does; those are looked up whole.
    alike = np.flatnonzero(met)
    if alike.size:
        nearest = np.minimum(np.searchsorted(known, keys[alike]), len(known) - 1)
        met[alike] = known[nearest] == keys[alike]
    return met, owner


def _comparison(predicate: lang.Overlap, absent: Callable[[Batch, Ints, Column], Bools]) -> Screen:
    def run(batch: Batch) -> Settled:
        column = batch.column(predicate.target)
        sources, source_of = batch.distinct(predicate.other)
        empty = (sources.chars == 0)[source_of]
        known = column.whole & sources.whole[source_of]
        return Settled(
            np.zeros(len(batch), np.bool_),
            (column.whole & empty) | (known & absent(batch, source_of, sources)),
        )

    return run


def _source_keys(numbers: Ints) -> Hashes:
    return (numbers.astype(np.uint32) + np.uint32(1)) * np.uint32(0xC2B2AE3D)
