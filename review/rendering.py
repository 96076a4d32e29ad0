"""Hostile text made fit to be shown: turns, blocks and tokens, never markup.

What a record holds is text of an adversary. Bidi controls can reorder what a reviewer reads, and
zero-width or tag characters can hide words from them, so each becomes a visible token. Everything
here is plain data; templates escape it. Offsets count code points of the raw text.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from typing import Any

FOLD_LINES = 40
FOLD_CHARACTERS = 6_000
OUTPUT_FOLD_LINES = 400
OUTPUT_FOLD_CHARACTERS = 40_000
MAX_BLOCK = 4_000
_MANY_BLOCKS = 400
# Beyond these, more elements would only slow the page that a flood of controls wants slowed.
MAX_TOKENS = 2_000
_MAX_NAMED = 3
_FOLDED_ROLES = {"tool", "function", "system", "developer"}

_INVISIBLE_CLASS = (
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"
    "\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U000e0000-\U000e0fff]"
)
_INVISIBLE = re.compile(_INVISIBLE_CLASS)
_INVISIBLE_RUN = re.compile(_INVISIBLE_CLASS + "+")
_ABBREVIATIONS = {
    0x061C: "ALM", 0x200B: "ZWSP", 0x200E: "LRM", 0x200F: "RLM", 0x2028: "LS", 0x2029: "PS",
    0x202A: "LRE", 0x202B: "RLE", 0x202C: "PDF", 0x202D: "LRO", 0x202E: "RLO", 0x2060: "WJ",
    0x2066: "LRI", 0x2067: "RLI", 0x2068: "FSI", 0x2069: "PDI", 0xFEFF: "BOM", 0x00AD: "SHY",
    0x001B: "ESC", 0x0000: "NUL", 0x0008: "BS", 0x007F: "DEL", 0x0085: "NEL",
}  # fmt: skip
_PARAGRAPH = re.compile(r"(?<=\n)(?=[^\n])")


@dataclass(frozen=True, slots=True)
class Segment:
    """A run of plain text, or a token that stands for `n_raw` invisible characters."""

    text: str
    n_raw: int = 0  # 0: plain text

    @property
    def is_token(self) -> bool:
        return self.n_raw > 0


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, or a piece of a very long one; `start` is its offset in its turn's text."""

    start: int
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Piece:
    """A text or an image of a turn, in order; `index` counts the pieces of the whole record."""

    index: int
    kind: str  # text | image | unreadable
    blocks: tuple[Block, ...] = ()
    folded: tuple[Block, ...] = ()
    media_type: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One message; `part` names it in passages as review.answers does: `input`, `output.0`."""

    number: int
    part: str
    role: str
    is_output: bool
    pieces: tuple[Piece, ...]
    n_characters: int
    n_lines: int
    is_folded: bool


@dataclass(frozen=True, slots=True)
class Conversation:
    turns: tuple[Turn, ...]
    # (label, count) of the invisible characters, most frequent first.
    invisible: tuple[tuple[str, int], ...] = ()

    @property
    def n_invisible(self) -> int:
        return sum(count for _, count in self.invisible)


@dataclass(slots=True)
class _Tally:
    """What is counted while one record is rendered."""

    tokens: int = 0
    pieces: int = 0
    characters: Counter[str] = field(default_factory=Counter)


def conversation(input_json: str, output_json: str) -> Conversation:
    """The turns of a record, its input first.

    Args:
        input_json: the record's input as stored: the JSON text of a string or a list of messages.
        output_json: the same of its output.
    """
    tally = _Tally()
    turns: list[Turn] = []
    for source, stored in (("input", input_json), ("output", output_json)):
        for part, role, content in _messages(source, stored):
            turns.append(_turn(len(turns) + 1, part, role, content, tally))
    ordered = sorted(tally.characters.items(), key=lambda item: (-item[1], item[0]))
    return Conversation(tuple(turns), tuple((label_of(c), count) for c, count in ordered))


def part_texts(input_json: str, output_json: str) -> dict[str, str]:
    """The raw text of each part that passages may point into, in the order of the turns."""
    return {
        part: _text_of(content)
        for source, stored in (("input", input_json), ("output", output_json))
        for part, _, content in _messages(source, stored)
    }


def pieces_of(input_json: str, output_json: str) -> list[dict[str, Any]]:
    """The pieces as stored, in the order of their index; a plain string is a text piece."""
    return [
        piece
        for source, stored in (("input", input_json), ("output", output_json))
        for _, _, content in _messages(source, stored)
        for piece in _pieces(content)
    ]


def _messages(source: str, stored: str) -> Iterator[tuple[str, str, Any]]:
    """(part, role, content) of each message; an erased or empty side has none."""
    if not stored:
        return
    try:
        value = json.loads(stored)
    except ValueError:
        value = stored  # not JSON: shown as the text that it is
    if isinstance(value, list):
        for index, message in enumerate(value):
            message = message if isinstance(message, dict) else {"content": str(message)}
            yield f"{source}.{index}", str(message.get("role", "")), message.get("content", "")
    else:
        role = "user" if source == "input" else "assistant"
        yield source, role, value if isinstance(value, str) else json.dumps(value, indent=2)


def _pieces(content: Any) -> list[dict[str, Any]]:
    if isinstance(content, list):
        return [p if isinstance(p, dict) else {"type": "text", "text": str(p)} for p in content]
    return [{"type": "text", "text": content if isinstance(content, str) else str(content)}]


def _text_of(content: Any) -> str:
    """A message's text: its text pieces, a line break between two of them."""
    return "\n".join(str(p.get("text", "")) for p in _pieces(content) if p.get("type") == "text")


def _turn(number: int, part: str, role: str, content: Any, tally: _Tally) -> Turn:
    text = _text_of(content)
    is_output = part.startswith("output")
    n_lines = text.count("\n") + 1
    room = _Room(
        lines=OUTPUT_FOLD_LINES if is_output else FOLD_LINES,
        characters=OUTPUT_FOLD_CHARACTERS if is_output else FOLD_CHARACTERS,
    )
    shown = []
    offset = 0
    for stored in _pieces(content):
        index, tally.pieces = tally.pieces, tally.pieces + 1
        match stored.get("type"):
            case "text":
                raw = str(stored.get("text", ""))
                shown.append(_text_piece(index, raw, offset, room, tally))
                offset += len(raw) + 1
            case "image":
                media_type = _clean(str(stored.get("media_type", "")), tally)
                shown.append(Piece(index, "image", media_type=media_type))
            case _:
                shown.append(Piece(index, "unreadable"))
    return Turn(
        number=number,
        part=part,
        role=_clean(role, tally) or "unnamed role",
        is_output=is_output,
        pieces=tuple(shown),
        n_characters=len(text),
        n_lines=n_lines,
        is_folded=not is_output and role in _FOLDED_ROLES and n_lines + len(text) / 80 > 6,
    )


@dataclass(slots=True)
class _Room:
    """How much of a turn is still shown before the rest is folded."""

    lines: int
    characters: int

    def take(self, raw: str) -> bool:
        if self.lines <= 0 or self.characters <= 0:
            return False
        self.lines -= raw.count("\n") + 1
        self.characters -= len(raw)
        return True


def _text_piece(index: int, raw: str, offset: int, room: _Room, tally: _Tally) -> Piece:
    shown: list[Block] = []
    folded: list[Block] = []
    for start, text in _cut(raw):
        block = Block(offset + start, tuple(_segments(text, tally)))
        # Once something is folded, so is all that follows: the order stays.
        (folded if folded or not room.take(text) else shown).append(block)
    return Piece(index, "text", tuple(shown), tuple(folded))


def _cut(raw: str) -> Iterator[tuple[int, str]]:
    """(offset, text) of blocks: paragraphs, merged where they are many, cut where one is long."""
    least = len(raw) // _MANY_BLOCKS
    start = 0
    pending = ""
    for paragraph in _PARAGRAPH.split(raw):
        if pending and (len(pending) >= least or len(pending) + len(paragraph) > MAX_BLOCK):
            yield start, pending
            start, pending = start + len(pending), ""
        pending += paragraph
        while len(pending) > MAX_BLOCK:
            end = _cut_point(pending)
            yield start, pending[:end]
            start, pending = start + end, pending[end:]
    if pending:
        yield start, pending


def _cut_point(text: str) -> int:
    """Where to cut a long paragraph: after a space if one is near, and not before a mark."""
    space = text.rfind(" ", MAX_BLOCK - 400, MAX_BLOCK)
    if space > 0:
        return space + 1
    for end in range(MAX_BLOCK, MAX_BLOCK - 64, -1):
        if not unicodedata.combining(text[end]):
            return end
    return MAX_BLOCK


def _segments(text: str, tally: _Tally) -> Iterator[Segment]:
    tally.characters.update("".join(_INVISIBLE_RUN.findall(text)))
    end = 0
    for match in islice(_INVISIBLE_RUN.finditer(text), MAX_TOKENS - tally.tokens):
        run = match.group()
        tally.tokens += 1
        if match.start() > end:
            yield Segment(text[end : match.start()])
        end = match.end()
        yield Segment(_token(run), len(run))
    if end < len(text):
        # Without a flood of controls there is none left here; with one, each is replaced by one
        # character, so that offsets hold.
        yield Segment(_INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", text[end:]))


def _token(run: str) -> str:
    """`⟦U+202E RLO⟧`, with a count where one repeats, cut short where a run goes on."""
    named = [(label_of(c), sum(1 for _ in same)) for c, same in groupby(run)]
    texts = [label if count == 1 else f"{label} ×{count}" for label, count in named[:_MAX_NAMED]]
    if len(named) > _MAX_NAMED:
        texts.append(f"{sum(count for _, count in named[_MAX_NAMED:])} more")
    return f"⟦{' · '.join(texts)}⟧"


def label_of(character: str) -> str:
    """`U+202E RLO`: the code point, and a short name where there is one."""
    code = ord(character)
    if 0xE0020 <= code <= 0xE007E:
        return f"U+{code:04X} TAG {chr(code - 0xE0000)}".rstrip()
    name = _ABBREVIATIONS.get(code) or unicodedata.name(character, "")
    return f"U+{code:04X} {name}".rstrip()


def _clean(text: str, tally: _Tally) -> str:
    """One line of untrusted text, such as a role, with its invisible characters named."""
    return "".join(segment.text for segment in _segments(text[:200], tally))


def clean_line(text: str) -> str:
    """A short untrusted text, such as an external id, fit for one line of a page."""
    return _clean(text, _Tally())
