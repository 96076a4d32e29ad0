"""From bytes to records: typed, strict, and refused by path.

msgspec decodes and checks types in one pass. It lets through what PostgreSQL or a reader would not:
a key that occurs twice, NUL, depth. Whether there is any is found for a whole batch at once, by
counting what looks like a key (scoring/intake/counting.py); what does not add up is read again by
the strict codec.
"""

import json
import math
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from oversight.lib import codec
from oversight.lib.errors import FieldError, InvalidInput
from scoring.intake import content, counting, wire
from scoring.intake.counting import MAX_VALUES
from scoring.intake.wire import Record

_NO_DECODER = msgspec.Raw(b"{}")
MAX_DECODER_BYTES = 64 * 1024
_KEPT_DECODER_BYTES = 4 * 1024  # few models have more settings; those are normalised each time


# A record as it is decoded: what is absent can be told from what is sent and equals the default,
# so that the keys that were sent can be counted. `_settle` makes it a plain `Record`.
class _Model(wire.Model):
    prompt_template: wire.Template | UnsetType = UNSET  # type: ignore[assignment]
    role_format: wire.RoleFormat | UnsetType = UNSET  # type: ignore[assignment]
    decoder: msgspec.Raw | UnsetType = UNSET  # type: ignore[assignment]


class _Consent(wire.Consent):
    basis: wire.Label | UnsetType = UNSET  # type: ignore[assignment]


class _Record(Record):
    model: _Model
    signals: wire.Signals | UnsetType = UNSET  # type: ignore[assignment]
    fingerprint: wire.Fingerprint | UnsetType = UNSET  # type: ignore[assignment]
    context: wire.Context | UnsetType = UNSET  # type: ignore[assignment]
    conversation_id: wire.Label | UnsetType = UNSET  # type: ignore[assignment]
    subject_id: wire.Label | UnsetType = UNSET  # type: ignore[assignment]
    consent: _Consent | UnsetType = UNSET  # type: ignore[assignment]


class _Identified(msgspec.Struct):
    external_id: str = ""


_record = msgspec.json.Decoder(_Record)
# Fractions stay as they are written: as a float they would lose digits.
_anything = msgspec.json.Decoder(float_hook=lambda text: msgspec.Raw(text.encode()))
_external_id = msgspec.json.Decoder(_Identified)


def decode_batch(slices: Sequence[bytes]) -> list[Record | InvalidInput]:
    """Decode one record from each slice of bytes; a refusal stands in its record's place."""
    n_keys, may_hold_nul = counting.survey(slices)
    decoded: list[Record | InvalidInput] = []
    for raw, expected, is_suspect in zip(slices, n_keys, may_hold_nul, strict=True):
        if counting.find_comma(raw, MAX_VALUES) >= 0:
            decoded.append(_too_many_values())
            continue
        try:
            record = _record.decode(raw)
            is_suspect = _settle(record) != expected or is_suspect
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            is_suspect = True
        if not is_suspect:
            decoded.append(record)
            continue
        try:
            decoded.append(decode(raw))
        except InvalidInput as refused:
            decoded.append(refused)
    return decoded


def decode(raw: bytes) -> Record:
    """Decode one record's bytes, looking at all of it closely.

    Raises:
        InvalidInput: with one `FieldError` whose path starts at the record.
    """
    if counting.find_comma(raw, MAX_VALUES) >= 0:
        raise _too_many_values()
    try:
        text_like = raw.count(b"[") + raw.count(b"{") > codec.MAX_DEPTH
        if text_like and codec.depth_exceeds(raw.decode("utf-8")):
            raise _refused("", "too_deep", f"nested deeper than {codec.MAX_DEPTH} levels")
        record = _record.decode(raw)
        decoder = record.model.decoder
        if decoder is not UNSET and len(decoder) > MAX_DECODER_BYTES:
            raise _refused(
                "model.decoder", "length", f"longer than {MAX_DECODER_BYTES // 1024} KiB"
            )
        _settle(record)
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


def _settle(sent: _Record) -> int:
    """Put defaults where nothing was sent; returns how many different keys were."""
    n = 5 + _settle_model(sent.model) + _keys_within(sent.input) + _keys_within(sent.output)
    if sent.signals is UNSET:
        sent.signals = {}
    else:
        n += 1 + len(sent.signals)
    if sent.context is UNSET:
        sent.context = {}
    else:
        n += 1 + len(sent.context)
    if sent.fingerprint is UNSET:
        sent.fingerprint = None
    else:
        n += 3 if isinstance(sent.fingerprint, wire.PackedFingerprint) else 1
    if sent.conversation_id is UNSET:
        sent.conversation_id = ""
    else:
        n += 1
    if sent.subject_id is UNSET:
        sent.subject_id = ""
    else:
        n += 1
    if sent.consent is UNSET:
        sent.consent = wire.Consent()  # type: ignore[assignment]
    else:
        n += 1 + _settle_consent(sent.consent)
    return n


def _settle_model(sent: _Model) -> int:
    n = 2
    if sent.prompt_template is UNSET:
        sent.prompt_template = ""
    else:
        n += 1
    if sent.role_format is UNSET:
        sent.role_format = ""
    else:
        n += 1
    if sent.decoder is UNSET:
        sent.decoder = _NO_DECODER
    else:
        n_keys, sent.decoder = _normal(bytes(sent.decoder))
        n += 1 + n_keys
    return n


def _settle_consent(sent: _Consent) -> int:
    n = (sent.review is not UNSET) + (sent.training is not UNSET)
    if sent.basis is UNSET:
        sent.basis = ""
    else:
        n += 1
    return n


def _keys_within(content: str | list[wire.Message]) -> int:
    if isinstance(content, str):
        return 0
    n = 2 * len(content)
    for message in content:
        if not isinstance(message.content, str):
            n += sum(3 if isinstance(part, wire.ImagePart) else 2 for part in message.content)
    return n


def _normal(decoder: bytes) -> tuple[int, msgspec.Raw]:
    """How many different keys the settings have, and the form that equal settings share.

    Of keys that could be many -1, so that they are looked at closely.
    """
    if len(decoder) > MAX_DECODER_BYTES:
        return -1, msgspec.Raw(decoder)
    return (_kept if len(decoder) <= _KEPT_DECODER_BYTES else _normalise)(decoder)


_MODEL_DEPTH = 2  # levels around the decoder's settings


def _normalise(raw: bytes) -> tuple[int, msgspec.Raw]:
    try:
        if not codec.depth_exceeds(raw.decode("utf-8"), codec.MAX_DEPTH - _MODEL_DEPTH):
            settings = _anything.decode(raw)
            return _count_keys(settings), msgspec.Raw(content.encode(settings))
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        pass
    return -1, msgspec.Raw(raw)


_kept = lru_cache(maxsize=4096)(_normalise)


def _count_keys(value: Any) -> int:
    if isinstance(value, dict):
        return len(value) + sum(map(_count_keys, value.values()))
    if isinstance(value, list):
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
    if "base64" in message:
        return "not_base64"
    return "invalid"


def _too_many_values() -> InvalidInput:
    return _refused("", "length", f"more than {MAX_VALUES:,} values in one record")


def _refused(path: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[FieldError(path, code, message)])
