"""The one strict JSON codec for untrusted bytes.

Stricter than the standard library where laxness loses data: UTF-8 only; no duplicate keys; no NUL
and no lone surrogate (PostgreSQL cannot store them); no NaN or Infinity; bounded depth, keys and
digits. Every refusal names the path.
"""

import hashlib
import json
import math
import re
from typing import Any

from oversight.lib.errors import FieldError, InvalidInput

MAX_DEPTH = 64
MAX_DIGITS = 40
MAX_KEYS = 10_000

_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_SURROGATE_OR_NUL = re.compile("[\x00\ud800-\udfff]")


class _Refused(ValueError):
    def __init__(self, code: str, message: str, path: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.path = code, message, path


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    out = dict(pairs)
    if len(out) != len(pairs):
        seen: set[str] = set()
        key = next(k for k, _ in pairs if k in seen or seen.add(k))  # type: ignore[func-returns-value]  # set.add returns None: the idiom of "seen before"
        raise _Refused("duplicate_key", f"the key {key[:60]!r} occurs twice", key[:60])
    if len(out) > MAX_KEYS:
        raise _Refused("too_many_keys", f"an object has more than {MAX_KEYS:,} keys")
    return out


def _constant(name: str) -> Any:
    raise _Refused("not_finite", f"{name} is not a JSON number")


def _integer(text: str) -> int:
    if len(text) > MAX_DIGITS:
        raise _Refused("number_too_long", f"a number has more than {MAX_DIGITS} digits")
    return int(text)


def _float(text: str) -> float:
    if len(text) > 2 * MAX_DIGITS:
        raise _Refused("number_too_long", f"a number has more than {2 * MAX_DIGITS} characters")
    value = float(text)
    if not math.isfinite(value):
        raise _Refused("not_finite", f"{text} is out of the range of a 64-bit float")
    return value


_decoder = json.JSONDecoder(
    object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
)


def depth_exceeds(text: str, limit: int = MAX_DEPTH) -> bool:
    """Whether brackets outside strings nest deeper than `limit`; linear, and needs no stack."""
    if text.count("[") + text.count("{") <= limit:
        return False
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        mark = match.group()
        if mark in "[{":
            depth += 1
            if depth > limit:
                return True
        elif mark in "]}":
            depth -= 1
    return False


def _check_text(text: str, path: str) -> None:
    if match := _SURROGATE_OR_NUL.search(text):
        what = "NUL character" if match.group() == "\x00" else "lone surrogate"
        raise _Refused("unstorable_text", f"the text contains a {what}", path)


def check_storable(value: Any, path: str = "") -> None:
    """Raise on text that UTF-8 storage cannot hold, anywhere in a decoded value.

    Raises:
        InvalidInput: naming the path of the first such text.
    """
    try:
        _walk(value, path)
    except _Refused as refused:
        raise InvalidInput.at(refused.path, refused.message, refused.code) from None


def _walk(value: Any, path: str) -> None:
    if isinstance(value, str):
        _check_text(value, path)
    elif isinstance(value, dict):
        for key, item in value.items():
            _check_text(key, path)
            _walk(item, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _walk(item, f"{path}[{index}]")


def decode(data: bytes) -> Any:
    """Decode untrusted JSON bytes strictly.

    Raises:
        InvalidInput: not UTF-8, not JSON, or one of the refusals named in the module's docstring.
    """
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise _invalid("", "not_utf8", f"not valid UTF-8 at byte {error.start}") from None
    if depth_exceeds(text):
        raise _invalid("", "too_deep", f"nested deeper than {MAX_DEPTH} levels")
    try:
        value = _decoder.decode(text)
        # An escape is the only way to NUL or a surrogate once the bytes are valid UTF-8.
        if "\\u" in text or "\x00" in text:
            _walk(value, "")
    except _Refused as refused:
        raise _invalid(refused.path, refused.code, refused.message) from None
    except json.JSONDecodeError as error:
        raise _invalid("", "not_json", f"not JSON: {error.msg} at character {error.pos}") from None
    return value


def _invalid(path: str, code: str, message: str) -> InvalidInput:
    return InvalidInput(message, errors=[FieldError(path, code, message)])


def encode(value: Any) -> bytes:
    """Compact UTF-8 JSON; refuses NaN and Infinity."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def canonical(value: Any) -> bytes:
    """The one byte form of a value, for hashing: sorted keys, compact, UTF-8, finite numbers."""
    return json.dumps(
        value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True
    ).encode()


def digest(value: Any) -> str:
    """SHA-256 of the canonical form, in hex."""
    return hashlib.sha256(canonical(value)).hexdigest()
