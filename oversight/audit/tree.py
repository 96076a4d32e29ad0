"""A project's Merkle tree as it is stored: with each leaf the perfect subtrees that it completes.

Roots, edges and proofs read one link for each perfect subtree that they rest on: a logarithmic
number, whatever the log's length.
"""

from collections.abc import Iterable, Sequence

from oversight.audit.models import AuditLink
from oversight.lib import merkle
from oversight.tenancy.models import Project


class DamagedTree(Exception):
    """Links that the tree rests on are missing; `verify-audit` tells where."""


def size_of(project: Project) -> int:
    """Leaves that are in the tree."""
    last = AuditLink.objects.filter(project=project).order_by("-sequence").values("sequence")
    return next((row["sequence"] for row in last[:1]), 0)


def edge_of(project: Project, size: int) -> merkle.Edge:
    """The right edge of the tree over the first `size` leaves."""
    needed = list(merkle.nodes((0, size)))
    stored = _stored(project, needed)
    return merkle.Edge(size, [stored[node] for node in needed])


def roots(project: Project, sizes: Iterable[int]) -> dict[int, bytes]:
    """The roots of the tree as it was at each of these sizes, by one statement."""
    needed = {size: list(merkle.nodes((0, size))) for size in sizes}
    stored = _stored(project, {node for nodes in needed.values() for node in nodes})
    return {
        size: merkle.fold([stored[node] for node in nodes]) if nodes else merkle.EMPTY
        for size, nodes in needed.items()
    }


def hashes(project: Project, spans: Sequence[merkle.Span]) -> list[bytes]:
    """The hashes over spans of the tree (`merkle.inclusion`, `merkle.consistency`), in order."""
    needed = [list(merkle.nodes(span)) for span in spans]
    stored = _stored(project, {node for nodes in needed for node in nodes})
    return [merkle.fold([stored[node] for node in nodes]) for nodes in needed]


def _stored(project: Project, needed: Iterable[merkle.Node]) -> dict[merkle.Node, bytes]:
    needed = list(needed)
    places = sorted({node.last for node in needed})
    links = AuditLink.objects.filter(project=project, sequence__in=places)
    rows = {at: bytes(hashes) for at, hashes in links.values_list("sequence", "hashes")}
    found = {node: _part(rows.get(node.last, b""), node.level) for node in needed}
    for node, part in found.items():
        if not part:
            raise DamagedTree(f"the hash over {1 << node.level} leaves up to {node.last} is lost")
    return found


def _part(packed: bytes, level: int) -> bytes:
    start = level * merkle.HASH_BYTES
    part = packed[start : start + merkle.HASH_BYTES]
    return part if len(part) == merkle.HASH_BYTES else b""
