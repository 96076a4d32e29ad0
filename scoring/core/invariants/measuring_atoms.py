"""Predicates that measure: lengths, JSON, values, ranges, scripts, repetition, overlap."""

from __future__ import annotations

import functools

from scoring.core.invariants import language as lang
from scoring.core.invariants.atoms import Atom, Evidence, measuring_atom, scan_note
from scoring.core.invariants.folding import fold
from scoring.core.invariants.overlap import WordIndex
from scoring.core.invariants.record import RecordView, TextView, Window
from scoring.core.invariants.repetition import (
    compressed_away_share,
    ngrams_repeat,
    repeated_line_share,
)
from scoring.core.invariants.schema import OutOfSteps, compile_schema, read_json
from scoring.core.invariants.scripts import script_share

# System prompts repeat from record to record; their word indexes are worth keeping.
_INDEX_CACHE = 64


def measure_atom(predicate: lang.Predicate) -> Atom | None:
    """The atom of a predicate that measures, None for one that finds places."""
    match predicate:
        case lang.Length():
            return _length(predicate)
        case lang.Json():
            return _json(predicate)
        case lang.OneOf():
            return _one_of(predicate)
        case lang.ContextIs():
            return _context(predicate)
        case lang.InRange():
            return _in_range(predicate)
        case lang.ScriptShare():
            return _script(predicate)
        case lang.Repetition():
            return _repetition(predicate)
        case lang.Overlap():
            return _overlap(predicate)
    return None


def _length(predicate: lang.Length) -> Atom:
    low, high, unit, target = predicate.min, predicate.max, predicate.unit, predicate.target

    def measure(view: TextView) -> int:
        if unit == "chars":
            return len(view.text)
        if unit == "words":
            return len(view.text.split())
        return view.text.count("\n") + 1 if view.text else 0

    def test(record: RecordView) -> bool:
        size = measure(record.view(target))
        return (low is None or size >= low) and (high is None or size <= high)

    def say(record: RecordView, truth: bool) -> str:
        size = measure(record.view(target))
        return f"{target} has {size} {unit}, {'' if truth else 'not '}in {_interval(low, high)}"

    return measuring_atom(target, test, say)


def _json(predicate: lang.Json) -> Atom:
    target, fence = predicate.target, predicate.allow_fence
    text = predicate.schema
    schema = compile_schema(text, f"{predicate.path}/schema") if text is not None else None

    def judge(record: RecordView) -> str:
        parsed, value = read_json(record.view(target).text, fence)
        if not parsed:
            return "is not JSON, or longer than is read"
        try:
            if schema is not None and not schema.valid(value):
                return "is JSON that the schema refuses"
        except OutOfSteps:
            return "is JSON too large to be validated"
        return ""

    def say(record: RecordView, truth: bool) -> str:
        return f"{target} is valid JSON" if truth else f"{target} {judge(record)}"

    return measuring_atom(target, lambda record: not judge(record), say)


def _one_of(predicate: lang.OneOf) -> Atom:
    target, folds = predicate.target, predicate.ignore_case
    values = frozenset(fold(value) if folds else value for value in predicate.values)
    longest = max(map(len, predicate.values)) * 18  # NFKC grows a character at most 18-fold

    def test(record: RecordView) -> bool:
        text = record.view(target).text.strip()
        if len(text) > longest:
            return False
        return (fold(text) if folds else text) in values

    def say(_record: RecordView, truth: bool) -> str:
        return f"{target} is {'' if truth else 'not '}one of {len(values)} allowed values"

    return measuring_atom(target, test, say)


def _context(predicate: lang.ContextIs) -> Atom:
    name, missing = predicate.name, predicate.missing == "holds"
    values = {(isinstance(value, bool), value) for value in predicate.values}

    def test(record: RecordView) -> bool:
        value = record.context.get(name)
        if not isinstance(value, str | int | float):
            return missing
        return (isinstance(value, bool), value) in values

    def say(_record: RecordView, truth: bool) -> str:
        return f"context {name} is {'' if truth else 'not '}one of {len(values)} values"

    return measuring_atom("", test, say)


def _in_range(predicate: lang.InRange) -> Atom:
    low, high, name = predicate.min, predicate.max, predicate.name
    missing = predicate.missing == "holds"

    def value_of(record: RecordView) -> float | None:
        value = (record.signals if predicate.of == "signals" else record.context).get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return value

    def test(record: RecordView) -> bool:
        value = value_of(record)
        if value is None:
            return missing
        return (low is None or value >= low) and (high is None or value <= high)

    def say(record: RecordView, truth: bool) -> str:
        value = value_of(record)
        if value is None:
            return f"{predicate.of} {name} is missing"
        return (
            f"{predicate.of} {name} = {value:g}, {'' if truth else 'not '}in {_interval(low, high)}"
        )

    return measuring_atom("", test, say)


def _script(predicate: lang.ScriptShare) -> Atom:
    target, scripts = predicate.target, predicate.scripts

    def measure(record: RecordView) -> tuple[float, int]:
        shares = [script_share(window.text, scripts) for window in record.view(target).windows]
        letters = sum(count for _, count in shares)
        share = sum(share * count for share, count in shares) / letters if letters else 0.0
        return share, letters

    low, high = predicate.min, predicate.max
    ascii_share = 1.0 if "latin" in scripts else 0.0

    def test(record: RecordView) -> bool:
        if low <= ascii_share <= high and all(w.ascii for w in record.view(target).windows):
            return True
        share, letters = measure(record)
        return letters < predicate.min_letters or low <= share <= high

    def say(record: RecordView, _truth: bool) -> str:
        share, letters = measure(record)
        note = scan_note(record.view(target))
        return f"{share:.0%} of {letters} letters of {target} in {', '.join(scripts)}{note}"

    return measuring_atom(target, test, say)


def _repetition(predicate: lang.Repetition) -> Atom:
    target, size, share = predicate.target, predicate.min_size, predicate.max_share

    def repeats(window: Window) -> bool:
        if predicate.of == "ngrams":
            # A word and its space take two bytes at least, once folded.
            if (window.ascii and len(window.text) < 2 * size - 1) or len(window.words) < size:
                return False
            return ngrams_repeat(window.words, len(window.distinct), predicate.n, share)
        if predicate.of == "lines":
            if window.text.count("\n") + 1 < size:
                return False
            found, lines = repeated_line_share(window.text)
            return lines >= size and found > share
        return len(window.data) >= size and compressed_away_share(window.data) > share

    def test(record: RecordView) -> bool:
        return any(repeats(window) for window in record.view(target).windows)

    def say(record: RecordView, truth: bool) -> str:
        what = f"{predicate.n}-grams" if predicate.of == "ngrams" else predicate.of
        more = "more" if truth else "not more"
        note = scan_note(record.view(target))
        return f"{more} than {share:.0%} of the {what} of {target} repeat{note}"

    return measuring_atom(target, test, say)


def _overlap(predicate: lang.Overlap) -> Atom:
    target, other, run = predicate.target, predicate.other, predicate.run_words
    n = run if run is not None else predicate.n
    share = predicate.min_share or 0.0

    @functools.lru_cache(maxsize=_INDEX_CACHE)
    def index_of(text: str) -> WordIndex:
        return WordIndex(Window(0, text).words, n)

    def place(record: RecordView) -> tuple[Window, int] | None:
        source = record.view(other)
        if not source.text:
            return None
        windows = record.view(target).windows
        if run is None and all(_mostly_new(window, source, n, share) for window in windows):
            return None
        indexes = [index_of(window.text) for window in source.windows]
        for window in windows:
            words = window.words
            if len(words) < max(predicate.min_words, n):
                continue
            for index in indexes:
                if run is not None:
                    first = index.first_run(words)
                    if first is not None:
                        return window, first
                elif index.shares(words, share):
                    return window, 0
        return None

    def explain(record: RecordView, truth: bool) -> Evidence:
        view = record.view(target)
        found = place(record) if truth else None
        if found is None:
            return Evidence(f"{target} takes over too little of {other}{scan_note(view)}")
        if run is None:
            part = f"{share:.0%} or more of its {n}-grams"
            return Evidence(f"{target} shares {part} with {other}{scan_note(view)}")
        start, end = _words_place(found[0], found[1], run)
        spans = tuple(view.spans(*found[0].folded_span(start, end)))
        return Evidence(f"{target} repeats {run} words of {other}{scan_note(view)}", spans)

    return Atom(target, lambda record: place(record) is not None, explain)


def _mostly_new(window: Window, source: TextView, n: int, share: float) -> bool:
    """Whether a window says too many words that its source has no room for, to share its n-grams.

    A source of c folded bytes has at most (c + 1) / 2 words; each distinct word beyond these begins
    an n-gram that is not shared, but for the last n - 1.
    """
    room = sum(len(part.data if part.ascii else part.folded_data) + 1 for part in source.windows)
    new = len(window.distinct) - room // 2 - (n - 1)
    return new > (1.0 - share) * max(0, len(window.words) - n + 1)


def _words_place(window: Window, first: int, count: int) -> tuple[int, int]:
    """Byte offsets, in the folded text, of `count` words from the `first` on."""
    position, start = 0, 0
    for index, word in enumerate(window.words[: first + count]):
        position = window.folded_data.find(word, position)
        if index == first:
            start = position
        position += len(word)
    return start, position


def _interval(low: float | None, high: float | None) -> str:
    return f"[{'-∞' if low is None else f'{low:g}'}, {'∞' if high is None else f'{high:g}'}]"
