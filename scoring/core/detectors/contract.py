"""The one small interface of all detectors."""

from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray


class DetectorError(ValueError):
    """Data no detector can be fitted to, or a state that is not one of this detector."""


class Detector(Protocol):
    """A fitted detector; `score` rises with anomaly and has no unit of its own."""

    name: ClassVar[str]

    def score(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """float32 (n, d) -> float64 (n,); finite for finite x."""
        ...

    def to_arrays(self) -> dict[str, NDArray[Any]]:
        """The whole state as plain arrays."""
        ...

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> Self:
        """Read what `to_arrays` wrote; raises DetectorError for anything else."""
        ...


def check_baseline(x: NDArray[Any], *, minimum: int) -> None:
    """Raises DetectorError unless x is a finite matrix of at least `minimum` rows."""
    if x.ndim != 2 or x.shape[1] < 1 or not np.isfinite(x).all():
        raise DetectorError("a baseline is a finite matrix (n, d)")
    if len(x) < minimum:
        raise DetectorError(f"{len(x)} baseline records, at least {minimum} are needed")


def take(
    arrays: Mapping[str, NDArray[Any]], shapes: Mapping[str, tuple[int | str, ...]]
) -> list[NDArray[Any]]:
    """The named arrays, all float32 and of the given shapes; equal letters are equal sizes.

    Raises DetectorError where an array is missing, unknown, of another type or shape, or not
    finite: a state may come from a file.
    """
    if set(arrays) != set(shapes):
        raise DetectorError(f"arrays {sorted(shapes)} expected")
    sizes: dict[str, int] = {}
    taken = []
    for name, shape in shapes.items():
        array = arrays[name]
        if array.dtype != np.float32 or array.ndim != len(shape) or not np.isfinite(array).all():
            raise DetectorError(f"{name}: finite float32 of shape {shape} expected")
        for size, want in zip(array.shape, shape, strict=True):
            expected = sizes.setdefault(want, size) if isinstance(want, str) else want
            if size != expected or size == 0:
                raise DetectorError(f"{name}: shape {shape} expected")
        taken.append(array)
    return taken
