"""Predicates that find places in a text: patterns, terms, catalogue shapes, links, fences."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from scoring.core.invariants import language as lang
from scoring.core.invariants import urls
from scoring.core.invariants.atoms import (
    Atom,
    Evidence,
    Finder,
    finding_atom,
    scan_note,
)
from scoring.core.invariants.code_shapes import CODE_DETECTORS
from scoring.core.invariants.detector import Detector
from scoring.core.invariants.dialogue_shapes import DIALOGUE_DETECTORS, HEAD_BYTES, HEAD_SHAPES
from scoring.core.invariants.fences import WAKE as FENCE_WAKE
from scoring.core.invariants.fences import fenced_ranges, open_fence
from scoring.core.invariants.folding import fold
from scoring.core.invariants.patterns import (
    PatternError,
    Prefilter,
    TermPattern,
    Wake,
    compile_pattern,
)
from scoring.core.invariants.personal import PERSONAL
from scoring.core.invariants.record import RecordView, Window
from scoring.core.invariants.scripts import mixed_script_words
from scoring.core.invariants.secret_shapes import SECRET_DETECTORS
from scoring.core.invariants.vocabulary import InvariantSyntaxError

_CATALOGUE: dict[tuple[str, str], Detector] = {
    (check, one.name): one
    for check, detectors in (
        ("personal_data", PERSONAL),
        ("secrets", SECRET_DETECTORS),
        ("code", CODE_DETECTORS),
        ("shape", DIALOGUE_DETECTORS),
    )
    for one in detectors
}
_INVISIBLE = {
    "bidi_control": r"\x{061C}\x{200E}\x{200F}\x{202A}-\x{202E}\x{2066}-\x{2069}",
    "zero_width": r"\x{200B}\x{2060}\x{FEFF}\x{180E}\x{00AD}",
    "tag": r"\x{E0000}-\x{E007F}",
    "control": r"\x{00}-\x{08}\x{0B}\x{0C}\x{0E}-\x{1F}\x{7F}-\x{9F}",
}
_FEWEST_SORTED = 4  # detectors of one atom; a pass over the literals costs about two of theirs
CONTROL_BYTES = bytes((*range(9), 11, 12, *range(14, 32), 127))


def find_atom(predicate: lang.Predicate) -> Atom | None:
    """The atom of a predicate that finds places, None for one that measures."""
    match predicate:
        case lang.Regex():
            return _regex(predicate)
        case lang.Terms():
            return _terms(predicate)
        case lang.PersonalData(kinds=kinds, min_count=count, target=target):
            return _catalogue(target, predicate.check, kinds, count)
        case lang.Secrets(kinds=kinds, target=target):
            return _catalogue(target, predicate.check, kinds, 1)
        case lang.Code(kinds=kinds, fenced=fenced, target=target):
            return _catalogue(target, predicate.check, kinds, 1, fenced)
        case lang.Shape(shape=shape, target=target):
            return _shape(target, shape)
        case lang.Urls():
            return _urls(predicate)
        case lang.Invisible(kinds=kinds, min_count=count, target=target):
            return _invisible(target, kinds, count)
        case lang.MixedScript(min_count=count, target=target):
            return finding_atom(target, "word of mixed scripts", _find_mixed, count)
        case lang.OpenFence(target=target):
            wakes = (Wake(FENCE_WAKE),)
            return finding_atom(target, "code fence left open", _find_open_fence, 1, wakes)
    return None


def _regex(predicate: lang.Regex) -> Atom:
    try:
        pattern = compile_pattern(predicate.pattern, predicate.ignore_case)
    except PatternError as error:
        raise InvariantSyntaxError(f"{predicate.path}/pattern", str(error)) from error
    wakes = (Wake(predicate.pattern, predicate.ignore_case),)
    find = _pattern_finder(pattern.spans)
    search = pattern.compiled.search
    return finding_atom(
        predicate.target,
        "pattern",
        find,
        predicate.min_count,
        wakes,
        found=lambda window: search(window.data) is not None,
    )


def _terms(predicate: lang.Terms) -> Atom:
    folded = tuple(fold(term).strip() for term in predicate.terms)
    for index, term in enumerate(folded):
        if not term:
            raise InvariantSyntaxError(f"{predicate.path}/terms/{index}", "has nothing to look for")
    groups = [folded] if predicate.require == "any" else [(term,) for term in folded]
    patterns = [TermPattern(group, predicate.whole_words) for group in groups]

    def find(window: Window, limit: int) -> list[tuple[int, int]]:
        return [
            window.folded_span(*place)
            for pattern in patterns
            for place in pattern.spans(window.folded_data, limit)
        ][:limit]

    wakes = tuple(Wake(pattern.source, True, folded=True) for pattern in patterns)
    if predicate.require == "any":
        return finding_atom(predicate.target, "term", find, predicate.min_count, wakes)
    target = predicate.target

    def test(record: RecordView) -> bool:
        windows = record.view(target).windows
        return all(any(one.found(w.folded_data) for w in windows) for one in patterns)

    def explain(record: RecordView, truth: bool) -> Evidence:
        if truth:
            return finding_atom(target, "term", find).explain(record, True)
        windows = record.view(target).windows
        lacking = sum(not any(one.found(w.folded_data) for w in windows) for one in patterns)
        note = scan_note(record.view(target))
        return Evidence(f"{lacking} of {len(patterns)} terms not in {target}{note}")

    return dataclasses.replace(
        finding_atom(target, "term", find, 1, wakes), test=test, explain=explain
    )


def _catalogue(
    target: str, check: str, kinds: Sequence[str], min_count: int, fenced: bool = False
) -> Atom:
    detectors = [_CATALOGUE[check, kind] for kind in kinds]
    possible = _sorter(detectors)

    def find(window: Window, limit: int) -> list[tuple[int, int]]:
        data = window.data
        ranges = fenced_ranges(data) if fenced else None
        found: set[tuple[int, int]] = set()
        for one in possible(window):
            places = one.spans(data, limit if ranges is None else max(limit, 64))
            found.update(p for p in places if ranges is None or _inside(p, ranges))
            if len(found) >= limit:
                break
        return [window.span(*place) for place in sorted(found)][:limit]

    wakes = tuple(wake for one in detectors for wake in _wakes_of(one))
    atom = finding_atom(target, "", find, min_count, wakes)

    def explain(record: RecordView, truth: bool) -> Evidence:
        windows = record.view(target).windows
        present = {
            one.name for window in windows for one in possible(window) if one.found(window.data)
        }
        labels = ", ".join(one.label for one in detectors if not truth or one.name in present)
        return finding_atom(target, labels, find, min_count).explain(record, truth)

    return dataclasses.replace(atom, explain=explain)


def _wakes_of(one: Detector) -> tuple[Wake, ...]:
    sources = one.wakes or (one.pattern.source,)
    return tuple(Wake(source, one.pattern.ignore_case) for source in sources)


def _sorter(detectors: Sequence[Detector]) -> Callable[[Window], Sequence[Detector]]:
    """Which of the detectors may find something in a window, in their order.

    What woke an atom of many detectors is one of them as a rule: one pass over the literals spares
    the others theirs.
    """
    if len(detectors) < _FEWEST_SORTED:
        return lambda window: detectors
    owners: dict[Wake, list[int]] = {}
    for index, one in enumerate(detectors):
        for wake in _wakes_of(one):
            owners.setdefault(wake, []).append(index)
    wakes = list(owners)
    prefilter = Prefilter(wakes)

    def possible(window: Window) -> Sequence[Detector]:
        woken = {index for wake in prefilter.candidates(window) for index in owners[wakes[wake]]}
        return [detectors[index] for index in sorted(woken)]

    return possible


def _inside(place: tuple[int, int], ranges: list[tuple[int, int]]) -> bool:
    return any(low <= place[0] and place[1] <= high for low, high in ranges)


def _shape(target: str, shape: str) -> Atom:
    one = _CATALOGUE["shape", shape]
    head = HEAD_BYTES if shape in HEAD_SHAPES else None

    def find(window: Window, limit: int) -> list[tuple[int, int]]:
        if head is not None and window.start > 0:
            return []
        return [window.span(*place) for place in one.spans(window.data[:head], limit)]

    return finding_atom(target, one.label, find, 1, _wakes_of(one))


def _invisible(target: str, kinds: Sequence[str], min_count: int) -> Atom:
    pattern = compile_pattern("[" + "".join(_INVISIBLE[kind] for kind in kinds) + "]")
    controls = CONTROL_BYTES if "control" in kinds else b""

    def find(window: Window, limit: int) -> list[tuple[int, int]]:
        data = window.data
        if window.ascii and len(data.translate(None, controls)) == len(data):
            return []
        return [window.span(*place) for place in pattern.spans(data, limit)]

    return finding_atom(target, "invisible character", find, min_count)


def _urls(predicate: lang.Urls) -> Atom:
    rule = urls.LinkRule(
        frozenset(predicate.kinds),
        frozenset(host.lower().strip(".") for host in predicate.deny_hosts),
        frozenset(host.lower().strip(".") for host in predicate.allow_hosts),
    )
    find = _pattern_finder(rule.spans)
    return finding_atom(
        predicate.target, "link", find, 1, tuple(Wake(source, True) for source in urls.WAKES)
    )


def _pattern_finder(spans: Callable[[bytes, int], list[tuple[int, int]]]) -> Finder:
    def find(window: Window, limit: int) -> list[tuple[int, int]]:
        return [window.span(*place) for place in spans(window.data, limit)]

    return find


def _find_mixed(window: Window, limit: int) -> list[tuple[int, int]]:
    if window.ascii:
        return []
    places = mixed_script_words(window.text, limit)
    return [(window.start + start, window.start + end) for start, end in places]


def _find_open_fence(window: Window, _limit: int) -> list[tuple[int, int]]:
    place = open_fence(window.text)
    return [] if place is None else [(window.start + place[0], window.start + place[1])]
