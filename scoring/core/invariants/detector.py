"""A named shape in text: a pattern of bounded length, then a check that a pattern cannot make."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from scoring.core.invariants.patterns import Pattern, trusted_pattern

# Shapes that fail their check (any long number) are tried this often a window at most.
MAX_CANDIDATES = 4_096
_NEAR_BYTES = 64


@dataclass(frozen=True, slots=True)
class Detector:
    """One kind of thing that a text can spell out.

    Attributes
    ----------
    name, label : key in the language, and what people read.
    pattern : RE2; every repetition bounded, so that a candidate costs constant time.
    valid : check on the matched text (group 1 where the pattern has one), None for the shape alone.
    near : words one of which must stand within 64 bytes before the match, where the shape alone is
        too common.
    wakes : simpler patterns one of which every match contains, for the shared prefilter; short
        literals, each on its own, since a pattern that joins them hides them from the prefilter.
    """

    name: str
    label: str
    pattern: Pattern
    valid: Callable[[str], bool] | None = None
    near: Pattern | None = None
    wakes: tuple[str, ...] = ()

    def found(self, data: bytes) -> bool:
        return bool(self.spans(data, 1))

    def spans(self, data: bytes, limit: int) -> list[tuple[int, int]]:
        """The first `limit` valid matches, as byte offsets.

        A candidate that fails is retried from its second byte on, since a longer number may hide
        a shorter valid one.
        """
        if self.valid is None and self.near is None and not self.pattern.compiled.groups:
            return self.pattern.spans(data, limit)
        found: list[tuple[int, int]] = []
        position = 0
        search = self.pattern.compiled.search
        for _ in range(MAX_CANDIDATES):
            match = search(data, position)
            if match is None:
                break
            start, end = match.span(match.lastindex or 0)
            if self._accepts(data, start, end):
                found.append((start, end))
                if len(found) >= limit:
                    break
                position = end
            else:
                position = match.start() + 1
        return found

    def _accepts(self, data: bytes, start: int, end: int) -> bool:
        if self.near is not None:
            before = data[max(0, start - _NEAR_BYTES) : start]
            if not self.near.found(before):
                return False
        if self.valid is None:
            return True
        return self.valid(data[start:end].decode("utf-8", "replace"))


def detector(
    name: str,
    label: str,
    pattern: str,
    *,
    valid: Callable[[str], bool] | None = None,
    near: str | None = None,
    ignore_case: bool = False,
    wakes: tuple[str, ...] = (),
) -> Detector:
    """A detector from pattern sources; `near` never minds case."""
    return Detector(
        name,
        label,
        trusted_pattern(pattern, ignore_case),
        valid,
        trusted_pattern(near, True) if near is not None else None,
        wakes,
    )
