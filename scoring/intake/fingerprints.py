"""Behavioural fingerprints: from the wire to float16 bytes, and back to arrays.

Half precision keeps a row of ordinary size inside its page, where PostgreSQL neither compresses it
nor moves it out of line. A vector that does not fit half precision keeps single precision. Scores
are computed from what is stored, so that anyone can compute them again.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from oversight.lib.errors import InvalidInput
from scoring.core.fingerprint import HALF_MAX
from scoring.intake.wire import PackedFingerprint

MAX_DIMENSION = 4096
_WIRE: dict[str, np.dtype[np.floating[Any]]] = {
    "float16": np.dtype("<f2"),
    "float32": np.dtype("<f4"),
}
_FLOAT32_MAX = float(np.finfo(np.float32).max)

Given = list[float] | PackedFingerprint
Packed = tuple[bytes, int]  # the bytes to store, and the dimension


def pack(given: Given) -> Packed:
    """One fingerprint's stored form.

    Raises:
        InvalidInput: not a whole number of values, too long, or not finite.
    """
    (packed,) = pack_batch([given])
    if isinstance(packed, InvalidInput):
        raise packed
    return packed


def pack_batch(given: Sequence[Given]) -> list[Packed | InvalidInput]:
    """The stored form of many; those of one form and length are checked and rounded as a matrix."""
    packed: list[Packed | InvalidInput | None] = [None] * len(given)
    alike: dict[tuple[str, int], list[int]] = {}
    for i, one in enumerate(given):
        if isinstance(one, PackedFingerprint):
            alike.setdefault((one.dtype, len(one.data)), []).append(i)
        else:
            alike.setdefault(("list", len(one)), []).append(i)
    for (form, size), members in alike.items():
        refusal = _refused_by_size(form, size)
        rows: Sequence[Packed | InvalidInput] = (
            [refusal] * len(members)
            if refusal is not None
            else _pack_matrix(_matrix(form, [given[i] for i in members]))
        )
        for i, row in zip(members, rows, strict=True):
            packed[i] = row
    return [one for one in packed if one is not None]


def _refused_by_size(form: str, size: int) -> InvalidInput | None:
    values = size
    if form in _WIRE:
        values, rest = divmod(size, _WIRE[form].itemsize)
        if rest or not values:
            return InvalidInput.at(
                "fingerprint.data", f"not a whole number of {form} values", "length"
            )
    if values > MAX_DIMENSION:
        return InvalidInput.at("fingerprint", f"longer than {MAX_DIMENSION} numbers", "length")
    return None


def _matrix(form: str, members: Sequence[Any]) -> npt.NDArray[np.floating[Any]]:
    if form not in _WIRE:
        return np.asarray(members, dtype=np.float64)
    values = np.frombuffer(b"".join(one.data for one in members), dtype=_WIRE[form])
    return values.reshape(len(members), -1)


def _pack_matrix(matrix: npt.NDArray[np.floating[Any]]) -> list[Packed | InvalidInput]:
    dimension = matrix.shape[1]
    largest = np.abs(matrix).max(axis=1)  # NaN where there is one
    fits_half = largest <= HALF_MAX
    with np.errstate(over="ignore"):
        half = matrix.astype("<f2").tobytes() if fits_half.any() else b""
        single = matrix.astype("<f4").tobytes() if not fits_half.all() else b""
    packed: list[Packed | InvalidInput] = []
    for i, peak in enumerate(largest.tolist()):
        if peak <= HALF_MAX:
            packed.append((half[2 * dimension * i : 2 * dimension * (i + 1)], dimension))
        elif peak <= _FLOAT32_MAX:
            packed.append((single[4 * dimension * i : 4 * dimension * (i + 1)], dimension))
        elif peak < float("inf"):
            packed.append(
                InvalidInput.at("fingerprint", "a number exceeds 32-bit range", "out_of_range")
            )
        else:
            packed.append(
                InvalidInput.at("fingerprint", "all numbers must be finite", "not_finite")
            )
    return packed


def unpack(stored: bytes, dimension: int) -> npt.NDArray[np.float32]:
    """The stored vector, float32 of shape (dimension,)."""
    dtype = np.dtype("<f2") if len(stored) == 2 * dimension else np.dtype("<f4")
    return np.frombuffer(stored, dtype=dtype).astype(np.float32)


def unpack_batch(stored: Sequence[bytes], dimension: int) -> npt.NDArray[np.float32]:
    """Stored vectors of one dimension, float32 (n, dimension)."""
    if all(len(one) == 2 * dimension for one in stored):
        values = np.frombuffer(b"".join(stored), dtype="<f2")
        return values.reshape(-1, dimension).astype(np.float32)
    rows = [unpack(one, dimension) for one in stored]
    return np.array(rows, dtype=np.float32).reshape(-1, dimension)
