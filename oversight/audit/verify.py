"""Deriving a project's log again, from its rows alone, and comparing it with what is stored.

What each check finds: an edited event (its leaf differs), a deleted, inserted or reordered one (the
tree or the sequence differs), an event that bypassed the sequencer, a cut tail or a log that was
computed anew (a checkpoint outside the database differs).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from oversight.audit import checkpoints, keys, tree
from oversight.audit.leaves import leaf_hash
from oversight.audit.models import AuditEvent, AuditLink, AuditPending
from oversight.lib import merkle, notes
from oversight.tenancy.models import Project

_CHUNK = 2_000
_CHECKPOINTS_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one project's log.

    Attributes:
        n_linked: leaves that were derived again without a difference.
        n_pending: events that wait for the sequencer.
        n_checkpoints: checkpoints that were found genuine and true.
        root: of the tree; it says nothing where there is a problem.
        problem: the first difference, in words; None where there is none.
        sequence: where it is; None where it is not at one place.
    """

    n_linked: int
    n_pending: int
    n_checkpoints: int
    root: bytes
    problem: str | None = None
    sequence: int | None = None


class _DifferenceError(Exception):
    def __init__(self, problem: str, sequence: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.sequence = problem, sequence


@dataclass(slots=True)
class _Walk:
    """The state of one derivation."""

    project: Project
    edge: merkle.Edge = field(default_factory=merkle.Edge)
    n_linked: int = 0
    n_checkpoints: int = 0

    def step(self, link: AuditLink, event: AuditEvent | None) -> None:
        at = self.n_linked + 1
        if link.sequence != at:
            raise _DifferenceError(f"link {at} is missing: link {link.sequence} follows", at)
        if event is None:
            raise _DifferenceError("its event is missing", at)
        if event.project_id != self.project.pk:
            raise _DifferenceError("its event belongs to another project", at)
        leaf = leaf_hash(event)
        stored = bytes(link.hashes)
        if stored[: merkle.HASH_BYTES] != leaf:
            raise _DifferenceError("its event is not what was linked", at)
        if stored != b"".join(self.edge.append(leaf)):
            raise _DifferenceError("the tree does not lead here from the links before", at)
        self.n_linked = at

    def compare(self, signed: Iterable[str], verifiers: Sequence[notes.Verifier]) -> None:
        """Compare checkpoints with the tree, whose stored hashes were all derived again before."""
        numbered = enumerate(signed, start=1)
        while chunk := list(islice(numbered, _CHECKPOINTS_AT_ONCE)):
            found = [self._opened(number, note, verifiers) for number, note in chunk]
            roots = tree.roots(self.project, {point.size for point in found})
            for point in found:
                if roots[point.size] != point.root:
                    raise _DifferenceError("the log differs from its checkpoint", point.size)
                self.n_checkpoints += 1

    def _opened(
        self, number: int, note: str, verifiers: Sequence[notes.Verifier]
    ) -> checkpoints.Checkpoint:
        try:
            point = checkpoints.opened(self.project, note, verifiers)
        except notes.NotGenuine as error:
            raise _DifferenceError(f"checkpoint {number} is not genuine: {error}") from error
        if point.size > self.n_linked:
            raise _DifferenceError(
                f"the log is cut: it ends at {self.n_linked}, and a checkpoint knows {point.size}",
                self.n_linked + 1,
            )
        return point


def verify(
    project: Project,
    *,
    directory: Path | None = None,
    verifiers: Sequence[notes.Verifier] | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> Report:
    """Derive a project's log again.

    Args:
        project: whose log.
        directory: where the checkpoints lie; the data folder's where absent.
        verifiers: whose checkpoints count; the installation's keys, now and retired, where absent.
        progress: is told how many links were derived since the last call.

    Returns:
        A report with the first difference, if there is one.

    Raises:
        OSError, UnusableKey: checkpoints or the installation's own key cannot be read.
    """
    if verifiers is None:
        verifiers = keys.verifiers(project)
    walk = _Walk(project)
    # Before the snapshot: all that these speak of is in it.
    signed = checkpoints.read(project, directory)
    with _snapshot():
        n_pending = AuditPending.objects.filter(project=project).count()
        try:
            for count, (link, event) in enumerate(_links(project), start=1):
                walk.step(link, event)
                if count % _CHUNK == 0:
                    progress(_CHUNK)
            walk.compare(signed, verifiers)
            _check_unlinked(project)
        except _DifferenceError as found:
            return _report(walk, n_pending, found)
    return _report(walk, n_pending)


def _report(walk: _Walk, n_pending: int, found: _DifferenceError | None = None) -> Report:
    return Report(
        n_linked=walk.n_linked,
        n_pending=n_pending,
        n_checkpoints=walk.n_checkpoints,
        root=walk.edge.root(),
        problem=found.problem if found else None,
        sequence=found.sequence if found else None,
    )


@contextmanager
def _snapshot() -> Iterator[None]:
    """One view of the database, so that events linked meanwhile are no differences.

    Inside a transaction of the caller, that transaction's view is taken.
    """
    outermost = not connection.in_atomic_block
    with transaction.atomic():
        if outermost:
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        yield


def _links(project: Project) -> Iterator[tuple[AuditLink, AuditEvent | None]]:
    """Links with their events, in chunks by keyset; events are looked up apart, for an inner join
    would pass over a link whose event is gone."""
    after = -1
    while True:
        chunk = list(
            AuditLink.objects.filter(project=project, sequence__gt=after).order_by("sequence")[
                :_CHUNK
            ]
        )
        if not chunk:
            return
        events = AuditEvent.objects.in_bulk([link.event_id for link in chunk])
        for link in chunk:
            yield link, events.get(link.event_id)
        after = chunk[-1].sequence


def _check_unlinked(project: Project) -> None:
    event = OuterRef("pk")
    stray = (
        AuditEvent.objects.filter(project=project)
        .exclude(Exists(AuditLink.objects.filter(event=event)))
        .exclude(Exists(AuditPending.objects.filter(event=event)))
        .order_by("pk")
        .first()
    )
    if stray is not None:
        raise _DifferenceError(f"event {stray.pk} is neither linked nor waiting to be")
    known = AuditEvent.objects.filter(pk=OuterRef("event_id"))
    lost = AuditPending.objects.filter(project=project).exclude(Exists(known)).first()
    if lost is not None:
        raise _DifferenceError(f"event {lost.event_id} was waiting to be linked, and is missing")
