"""A frozen scorer as bytes: deterministic, hashable, and safe to read from an untrusted file.

The layout is that of safetensors (a length, a JSON header, raw little-endian arrays): nothing is
compressed and nothing is executed, so a file can cost no more memory than its own size.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

FORMAT = "oversight-scorer/1"
MAX_BYTES = 256 * 1024 * 1024
MAX_HEADER_BYTES = 4 * 1024 * 1024
MAX_ARRAYS = 4096
MAX_DIMENSIONS = 4
MAX_NAME_LENGTH = 200

_DTYPES: dict[str, np.dtype[Any]] = {
    "F64": np.dtype("<f8"),
    "F32": np.dtype("<f4"),
    "I64": np.dtype("<i8"),
    "I32": np.dtype("<i4"),
    "I16": np.dtype("<i2"),
    "U8": np.dtype("u1"),
    "BOOL": np.dtype("?"),
}
_NAMES = {dtype: name for name, dtype in _DTYPES.items()}


class StateError(ValueError):
    """The bytes or values are not a scorer state this version reads."""


@dataclass(frozen=True, eq=False)
class ScorerState:
    """All that a frozen scorer version is made of.

    config: JSON-able mapping with string keys and finite numbers.
    arrays: name -> array of one of float64, float32, int64, int32, int16, uint8, bool.
        Copied and made read-only, so that a version cannot drift from its digest.
    """

    config: Mapping[str, Any]
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        text = _canonical(dict(self.config))
        object.__setattr__(self, "config", json.loads(text))
        frozen = {name: _frozen_array(name, self.arrays[name]) for name in sorted(self.arrays)}
        if len(frozen) > MAX_ARRAYS:
            raise StateError(f"{len(frozen)} arrays; at most {MAX_ARRAYS} are allowed")
        object.__setattr__(self, "arrays", frozen)

    def digest(self) -> str:
        """SHA-256 (hex) of `to_bytes(self)`: equal digests mean equal scores."""
        return hashlib.sha256(to_bytes(self)).hexdigest()


def to_bytes(state: ScorerState) -> bytes:
    """Serialise a state; the same state gives the same bytes on every machine.

    Raises StateError where the result would exceed what `from_bytes` reads.
    """
    # Wide types first keeps every array aligned to its item size without gaps between them.
    names = sorted(state.arrays, key=lambda name: (-state.arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {
        "__metadata__": {"config": _canonical(state.config), "format": FORMAT}
    }
    offset = 0
    for name in names:
        array = state.arrays[name]
        end = offset + array.nbytes
        header[name] = {
            "data_offsets": [offset, end],
            "dtype": _NAMES[array.dtype],
            "shape": list(array.shape),
        }
        offset = end
    text = _canonical(header).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > MAX_HEADER_BYTES or offset + len(text) + 8 > MAX_BYTES:
        raise StateError(f"state of {offset + len(text)} bytes is over the limit of {MAX_BYTES}")
    body = b"".join(state.arrays[name].tobytes() for name in names)
    return len(text).to_bytes(8, "little") + text + body


def from_bytes(data: bytes) -> ScorerState:
    """Read a state; whatever is not exactly what `to_bytes` writes raises StateError."""
    if len(data) > MAX_BYTES:
        raise StateError(f"{len(data)} bytes; at most {MAX_BYTES} are read")
    if len(data) < 8:
        raise StateError("too short to be a scorer state")
    header_bytes = int.from_bytes(data[:8], "little")
    if header_bytes > min(MAX_HEADER_BYTES, len(data) - 8):
        raise StateError("header is longer than the file or the limit")
    header = _parse(data[8 : 8 + header_bytes])
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict) or set(metadata) != {"config", "format"}:
        raise StateError("metadata must hold exactly `config` and `format`")
    if metadata["format"] != FORMAT:
        raise StateError(f"format is not {FORMAT!r}")
    if not isinstance(metadata["config"], str):
        raise StateError("config must be JSON text")
    if len(header) > MAX_ARRAYS:
        raise StateError(f"{len(header)} arrays; at most {MAX_ARRAYS} are allowed")
    state = ScorerState(
        config=_parse(metadata["config"]),
        arrays=_read_arrays(header, memoryview(data)[8 + header_bytes :]),
    )
    if to_bytes(state) != data:  # one state, one file: else a digest would not name a version
        raise StateError("not in canonical form")
    return state


def _read_arrays(header: dict[str, Any], body: memoryview) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    covered = 0
    for name, entry in header.items():
        dtype, shape, start, end = _entry(name, entry)
        if end > len(body) or end - start != math.prod(shape) * dtype.itemsize:
            raise StateError(f"array {name!r}: shape, type and offsets do not agree")
        if start % dtype.itemsize:
            raise StateError(f"array {name!r}: not aligned")
        raw = body[start:end]
        if dtype.kind == "b" and np.frombuffer(raw, np.uint8).max(initial=0) > 1:
            raise StateError(f"array {name!r}: a boolean is neither 0 nor 1")
        arrays[name] = np.frombuffer(raw, dtype).reshape(shape)
        covered += end - start
    if covered != len(body):
        raise StateError("bytes that belong to no array, or to more than one")
    return arrays


def _entry(name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int, int]:
    if not isinstance(entry, dict) or set(entry) != {"data_offsets", "dtype", "shape"}:
        raise StateError(f"array {name!r}: needs exactly data_offsets, dtype and shape")
    dtype = _DTYPES.get(entry["dtype"]) if isinstance(entry["dtype"], str) else None
    if dtype is None:
        raise StateError(f"array {name!r}: type {entry['dtype']!r} is not allowed")
    shape = _sizes(name, entry["shape"])
    offsets = _sizes(name, entry["data_offsets"])
    if len(shape) > MAX_DIMENSIONS or len(offsets) != 2 or offsets[0] > offsets[1]:
        raise StateError(f"array {name!r}: malformed shape or offsets")
    return dtype, shape, offsets[0], offsets[1]


def _sizes(name: str, values: Any) -> tuple[int, ...]:
    if not isinstance(values, list):
        raise StateError(f"array {name!r}: malformed shape or offsets")
    # bool is a subclass of int, hence `type(...) is`
    if not all(type(value) is int and 0 <= value <= MAX_BYTES for value in values):
        raise StateError(f"array {name!r}: malformed shape or offsets")
    return tuple(values)


def _frozen_array(name: str, array: NDArray[Any]) -> NDArray[Any]:
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_LENGTH or name[0] == "_":
        raise StateError(f"array name {name!r} is not allowed")
    dtype = np.asarray(array).dtype.newbyteorder("<")
    if dtype not in _NAMES:
        raise StateError(f"array {name!r}: type {dtype} is not allowed")
    frozen = np.array(array, dtype=dtype, order="C", copy=True)
    if frozen.ndim > MAX_DIMENSIONS:
        raise StateError(f"array {name!r}: more than {MAX_DIMENSIONS} dimensions")
    frozen.setflags(write=False)
    return frozen


def _canonical(value: Any) -> str:
    try:
        text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
        if json.loads(text) != value:  # int keys and tuples would come back as something else
            raise StateError("config must be plain JSON: string keys, lists, finite numbers")
    except (TypeError, ValueError, RecursionError) as error:
        raise StateError(f"not plain JSON: {error}") from error
    return text


def _parse(data: bytes | str) -> dict[str, Any]:
    try:
        text = data if isinstance(data, str) else data.decode()
        value = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise StateError(f"not plain JSON: {error}") from error
    if not isinstance(value, dict):
        raise StateError("a JSON object was expected")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = dict(pairs)
    if len(keys) != len(pairs):
        raise StateError("a key appears twice")
    return keys


def _refuse_constant(text: str) -> Any:
    raise StateError(f"{text} is not a finite number")
