"""Merkle trees as in RFC 6962 (Certificate Transparency), section 2.1, and RFC 9162, section 2.1.

A tree over n leaves is made of perfect subtrees, one for each bit of n, the largest on the left. A
perfect subtree never changes once its last leaf is there, so it is stored with that leaf
(`Edge.append` gives what each leaf completes), and every root and proof is folded from few stored
hashes, a logarithmic number. A span is a pair (start, end) of leaves, the end not included.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

EMPTY = hashlib.sha256(b"").digest()
HASH_BYTES = 32

Span = tuple[int, int]


class Node(NamedTuple):
    """A perfect subtree: over 2**level leaves, the last of which is the `last`-th, from 1."""

    last: int
    level: int


def leaf_hash(data: bytes) -> bytes:
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


def root(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf data in order; of no leaves, the hash of the empty string."""
    edge = Edge()
    for leaf in leaves:
        edge.append(leaf_hash(leaf))
    return edge.root()


class Edge:
    """The right edge of a growing tree: all that appending needs of it, one hash for each bit.

    Args:
        size: leaves so far.
        subtrees: the hashes of `nodes((0, size))`, in their order.
    """

    def __init__(self, size: int = 0, subtrees: Iterable[bytes] = ()) -> None:
        self.size = size
        self._subtrees = list(subtrees)
        if len(self._subtrees) != size.bit_count():
            raise ValueError(f"{len(self._subtrees)} subtrees are no tree over {size} leaves")

    def append(self, leaf: bytes) -> list[bytes]:
        """Add the hash of a leaf.

        Returns:
            The hashes of the perfect subtrees that it completes, lowest first: itself, and one more
            for each zero at the end of the new size in binary.
        """
        completed, above = [leaf], self.size
        while above & 1:
            completed.append(node_hash(self._subtrees.pop(), completed[-1]))
            above >>= 1
        self._subtrees.append(completed[-1])
        self.size += 1
        return completed

    def root(self) -> bytes:
        return fold(self._subtrees) if self.size else EMPTY


def nodes(span: Span) -> Iterator[Node]:
    """The perfect subtrees that a span of the tree is made of, left to right.

    Spans of `inclusion` and `consistency`, and (0, size) for a whole tree, begin where a perfect
    subtree of their length may begin; no other span is a part of a tree.
    """
    start, end = span
    while start < end:
        level = (end - start).bit_length() - 1
        start += 1 << level
        yield Node(start, level)


def fold(subtrees: Sequence[bytes]) -> bytes:
    """The hash over perfect subtrees that adjoin, each smaller than the one on its left."""
    folded = subtrees[-1]
    for left in reversed(subtrees[:-1]):
        folded = node_hash(left, folded)
    return folded


def inclusion(index: int, size: int) -> list[Span]:
    """PATH(m, D[n]) of RFC 6962, section 2.1.1: the spans whose hashes prove a leaf, lowest first.

    Args:
        index: the leaf's place, from 0.
        size: leaves of the tree that it is proven to be in.

    Raises:
        ValueError: there is no such leaf in a tree of this size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree over {size} leaves has no leaf {index}")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _half(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency(first: int, second: int) -> list[Span]:
    """PROOF(m, D[n]) of RFC 6962, section 2.1.2: that the first tree is a prefix of the second.

    Args:
        first: leaves of the earlier tree, at least 1.
        second: leaves of the later one.

    Raises:
        ValueError: no tree of the first size is a prefix of one of the second.
    """
    if not 1 <= first <= second:
        raise ValueError(f"no tree over {first} leaves begins one over {second}")
    start, end, path = 0, second, []
    while end != first:
        middle = start + _half(end - start)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    if start > 0:  # else the earlier tree is a subtree of the later, and its root known
        path.append((start, end))
    return path[::-1]


def keyed(key: bytes, data: bytes) -> bytes:
    """A keyed hash to serve as leaf data where the data itself must not be guessable."""
    return hashlib.blake2b(data, key=key, digest_size=HASH_BYTES).digest()


def _half(length: int) -> int:
    """The largest power of two below a length of at least 2."""
    return 1 << ((length - 1).bit_length() - 1)
