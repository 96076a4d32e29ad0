"""Regular expressions in linear time, through google-re2, with caps and a shared prefilter.

RE2 (Cox, "Regular Expression Matching in the Wild", 2010) has no backtracking: a search costs at
most time proportional to text length times program size, so both are capped. Before any pattern
runs, one automaton over the literals that the patterns require is run over the text
(FilteredRE2), and only patterns whose literals are there are tried.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import re2

from scoring.core.invariants.record import Window
from scoring.core.invariants.vocabulary import MAX_PATTERN_CHARS, MAX_TERMS

MAX_PROGRAM = 2_000
MAX_MEMORY_BYTES = 2 << 20
# Patterns of this package (catalogue, terms) are trusted to be finite, not to be small.
TRUSTED_MEMORY_BYTES = 16 << 20
# The automaton of a set has states for combinations of its patterns: only small ones may join.
MAX_SET_PROGRAM = 400
# Short texts are scanned so many at once, where they are no longer than this together.
_TOGETHER, _TOGETHER_BYTES = 16, 4_096
_BREAK = b"\xff"  # no byte of UTF-8


class PatternError(ValueError):
    """A pattern that RE2 does not take, or that is over a cap."""


def _options(ignore_case: bool, memory: int) -> re2.Options:
    options = re2.Options()
    options.case_sensitive = not ignore_case
    options.max_mem = memory
    options.log_errors = False
    return options


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled pattern over UTF-8 bytes; groups are for the package's own patterns only."""

    source: str
    ignore_case: bool
    compiled: re2._Regexp

    def found(self, data: bytes) -> bool:
        return self.compiled.search(data) is not None

    def spans(self, data: bytes, limit: int) -> list[tuple[int, int]]:
        """The first `limit` matches that do not overlap, as byte offsets."""
        found: list[tuple[int, int]] = []
        for match in self.compiled.finditer(data):
            found.append(match.span())
            if len(found) >= limit:
                break
        return found


def compile_pattern(source: str, ignore_case: bool = False) -> Pattern:
    """Compile a pattern from a document, under the caps.

    Raises
    ------
    PatternError
        too long, not RE2 syntax (no back references, no look-around), or a program over
        `MAX_PROGRAM` instructions.
    """
    if len(source) > MAX_PATTERN_CHARS:
        raise PatternError(f"has more than {MAX_PATTERN_CHARS} characters")
    options = _options(ignore_case, MAX_MEMORY_BYTES)
    options.never_capture = True
    try:
        compiled = re2.compile(source.encode("utf-8"), options)
    except re2.error as error:
        reason = error.args[0] if error.args else "not RE2 syntax"
        text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
        raise PatternError(f"is not RE2 syntax: {text}") from error
    except UnicodeEncodeError as error:
        raise PatternError("has a lone surrogate") from error
    if max(compiled.programsize, compiled.reverseprogramsize) > MAX_PROGRAM:
        raise PatternError(f"compiles to more than {MAX_PROGRAM} instructions")
    return Pattern(source, ignore_case, compiled)


def trusted_pattern(source: str, ignore_case: bool = False) -> Pattern:
    """Compile a pattern that this package wrote or built; groups allowed."""
    options = _options(ignore_case, TRUSTED_MEMORY_BYTES)
    return Pattern(source, ignore_case, re2.compile(source.encode("utf-8"), options))


_UNSPACED = trusted_pattern(r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]")


class TermPattern:
    """Folded terms as one pattern, whole words decided by Unicode letters, digits and underscore.

    RE2 knows word boundaries of ASCII only, so the neighbours are part of the pattern and the
    search goes on right after the term, not after its neighbour.
    """

    __slots__ = ("_compiled", "source")

    def __init__(self, folded: tuple[str, ...], whole_words: bool) -> None:
        if not 1 <= len(folded) <= MAX_TERMS:
            raise PatternError(f"needs 1 to {MAX_TERMS} terms")
        longest_first = sorted(set(folded), key=lambda term: (-len(term), term))
        before = {True: r"(?:\A|[^\pL\pM\pN_])", False: ""}
        after = {True: r"(?:\z|[^\pL\pM\pN_])", False: ""}
        groups: dict[tuple[bool, bool], list[str]] = {}
        for term in longest_first:
            edges = tuple(whole_words and _spaced_word(char) for char in (term[0], term[-1]))
            words = r"\s+".join(re2.escape(word) for word in term.split())
            groups.setdefault((edges[0], edges[1]), []).append(words)
        self.source = "|".join(
            f"{before[left]}({'|'.join(words)}){after[right]}"
            for (left, right), words in groups.items()
        )
        self._compiled = trusted_pattern(self.source).compiled

    def found(self, data: bytes) -> bool:
        return self._compiled.search(data) is not None

    def spans(self, data: bytes, limit: int) -> list[tuple[int, int]]:
        """The first `limit` occurrences, as byte offsets of the folded text."""
        found: list[tuple[int, int]] = []
        position = 0
        while len(found) < limit:
            match = self._compiled.search(data, position)
            if match is None:
                break
            start, end = match.span(match.lastindex or 0)
            found.append((start, end))
            position = end
        return found


def _spaced_word(char: str) -> bool:
    return (char.isalnum() or char == "_") and not _UNSPACED.found(char.encode("utf-8", "replace"))


@dataclass(frozen=True, slots=True)
class Wake:
    """One pattern for the prefilter; `folded` runs over the folded text."""

    source: str
    ignore_case: bool = False
    folded: bool = False

    @property
    def inline(self) -> str:
        return f"(?i:{self.source})" if self.ignore_case else self.source


class Prefilter:
    """Which of many patterns may match a text, found by two automata, each passed once.

    A pattern that requires a literal of three bytes is looked for by its literals (FilteredRE2,
    whose automaton has at most as many states as the literals have bytes); a small one that does
    not ("@") is run itself, in a set; a large one that does not is always a candidate.
    """

    __slots__ = ("_always", "_filter", "_filtered", "_folded", "_set", "_size", "_tried")

    def __init__(self, wakes: Sequence[Wake]) -> None:
        """Ids are the positions in `wakes`; those for the folded text come last."""
        plain = sum(not wake.folded for wake in wakes)
        if any(wake.folded for wake in wakes[:plain]):
            raise ValueError("wakes of the folded text must come last")
        self._folded, self._size = plain, len(wakes)
        loose = {index for index, wake in enumerate(wakes) if requires_no_literal(wake)}
        self._always = tuple(sorted(index for index in loose if always_woken(wakes[index])))
        self._tried = tuple(sorted(loose.difference(self._always)))
        self._filtered = tuple(index for index in range(len(wakes)) if index not in loose)
        self._filter = re2.Filter()
        self._set = re2.Set.SearchSet(_options(False, TRUSTED_MEMORY_BYTES))
        for index in self._filtered:
            self._filter.Add(wakes[index].inline, _options(False, TRUSTED_MEMORY_BYTES))
        for index in self._tried:
            self._set.Add(wakes[index].inline)
        if self._filtered:
            self._filter.Compile()
        if self._tried:
            self._set.Compile()

    def candidates(self, window: Window) -> Collection[int]:
        """Ids of the patterns that may match; every pattern that does match is among them."""
        (found,) = self.sweep([window.data])
        if self._folded == self._size or window.plain:
            return found
        plain = {index for index in found if index < self._folded}
        (again,) = self.sweep([window.folded_data])
        return plain.union(index for index in again if index >= self._folded)

    def sweep(self, texts: Sequence[bytes]) -> list[Collection[int]]:
        """Of each text, the ids of patterns that may match, taking it as plain and as folded."""
        set_ = self._set.Match
        nothing = [None] * len(texts)
        filtered = self._swept(texts) if self._filtered else nothing
        tried = [set_(text) for text in texts] if self._tried else nothing
        # Most texts wake nothing, so nothing is made for them.
        return [
            self._named(one, other) if one or other else self._always
            for one, other in zip(filtered, tried, strict=True)
        ]

    def _swept(self, texts: Sequence[bytes]) -> list[list[int] | None]:
        """What the literals of each text wake; short texts are asked together first.

        Of several texts in one no literal is lost, and more literals never wake fewer patterns, so
        where the joined ones wake nothing, none of them does.
        """
        match = self._filter.Match
        found: list[list[int] | None] = []
        for start in range(0, len(texts), _TOGETHER):
            some = texts[start : start + _TOGETHER]
            short = len(some) > 1 and sum(map(len, some)) <= _TOGETHER_BYTES
            if short and not match(_BREAK.join(some), True):
                found.extend([None] * len(some))
            else:
                found.extend([match(text, True) for text in some])
        return found

    def _named(self, filtered: list[int] | None, tried: list[int] | None) -> set[int]:
        found = set(self._always)
        found.update([self._filtered[index] for index in filtered or ()])
        found.update([self._tried[index] for index in tried or ()])
        return found


def requires_no_literal(wake: Wake) -> bool:
    """Whether a pattern has no literal of three bytes that every match contains."""
    alone = re2.Filter()
    alone.Add(wake.inline, _options(False, TRUSTED_MEMORY_BYTES))
    alone.Compile()
    return bool(alone.Match(b"", True))


def always_woken(wake: Wake) -> bool:
    """Whether a prefilter can spare no text the pattern: no literal, and too large for a set."""
    return requires_no_literal(wake) and _program(wake) > MAX_SET_PROGRAM


def _program(wake: Wake) -> int:
    return int(trusted_pattern(wake.inline).compiled.programsize)
