"""A log-sum-exp that is the same to the last bit in any order and any chunking.

Floating-point addition is not associative, so the normaliser of a softmax changes with the order
in which a database happens to return its rows. Here the terms are added as integers.
"""

import math

import numpy as np
from numpy.typing import NDArray

_CHUNK = 1 << 15  # the temporaries stay in the cache
_MANTISSA_BITS = 52
_HALF_BITS = 26
_HALF = 2.0**_HALF_BITS
# Terms below 2⁻¹²⁸ of the largest cannot reach a float64 sum of fewer than 2⁷⁰ terms.
_WINDOW = 128


class ExactLogSum:
    """Streaming ``log Σ exp(x)`` by exact integer sums per binary exponent, in O(1) memory.

    Notes
    -----
    ``exp(x) = m · 2^e`` with ``1 ≤ m < 2``; the 53-bit integers ``m · 2⁵²`` are split in halves,
    whose float64 sums over a chunk of 2¹⁵ terms stay far below 2⁵³ and are therefore exact. The
    idea is Malcolm's, *On Accurate Floating-Point Summation*, CACM 1971.
    """

    def __init__(self) -> None:
        self._sums: dict[int, int] = {}

    def add(self, log_terms: NDArray[np.float64]) -> None:
        """Add finite log terms, shape (n,); raises ValueError on NaN or infinity."""
        for start in range(0, log_terms.size, _CHUNK):
            self._add_chunk(log_terms[start : start + _CHUNK])

    def value(self) -> float:
        """``log Σ exp(x)`` in nats; ``-inf`` of an empty sum."""
        if not self._sums:
            return -math.inf
        # The same cut for every chunking: what one chunk dropped, no other may keep.
        lowest = max(self._sums) - _WINDOW
        total = sum(count << (e - lowest) for e, count in self._sums.items() if e >= lowest)
        return math.log(total) + (lowest - _MANTISSA_BITS) * math.log(2.0)

    def _add_chunk(self, log_terms: NDArray[np.float64]) -> None:
        bits = log_terms * (1.0 / math.log(2.0))
        floor = np.floor(bits)
        top = floor.max()
        if not np.isfinite(floor.min() + top):
            raise ValueError("log terms must be finite")
        lowest = int(top) - _WINDOW
        bits -= floor
        mantissas = np.exp2(bits, out=bits)
        mantissas *= _HALF
        high = np.floor(mantissas)
        low = np.subtract(mantissas, high, out=mantissas)
        low *= _HALF
        # Bin 0 collects what lies below the window and is thrown away.
        floor -= lowest - 1
        bins = np.maximum(floor, 0.0, out=floor).astype(np.intp)
        high_sums = np.bincount(bins, weights=high)
        low_sums = np.bincount(bins, weights=low)
        for place in np.flatnonzero(high_sums[1:]).tolist():
            count = (int(high_sums[place + 1]) << _HALF_BITS) + int(low_sums[place + 1])
            exponent = lowest + place
            self._sums[exponent] = self._sums.get(exponent, 0) + count
