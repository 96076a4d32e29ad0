"""Behavioural fingerprints: from the wire to float16 bytes, and back to arrays.

Half precision keeps a row of ordinary size inside its page, where PostgreSQL neither compresses it
nor moves it out of line. A vector that does not fit half precision keeps single precision. Scores
are computed from what is stored, so that anyone can compute them again.
"""

import base64
import binascii
from typing import Any

import numpy as np
import numpy.typing as npt

from oversight.lib.errors import InvalidInput
from scoring.core.fingerprint import as_stored
from scoring.intake.wire import PackedFingerprint

MAX_DIMENSION = 4096
_WIRE: dict[str, np.dtype[np.floating[Any]]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
}


def pack(given: list[float] | PackedFingerprint) -> tuple[bytes, int]:
    """The bytes to store and the dimension.

    Raises:
        InvalidInput: not base64, not a whole number of values, too long, or not finite.
    """
    if isinstance(given, list):
        values = np.asarray(given, dtype=np.float64)
    else:
        try:
            data = base64.b64decode(given.data, validate=True)
        except (binascii.Error, ValueError):
            raise InvalidInput.at("fingerprint.data", "not base64", "not_base64") from None
        wire = _WIRE[given.dtype]
        if not data or len(data) % wire.itemsize:
            raise InvalidInput.at(
                "fingerprint.data", f"not a whole number of {given.dtype} values", "length"
            )
        values = np.frombuffer(data, dtype=wire)
    if values.size > MAX_DIMENSION:
        raise InvalidInput.at("fingerprint", f"longer than {MAX_DIMENSION} numbers", "length")
    if not np.isfinite(values).all():
        raise InvalidInput.at("fingerprint", "all numbers must be finite", "not_finite")
    largest = float(np.abs(values).max())
    if largest > float(np.finfo(np.float32).max):
        raise InvalidInput.at("fingerprint", "a number exceeds 32-bit range", "out_of_range")
    return as_stored(values).tobytes(), int(values.size)


def unpack(stored: bytes, dimension: int) -> npt.NDArray[np.float32]:
    """The stored vector, float32 of shape (dimension,)."""
    dtype = np.dtype("<f2") if len(stored) == 2 * dimension else np.dtype("<f4")
    return np.frombuffer(stored, dtype=dtype).astype(np.float32)
