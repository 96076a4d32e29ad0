"""The tree against the vectors of Certificate Transparency, and against RFC 6962 read literally."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oversight.lib import merkle

# The well-known tree of eight leaves (certificate-transparency, merkle_tree_test).
LEAVES = [
    bytes.fromhex(text)
    for text in (
        *("", "00", "10", "2021", "3031", "40414243"),
        *("5051525354555657", "606162636465666768696a6b6c6d6e6f"),
    )
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]
# Subtrees by their short names: H(a, b) is over the leaves from a up to b.
H = {
    (0, 1): ROOTS[1],
    (0, 2): ROOTS[2],
    (0, 4): ROOTS[4],
    (1, 2): "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
    (2, 4): "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
    (4, 5): "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
    (4, 6): "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
    (4, 8): "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
    (6, 8): "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
}
INCLUSION = [
    (0, 1, []),
    (0, 8, [(1, 2), (2, 4), (4, 8)]),
    (5, 8, [(4, 5), (6, 8), (0, 4)]),
    (2, 3, [(0, 2)]),
    (1, 5, [(0, 1), (2, 4), (4, 5)]),
]
CONSISTENCY = [
    (1, 1, []),
    (1, 8, [(1, 2), (2, 4), (4, 8)]),
    (6, 8, [(4, 6), (6, 8), (0, 4)]),
    (2, 5, [(2, 4), (4, 5)]),
]


def mth(leaves):
    """MTH(D[n]) as section 2.1 defines it."""
    if len(leaves) < 2:
        return merkle.leaf_hash(leaves[0]) if leaves else merkle.EMPTY
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    return merkle.node_hash(mth(leaves[:k]), mth(leaves[k:]))


def path(m, leaves):
    """PATH(m, D[n]) as section 2.1.1 defines it."""
    if len(leaves) == 1:
        return []
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def subproof(m, leaves, is_whole=True):
    """SUBPROOF(m, D[n], b) as section 2.1.2 defines it."""
    if m == len(leaves):
        return [] if is_whole else [mth(leaves)]
    k = 1
    while 2 * k < len(leaves):
        k *= 2
    if m <= k:
        return [*subproof(m, leaves[:k], is_whole), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


class Stored:
    """What the links of a log hold: each leaf's completed hashes."""

    def __init__(self, leaves):
        edge = merkle.Edge()
        self.rows = [edge.append(merkle.leaf_hash(leaf)) for leaf in leaves]

    def hash(self, span):
        return merkle.fold([self.rows[node.last - 1][node.level] for node in merkle.nodes(span)])


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_the_known_tree(size):
    assert merkle.root(LEAVES[:size]).hex() == ROOTS[size]
    assert mth(LEAVES[:size]).hex() == ROOTS[size]


@pytest.mark.parametrize(("index", "size", "spans"), INCLUSION)
def test_inclusion_proofs_are_those_of_the_known_tree(index, size, spans):
    assert merkle.inclusion(index, size) == spans
    stored = Stored(LEAVES)
    assert [stored.hash(span).hex() for span in spans] == [H[span] for span in spans]


@pytest.mark.parametrize(("first", "second", "spans"), CONSISTENCY)
def test_consistency_proofs_are_those_of_the_known_tree(first, second, spans):
    assert merkle.consistency(first, second) == spans
    stored = Stored(LEAVES)
    assert [stored.hash(span).hex() for span in spans] == [H[span] for span in spans]


@given(st.integers(1, 200), st.data())
def test_what_is_stored_proves_what_the_definition_does(size, data):
    leaves = [os.urandom(3) for _ in range(size)]
    stored = Stored(leaves)
    index = data.draw(st.integers(0, size - 1))
    first = data.draw(st.integers(1, size))
    assert merkle.root(leaves) == mth(leaves) == stored.hash((0, size))
    proof = [stored.hash(span) for span in merkle.inclusion(index, size)]
    assert proof == path(index, leaves)
    proof = [stored.hash(span) for span in merkle.consistency(first, size)]
    assert proof == subproof(first, leaves)


@given(st.integers(0, 150), st.integers(0, 100))
def test_an_edge_goes_on_from_what_is_stored(size, more):
    leaves = [bytes([i]) for i in range(size + more)]
    stored = Stored(leaves)
    subtrees = [stored.rows[node.last - 1][node.level] for node in merkle.nodes((0, size))]
    edge = merkle.Edge(size, subtrees)
    assert edge.root() == mth(leaves[:size])
    rows = [edge.append(merkle.leaf_hash(leaf)) for leaf in leaves[size:]]
    assert rows == stored.rows[size:]
    assert edge.root() == mth(leaves)


@given(st.integers(1, 2**60), st.data())
def test_proofs_of_huge_trees_rest_on_few_hashes(size, data):
    index = data.draw(st.integers(0, size - 1))
    for spans in (merkle.inclusion(index, size), merkle.consistency(index + 1, size)):
        assert len(spans) <= size.bit_length() + 1
        assert sum(len(list(merkle.nodes(span))) for span in spans) <= 2 * size.bit_length() + 1
        # A perfect subtree is stored with its last leaf, which completes it.
        for node in (node for span in spans for node in merkle.nodes(span)):
            assert node.last % (1 << node.level) == 0
            assert node.last <= size


@pytest.mark.parametrize(
    "impossible",
    [
        lambda: merkle.inclusion(0, 0),
        lambda: merkle.inclusion(8, 8),
        lambda: merkle.inclusion(-1, 8),
        lambda: merkle.consistency(0, 8),
        lambda: merkle.consistency(9, 8),
        lambda: merkle.Edge(3, [bytes(32)]),
    ],
)
def test_what_no_tree_has_is_refused(impossible):
    with pytest.raises(ValueError, match="tree"):
        impossible()
