"""Merkle tree roots as in RFC 6962 (Certificate Transparency), section 2.1."""

import hashlib
from collections.abc import Sequence

EMPTY = hashlib.sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Sequence[bytes]) -> bytes:
    """The root over leaf data in order; of no leaves, the hash of the empty string.

    Built level by level: an odd last node is carried up unchanged, which gives the RFC's tree,
    whose left subtree is the largest full one.
    """
    if not leaves:
        return EMPTY
    level = [leaf_hash(leaf) for leaf in leaves]
    while len(level) > 1:
        paired = [node_hash(a, b) for a, b in zip(level[::2], level[1::2], strict=False)]
        if len(level) % 2:
            paired.append(level[-1])
        level = paired
    return level[0]


def keyed(key: bytes, data: bytes) -> bytes:
    """A keyed hash to serve as leaf data where the data itself must not be guessable."""
    return hashlib.blake2b(data, key=key, digest_size=32).digest()
