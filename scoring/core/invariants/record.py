"""What an inference record says, as texts with offsets: targets, segments, windows.

The record is a mapping as the API takes it (`input`, `output`, `signals`, `context`, `model`).
Anything that is not text is passed over. A target joins its segments with line feeds; a text
longer than `SCAN_CHARS` is scanned in two windows, the first `HEAD_CHARS` and the last
`TAIL_CHARS` characters, and no match reaches from one window into the other.
"""

from __future__ import annotations

import bisect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from scoring.core.invariants.folding import fold, fold_offsets, folds_by_case

HEAD_CHARS = 49_152
TAIL_CHARS = 16_384
SCAN_CHARS = HEAD_CHARS + TAIL_CHARS
_SYSTEM_ROLES = ("system", "developer")
_LISTS = (list, tuple)
# Lower-cases ASCII; all of it but letters and digits separates words; other bytes stay.
WORD_TABLE = bytes(
    code if code >= 128 else ord(chr(code).lower()) if chr(code).isalnum() else 32
    for code in range(256)
)


@dataclass(frozen=True, slots=True)
class Span:
    """Characters [start, end) of one text of a record.

    `side` is "input" or "output"; `turn` and `part` are indexes into a list of messages and into
    the parts of its content, None where the value is a plain string.
    """

    side: str
    turn: int | None
    part: int | None
    start: int
    end: int


class Segment(NamedTuple):
    """One string of a record, and where it stood."""

    side: str
    role: str | None
    turn: int | None
    part: int | None
    text: str


class Window:
    """A contiguous piece of a target's text, with the forms the checks share, made on first use."""

    __slots__ = (
        *("_data", "_distinct", "_folded_data", "_offsets", "_plain", "_words"),
        *("ascii", "start", "text"),
    )

    def __init__(self, start: int, text: str) -> None:
        self.start = start
        self.text = text
        self.ascii = text.isascii()
        self._data: bytes | None = None
        self._plain: bool | None = True if self.ascii else None
        self._folded_data: bytes | None = None
        self._offsets: list[int] | None = None
        self._words: list[bytes] | None = None
        self._distinct: frozenset[bytes] | None = None

    @property
    def data(self) -> bytes:
        """UTF-8; a lone surrogate, which has no encoding, becomes a question mark."""
        if self._data is None:
            self._data = self.text.encode("utf-8", "replace")
        return self._data

    @property
    def plain(self) -> bool:
        """Whether `folded_data` differs from `data` in the case of ASCII letters only."""
        if self._plain is None:
            self._plain = folds_by_case(self.data)
        return self._plain

    @property
    def folded_data(self) -> bytes:
        """UTF-8 of the folded text."""
        if self._folded_data is None:
            self._folded_data = (
                self.data.lower() if self.plain else fold(self.text).encode("utf-8", "replace")
            )
        return self._folded_data

    @property
    def words(self) -> list[bytes]:
        """Folded words as UTF-8, ASCII punctuation taken as space."""
        if self._words is None:
            source = self.data if self.plain else self.folded_data
            self._words = source.translate(WORD_TABLE).split()
        return self._words

    @property
    def distinct(self) -> frozenset[bytes]:
        """The set of `words`."""
        if self._distinct is None:
            self._distinct = frozenset(self.words)
        return self._distinct

    def span(self, start: int, end: int) -> tuple[int, int]:
        """Byte offsets of `data` as character offsets of the target's text.

        An empty match may stand inside a character; it is moved to its start.
        """
        if self.ascii:
            return self.start + start, self.start + end
        first = len(self.data[:start].decode("utf-8", "ignore"))
        last = first + len(self.data[start:end].decode("utf-8", "ignore"))
        return self.start + first, self.start + last

    def folded_span(self, start: int, end: int) -> tuple[int, int]:
        """Byte offsets of `folded_data` as character offsets of the target's text."""
        if self.ascii:
            return self.start + start, self.start + end
        if self._offsets is None:
            self._offsets = fold_offsets(self.text)
        first = len(self.folded_data[:start].decode("utf-8", "ignore"))
        last = first + len(self.folded_data[start:end].decode("utf-8", "ignore"))
        return self.start + self._offsets[first], self.start + self._offsets[last]


class TextView:
    """The text of one target, its windows, and the way from its offsets back to the record."""

    __slots__ = ("_segments", "_starts", "text", "windows")

    def __init__(self, segments: tuple[Segment, ...]) -> None:
        self._segments = segments
        self._starts: list[int] | None = None
        self.text = _joined(segments)
        if len(self.text) <= SCAN_CHARS:
            self.windows: tuple[Window, ...] = (Window(0, self.text),)
        else:
            tail = len(self.text) - TAIL_CHARS
            self.windows = (Window(0, self.text[:HEAD_CHARS]), Window(tail, self.text[tail:]))

    @property
    def truncated(self) -> bool:
        return len(self.windows) > 1

    def spans(self, start: int, end: int) -> list[Span]:
        """Characters [start, end) of the target as spans of the record, one a segment."""
        if self._starts is None:
            self._starts = []
            total = 0
            for segment in self._segments:
                self._starts.append(total)
                total += len(segment.text) + 1
        found: list[Span] = []
        index = max(0, bisect.bisect_right(self._starts, start) - 1)
        while index < len(self._segments) and self._starts[index] < max(end, start + 1):
            segment, origin = self._segments[index], self._starts[index]
            low = max(0, start - origin)
            high = min(len(segment.text), end - origin)
            if low <= high:
                found.append(Span(segment.side, segment.turn, segment.part, low, high))
            index += 1
        return found


class RecordView:
    """One record while its invariants are evaluated; nothing of the record is changed."""

    __slots__ = ("_segments", "_views", "awake", "context", "memo", "record", "region", "signals")

    def __init__(self, record: Mapping[str, Any]) -> None:
        self.record = record
        self.signals = _mapping(record.get("signals"))
        self.context = _mapping(record.get("context"))
        region = self.context.get("region")
        self.region = region.casefold() if isinstance(region, str) else ""
        self.awake: set[int] = set()
        self.memo: dict[int, bool] = {}
        self._segments: dict[str, tuple[Segment, ...]] = {}
        self._views: dict[str, TextView] = {}

    def view(self, target: str) -> TextView:
        """The text of a target, one of `vocabulary.TARGETS`; empty where the record has none."""
        view = self._views.get(target)
        if view is None:
            chosen = self._choose(target)
            if target != "input" and chosen is self._segments.get("input"):
                view = self.view("input")
            else:
                view = TextView(chosen)
            self._views[target] = view
        return view

    def text(self, target: str) -> str:
        """The text of `view(target)`, without its windows."""
        value = self.record.get("output" if target == "output" else "input")
        if isinstance(value, str) and target != "all":
            # Without roles there is no system message, and all of the input is the user's.
            return "" if target == "system" else value
        view = self._views.get(target)
        return _joined(self._choose(target)) if view is None else view.text

    def said(self) -> tuple[str, str, str] | None:
        """`text` of input, last_user and system at once; None where it takes the long way.

        The short one is for a string, and for messages whose contents are strings, which most are.
        """
        value = self.record.get("input")
        if type(value) is str:
            return value, value, ""
        if type(value) is not list:
            return None
        texts, system, user = [], [], ""
        for message in value:
            content = message.get("content") if type(message) is dict else None
            if type(content) is not str:
                return None
            role = message.get("role")
            if role == "user":
                user = content
            elif role in _SYSTEM_ROLES:
                system.append(content)
            texts.append(content)
        return "\n".join(texts), user, "\n".join(system)

    @property
    def model(self) -> tuple[str, str]:
        """Name and version of the model, empty where not given."""
        model = _mapping(self.record.get("model"))
        name, version = model.get("name"), model.get("version")
        return (
            name if isinstance(name, str) else "",
            version if isinstance(version, str) else "",
        )

    def _side(self, side: str) -> tuple[Segment, ...]:
        segments = self._segments.get(side)
        if segments is None:
            segments = segments_of(side, self.record.get(side))
            self._segments[side] = segments
        return segments

    def _choose(self, target: str) -> tuple[Segment, ...]:
        if target in ("output", "input"):
            return self._side(target)
        if target == "all":
            return self._side("input") + self._side("output")
        given = self._side("input")
        if target == "system":
            return tuple([segment for segment in given if segment.role in _SYSTEM_ROLES])
        if given and given[0].role is None:
            return given
        for segment in reversed(given):
            if segment.role == "user":
                turn = segment.turn
                last = tuple([item for item in given if item.turn == turn])
                return given if len(last) == len(given) else last
        return ()


def segments_of(side: str, value: object) -> tuple[Segment, ...]:
    """The strings of an input or output, in order: a string, or a list of {role, content}."""
    if isinstance(value, str):
        return (Segment(side, None, None, None, value),)
    if not isinstance(value, _LISTS):
        return ()
    segments: list[Segment] = []
    for turn, message in enumerate(value):
        fields = _mapping(message)
        role = fields.get("role")
        role = role if isinstance(role, str) else ""
        content = fields.get("content")
        if isinstance(content, str):
            segments.append(Segment(side, role, turn, None, content))
        elif isinstance(content, _LISTS):
            segments.extend(
                Segment(side, role, turn, index, part["text"])
                for index, part in enumerate(content)
                if isinstance(part, Mapping)
                and part.get("type", "text") == "text"
                and isinstance(part.get("text"), str)
            )
    return tuple(segments)


def _joined(segments: tuple[Segment, ...]) -> str:
    if len(segments) == 1:
        return segments[0].text
    return "\n".join([segment.text for segment in segments])


def _mapping(value: object) -> Mapping[str, Any]:
    # Decoded JSON holds dicts; the abstract check costs ten times as much.
    return value if type(value) is dict or isinstance(value, Mapping) else {}
