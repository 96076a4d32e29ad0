"""Uniform numbers that belong to a record: keyed by seed, stream and record id, never by order.

A generator hands out numbers in the order of the call, so a shuffled or chunked re-run draws
another sample. Here the number is a keyed hash of the id, and anyone who holds the seed can
re-derive the number of any single record.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

ID_BYTES = 16
_KEY_DOMAIN = b"uniforms-v1"
_MANTISSA_SHIFT = np.uint64(11)


def keyed_uniforms(
    ids: Sequence[bytes], *, seed: bytes | int, stream: int | str
) -> NDArray[np.float64]:
    """One uniform number in (0, 1) per record id, independent of order and chunking.

    Parameters
    ----------
    ids : sequence of bytes, length n
        Record ids, 16 bytes each (``uuid.UUID.bytes``). Equal ids get equal numbers.
    seed : bytes or int
        Secret or public seed; a non-negative int stands for its minimal big-endian bytes.
    stream : int or str
        Names the use of the seed, e.g. the sampling round. Streams are independent.

    Returns
    -------
    ndarray of float64, shape (n,)
        ``u = ((h >> 11) + 1/2) · 2⁻⁵³``, ``h`` the big-endian BLAKE2b-64 of the id. The half keeps
        0 out; the largest ``h`` rounds up to 1 - 2⁻⁵³ and never to 1, so ``-log u > 0``.

    Raises
    ------
    ValueError
        If an id is not 16 bytes long or the seed is negative.

    References
    ----------
    RFC 7693, *The BLAKE2 Cryptographic Hash and Message Authentication Code*, 2015.

    >>> keyed_uniforms([bytes(16), b"\\x01" * 16], seed=7, stream="round-1").round(6).tolist()
    [0.83915, 0.907303]
    """
    if any(length != ID_BYTES for length in set(map(len, ids))):
        raise ValueError(f"record ids must be {ID_BYTES} bytes long")
    # The key is absorbed once; copying that state is cheaper than keying a hash per record.
    copy = hashlib.blake2b(digest_size=8, key=_derive_key(seed, stream)).copy
    digests = bytearray()
    for identifier in ids:
        state = copy()
        state.update(identifier)
        digests += state.digest()
    return _uniforms_from_hashes(np.frombuffer(digests, dtype=">u8"))


def _uniforms_from_hashes(hashes: NDArray[np.generic]) -> NDArray[np.float64]:
    counts = (hashes.astype(np.uint64) >> _MANTISSA_SHIFT).astype(np.float64)
    # 2⁵³ - ½ has no float64 and would round to 2⁵³, that is to u = 1 and a zero exponential.
    return np.minimum((counts + 0.5) * 2.0**-53, 1.0 - 2.0**-53)


def _derive_key(seed: bytes | int, stream: int | str) -> bytes:
    """Hash the pair to one key of 64 bytes; lengths and type tags keep distinct pairs apart."""
    if isinstance(seed, int):
        if seed < 0:
            raise ValueError("the seed must not be negative")
        seed = seed.to_bytes(max(1, (seed.bit_length() + 7) // 8), "big")
    name = f"i{stream}" if isinstance(stream, int) else f"s{stream}"
    message = len(seed).to_bytes(8, "big") + seed + name.encode()
    return hashlib.blake2b(message, digest_size=64, person=_KEY_DOMAIN).digest()
