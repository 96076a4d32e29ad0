"""Predicates compiled to atoms: a cheap truth of a record, and the evidence for it on demand.

An atom that declares `wakes` is false of every text in which none of these patterns may match, so
the engine asks it only where the shared prefilter woke it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoring.core.invariants.patterns import Wake, always_woken
from scoring.core.invariants.record import RecordView, Span, TextView, Window

MAX_SPANS = 16


@dataclass(frozen=True, slots=True)
class Evidence:
    """Why a predicate is as true or false as it is: spans to mark, and words without quotation."""

    detail: str
    spans: tuple[Span, ...] = ()


Finder = Callable[[Window, int], list[tuple[int, int]]]


@dataclass(frozen=True)
class Atom:
    """A compiled predicate.

    Attributes
    ----------
    target : the text it reads, "" where it reads none.
    test : its truth of a record.
    explain : evidence for the truth given.
    wakes : see the module; empty where the atom must always be asked.
    always_woken : whether a wake pattern requires no literal, so that every text wakes it.
    """

    target: str
    test: Callable[[RecordView], bool]
    explain: Callable[[RecordView, bool], Evidence]
    wakes: tuple[Wake, ...] = ()
    always_woken: bool = False

    @property
    def sleeps(self) -> bool:
        return bool(self.wakes)


def finding_atom(
    target: str,
    label: str,
    find: Finder,
    min_count: int = 1,
    wakes: tuple[Wake, ...] = (),
    found: Callable[[Window], bool] | None = None,
) -> Atom:
    """An atom that is true where `find` finds at least `min_count` places.

    `find(window, limit)` returns at most `limit` places as character offsets of the target's text;
    `found` may say faster whether a window has one.
    """

    def places(view: TextView, limit: int) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for window in view.windows:
            found.extend(find(window, limit - len(found)))
            if len(found) >= limit:
                break
        return found

    def test(record: RecordView) -> bool:
        windows = record.view(target).windows
        if found is not None and min_count == 1:
            return any(found(window) for window in windows)
        if len(windows) == 1:
            return len(find(windows[0], min_count)) >= min_count
        return len(places(record.view(target), min_count)) >= min_count

    def explain(record: RecordView, truth: bool) -> Evidence:
        view = record.view(target)
        if not truth:
            return Evidence(f"no {label} in {target}{scan_note(view)}")
        found = places(view, MAX_SPANS)
        spans = tuple(span for start, end in found for span in view.spans(start, end))
        more = " or more" if len(found) >= MAX_SPANS else ""
        count = f" ({len(found)}{more} places)" if len(found) > 1 else ""
        return Evidence(f"{label} in {target}{count}{scan_note(view)}", spans)

    return Atom(target, test, explain, wakes, any(map(always_woken, wakes)))


def measuring_atom(
    target: str, test: Callable[[RecordView], bool], say: Callable[[RecordView, bool], str]
) -> Atom:
    """An atom over a measure of the whole text: no spans, `say` puts the measure in words."""

    def explain(record: RecordView, truth: bool) -> Evidence:
        return Evidence(say(record, truth))

    return Atom(target, test, explain)


def scan_note(view: TextView) -> str:
    """What to add to a detail where the text was too long to be scanned whole."""
    if not view.truncated:
        return ""
    scanned = " and last ".join(str(len(window.text)) for window in view.windows)
    return f" (truncated: scanned the first {scanned} of {len(view.text)} characters)"
