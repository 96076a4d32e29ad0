"""One record as it stands on the wire: typed, strict, and refused by path.

msgspec decodes and checks types in one pass. What it lets through and PostgreSQL or a reader would
not (duplicate keys, NUL, depth) is found by cheap counts first and looked at closely only then.
"""

import json
import math
import re
from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput

Name = Annotated[str, Meta(min_length=1, max_length=200)]
Key = Annotated[str, Meta(min_length=1, max_length=100)]


class Model(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    name: Name
    version: Name
    prompt_template: Annotated[str, Meta(max_length=100_000)] = ""
    role_format: Annotated[str, Meta(max_length=10_000)] = ""
    decoder: msgspec.Raw = msgspec.Raw(b"{}")


class TextPart(msgspec.Struct, tag_field="type", tag="text", forbid_unknown_fields=True):
    text: str


class ImagePart(msgspec.Struct, tag_field="type", tag="image", forbid_unknown_fields=True):
    media_type: Literal["image/png", "image/jpeg", "image/webp"]
    data: str


class Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Annotated[str, Meta(min_length=1, max_length=64)]
    content: str | list[TextPart | ImagePart]


Content = str | Annotated[list[Message], Meta(min_length=1, max_length=2_000)]


class PackedFingerprint(msgspec.Struct, forbid_unknown_fields=True):
    dtype: Literal["float16", "float32"]
    data: str


class Consent(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    review: bool | UnsetType = UNSET
    training: bool | UnsetType = UNSET
    basis: Annotated[str, Meta(max_length=200)] = ""


class Record(msgspec.Struct, forbid_unknown_fields=True):
    external_id: Name
    occurred_at: Annotated[datetime, Meta(tz=True)]
    model: Model
    input: Content
    output: Content
    signals: Annotated[dict[Key, float], Meta(max_length=64)] = {}
    fingerprint: Annotated[list[float], Meta(min_length=1, max_length=4096)] | (
        PackedFingerprint | None
    ) = None
    context: Annotated[dict[Key, str | int | float | bool], Meta(max_length=32)] = {}
    conversation_id: Annotated[str, Meta(max_length=200)] = ""
    subject_id: Annotated[str, Meta(max_length=200)] = ""
    consent: Consent = Consent()


class _Identified(msgspec.Struct):
    external_id: str = ""


_record = msgspec.json.Decoder(Record)
_anything = msgspec.json.Decoder()
_external_id = msgspec.json.Decoder(_Identified)
_KEY = re.compile(rb'"\s*:')


def decode(raw: bytes) -> Record:
    """Decode one record's bytes.

    Raises:
        InvalidInput: with one `FieldError` whose path starts at the record.
    """
    try:
        text_like = raw.count(b"[") + raw.count(b"{") > codec.MAX_DEPTH
        if text_like and codec.depth_exceeds(raw.decode("utf-8")):
            raise _refused("", "too_deep", f"nested deeper than {codec.MAX_DEPTH} levels")
        record = _record.decode(raw)
        if len(_KEY.findall(raw)) != _count_keys(_anything.decode(raw)) or b"\\u" in raw:
            # A key twice, or text that looks like one, or an escape that may hide a NUL.
            codec.decode(raw)
    except msgspec.ValidationError as error:
        message, path = _locate(str(error), raw)
        raise _refused(path, _code(message), message) from None
    except UnicodeDecodeError as error:
        raise _refused("", "not_utf8", f"not valid UTF-8 at byte {error.start}") from None
    except msgspec.DecodeError as error:
        raise _refused("", "not_json", str(error)) from None
    except RecursionError:
        raise _refused("", "too_deep", "nested too deep") from None
    return record


def find_external_id(raw: bytes) -> str | None:
    """The external id of a record that is otherwise refused, where it can be read at all."""
    try:
        found = _external_id.decode(raw).external_id
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None
    return found[:200].replace("\x00", "") or None


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    if isinstance(value, list) and value and isinstance(value[0], dict | list):
        return sum(map(_count_keys, value))
    return 0


_FIELD = re.compile(r"(?:required|unknown) field `([^`]*)`")
_PLACE = re.compile(r" - at `(?:key` in `)?\$([^`]*)`$")
_MAP_TYPES: dict[str, tuple[type, ...]] = {
    "signals": (int, float),
    "context": (str, int, float, bool),
}


def _locate(text: str, raw: bytes) -> tuple[str, str]:
    """msgspec's message without its place, and the place as our path, down to the field's name."""
    place = _PLACE.search(text)
    message = text[: place.start()] if place else text
    path = place.group(1).lstrip(".") if place else ""
    if path in ("signals[...]", "context[...]"):
        field = path.removesuffix("[...]")
        # Laxly, since what is looked for is exactly what a strict decoder stops at.
        for key, value in json.loads(raw.decode("utf-8", "replace"))[field].items():
            if not _fits(field, value):
                return message, f"{field}.{key[:100]}"
    if named := _FIELD.search(message):
        path = f"{path}.{named.group(1)}" if path else named.group(1)
    return message, path


def _fits(field: str, value: Any) -> bool:
    if isinstance(value, bool):
        return field == "context"
    if isinstance(value, float) and not math.isfinite(value):
        return False
    return isinstance(value, _MAP_TYPES[field])


def _code(message: str) -> str:
    if "missing required field" in message:
        return "required"
    if "unknown field" in message:
        return "unknown_field"
    if "length" in message:
        return "length"
    return "invalid"


def _refused(path: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[FieldError(path, code, message)])
