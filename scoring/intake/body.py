"""The body of `POST records`: inflate, split, and hand on one slice of bytes per record.

Records are cut out without being decoded, so that a bad one is refused alone.
"""

import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import islice

import msgspec
from msgspec import UNSET, UnsetType

from oversight.lib import errors
from oversight.lib.parsers import refuse_foreign_charset
from scoring.intake import counting

MAX_RECORDS = 10_000
MAX_DECODED_BYTES = 64 * 1024 * 1024
_INFLATE_STEP = 1 << 20

JSON = "application/json"
NDJSON = "application/x-ndjson"


class _Envelope(msgspec.Struct, forbid_unknown_fields=True):
    records: list[msgspec.Raw]


# A list of any length would become as many objects before it could be counted. Of a struct that is
# written as an array, what lies beyond the last field is passed over. It costs as much as a few
# records, whatever the list's length; short bodies need no such care.
_Bounded = msgspec.defstruct(
    "_Bounded",
    [(f"r{i}", msgspec.Raw | UnsetType, UNSET) for i in range(MAX_RECORDS + 1)],
    array_like=True,
    gc=False,
)
_LONG_BYTES = 256 * 1024


class _LongEnvelope(msgspec.Struct, forbid_unknown_fields=True):
    records: _Bounded  # type: ignore[valid-type]


_envelope = msgspec.json.Decoder(_Envelope)
_long_envelope = msgspec.json.Decoder(_LongEnvelope)


def inflate(body: bytes, encoding: str, reserve: Callable[[int], None]) -> bytes:
    """Undo the content encoding, never producing more than the cap.

    Args:
        body: as received.
        encoding: the Content-Encoding header; gzip or nothing.
        reserve: told of the size so far, before more is inflated; what it raises ends the work.

    Raises:
        UnsupportedMedia: another encoding.
        TooLarge: more than `MAX_DECODED_BYTES` come out.
        InvalidInput: not gzip, damaged, or cut off.
    """
    encoding = encoding.strip().lower()
    if encoding in ("", "identity"):
        if len(body) > MAX_DECODED_BYTES:
            raise _too_large()
        return body
    if encoding != "gzip":
        raise errors.UnsupportedMedia(f"content encoding {encoding[:40]!r} is not understood")
    parts: list[bytes] = []
    size = 0
    rest = body
    try:
        while rest:  # a gzip file may hold several members
            stream = zlib.decompressobj(31)
            while True:
                part = stream.decompress(rest, _INFLATE_STEP)
                size += len(part)
                if size > MAX_DECODED_BYTES:
                    raise _too_large()
                reserve(size)
                parts.append(part)
                rest = stream.unconsumed_tail
                if stream.eof or not (rest or part):
                    break
            if not stream.eof:
                raise errors.InvalidInput("the gzip body is cut off", code="bad_gzip")
            rest = stream.unused_data
    except zlib.error:
        raise errors.InvalidInput("the body is not gzip, or is damaged", code="bad_gzip") from None
    return b"".join(parts)


def _too_large() -> errors.TooLarge:
    return errors.TooLarge(f"the decoded body is larger than {MAX_DECODED_BYTES // 2**20} MiB")


def split(body: bytes, content_type: str) -> list[bytes]:
    """One slice of bytes per record, in the order sent.

    Args:
        body: inflated.
        content_type: the Content-Type header, JSON or NDJSON.

    Raises:
        UnsupportedMedia: another type or charset.
        InvalidInput: a JSON body that is not `{"records": [...]}`.
        TooLarge: more than `MAX_RECORDS`.
    """
    refuse_foreign_charset(content_type)
    kind = content_type.split(";")[0].strip().lower()
    if kind == NDJSON:
        slices = list(islice(_lines(body), MAX_RECORDS + 1))
    elif kind == JSON:
        slices = _elements(body)
    else:
        raise errors.UnsupportedMedia(f"send {JSON} or {NDJSON}")
    if len(slices) > MAX_RECORDS:
        raise errors.TooLarge(f"more than {MAX_RECORDS:,} records in one request")
    if not slices:
        raise errors.InvalidInput.at("records", "there are no records in the body", "required")
    return slices


def _lines(body: bytes) -> Iterator[bytes]:
    return (line for line in io.BytesIO(body) if line.strip(b" \t\r\n"))


def _elements(body: bytes) -> list[bytes]:
    try:
        slices = list(map(bytes, _raw_elements(body)))
    except msgspec.ValidationError as error:
        message, _, path = str(error).partition(" - at `$")
        raise errors.InvalidInput.at(path.strip(".`") or "records", message) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        # One record may hold what is not JSON (NaN, a lone surrogate, bad UTF-8) and still end
        # where it seems to: then its siblings are whole, and it is refused alone.
        scanned = _elements_by_scanning(body)
        if scanned is None:
            raise errors.InvalidInput.at("", f"the body is not JSON: {error}", "not_json") from None
        return scanned
    except RecursionError:
        raise errors.InvalidInput.at("", "the body is nested too deep", "too_deep") from None
    if not slices or len(slices) > MAX_RECORDS or _are_all_of(body, slices):
        return slices
    raise errors.InvalidInput.at("records", "the key 'records' occurs twice", "duplicate_key")


def _raw_elements(body: bytes) -> Sequence[msgspec.Raw]:
    """The records where they lie in the body; of more than `MAX_RECORDS` not all."""
    if len(body) <= _LONG_BYTES:
        return _envelope.decode(body).records[: MAX_RECORDS + 1]
    elements = msgspec.structs.astuple(_long_envelope.decode(body).records)
    return elements if elements[-1] is not UNSET else elements[: elements.index(UNSET)]


_FIRST_LIST = re.compile(rb'\s*\{\s*"[^"]*"\s*:\s*\[\s*')
_AFTER_ELEMENT = re.compile(rb"\s*[,\]]\s*")
_END = re.compile(rb"\}\s*\Z")


def _are_all_of(body: bytes, slices: Sequence[bytes]) -> bool:
    """Whether a valid body holds these elements alone: of a key sent twice, msgspec keeps the last.

    They are followed through the body from its first list on, which is then the only one.
    """
    after = _FIRST_LIST.match(body)
    for raw in slices:
        if after is None or not body.startswith(raw, after.end()):
            return False
        after = _AFTER_ELEMENT.match(body, after.end() + len(raw))
    return after is not None and _END.match(body, after.end()) is not None


_OPENING = re.compile(r'\s*\{\s*"records"\s*:\s*\[\s*')
_SEPARATOR = re.compile(r"\s*,\s*")
_CLOSING = re.compile(r"\s*\]\s*\}\s*\Z")
_lax = json.JSONDecoder()
_SHOWN = 1024 * 1024


class _Ends:
    """Where values end in a text, by a lax decoder that is shown no more than it may make of it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._start, self._shown = 0, ""

    def after(self, place: int) -> int:
        """The end of the value at a place.

        Raises:
            ValueError: there is none, or it holds more than `counting.MAX_VALUES`.
        """
        with suppress(ValueError):
            return self._decode(place)  # in what the values before were found in
        self._start, self._shown = place, self._text[place : place + _SHOWN]
        with suppress(ValueError):
            return self._decode(place)
        rest = self._text[place:].encode("utf-8", "surrogateescape")
        end = counting.find_comma(rest, counting.MAX_VALUES)
        self._shown = (rest if end < 0 else rest[:end]).decode("utf-8", "surrogateescape")
        return self._decode(place)

    def _decode(self, place: int) -> int:
        return self._start + _lax.raw_decode(self._shown, place - self._start)[1]


def _elements_by_scanning(body: bytes) -> list[bytes] | None:
    """The records' slices by a lax decoder that only finds their ends; None if it fails."""
    text = body.decode("utf-8", "surrogateescape")
    opening = _OPENING.match(text)
    if opening is None:
        return None
    place, ends = opening.end(), _Ends(text)
    slices: list[bytes] = []
    try:
        while len(slices) <= MAX_RECORDS:
            end = ends.after(place)
            slices.append(text[place:end].encode("utf-8", "surrogateescape"))
            if _CLOSING.match(text, end):
                return slices
            separator = _SEPARATOR.match(text, end)
            if separator is None:
                return None
            place = separator.end()
    except (ValueError, RecursionError):
        return None
    return slices
