"""Deriving a project's log again, from its rows alone, and comparing it with what is stored.

What each check finds: an edited event (its leaf differs), a deleted, inserted or reordered one (the
chain or the sequence differs), an event that bypassed the sequencer, a cut tail or a log that was
computed anew (a checkpoint outside the database differs).
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connection, transaction
from django.db.models import Exists, OuterRef

from oversight.audit import checkpoints
from oversight.audit.models import AuditEvent, AuditLink, AuditPending
from oversight.audit.services import GENESIS, chain_hash, leaf_hash
from oversight.tenancy.models import Project

_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in one project's log.

    Attributes:
        n_linked: links that were derived again without a difference.
        n_pending: events that wait for the sequencer.
        n_checkpoints: checkpoints that were compared.
        chain: hash of the last link that was derived again.
        problem: the first difference, in words; None where there is none.
        sequence: where it is; None where it is not at one place.
    """

    n_linked: int
    n_pending: int
    n_checkpoints: int
    chain: bytes
    problem: str | None = None
    sequence: int | None = None


class _DifferenceError(Exception):
    def __init__(self, problem: str, sequence: int | None = None) -> None:
        super().__init__(problem)
        self.problem, self.sequence = problem, sequence


class _Walk:
    """The state of one derivation."""

    def __init__(self, project: Project, directory: Path | None) -> None:
        self.project = project
        self.sequence = 0
        self.chain = GENESIS
        self.n_checkpoints = 0
        self.expected: dict[int, bytes] = {}
        self._read_checkpoints(directory)

    def _read_checkpoints(self, directory: Path | None) -> None:
        for number, point in enumerate(checkpoints.read(self.project, directory), start=1):
            if not point.is_genuine:
                raise _DifferenceError(f"line {number} of the checkpoints is not genuine")
            known = self.expected.setdefault(point.sequence, point.chain)
            if known != point.chain:
                raise _DifferenceError("two checkpoints contradict each other", point.sequence)
            self.n_checkpoints += 1

    def step(self, link: AuditLink, event: AuditEvent | None) -> None:
        at = self.sequence + 1
        if link.sequence != at:
            raise _DifferenceError(f"link {at} is missing: link {link.sequence} follows", at)
        if event is None:
            raise _DifferenceError("its event is missing", at)
        if event.project_id != self.project.pk:
            raise _DifferenceError("its event belongs to another project", at)
        leaf = leaf_hash(event)
        if bytes(link.leaf) != leaf:
            raise _DifferenceError("its event is not what was linked", at)
        chain = chain_hash(self.chain, leaf)
        if bytes(link.chain) != chain:
            raise _DifferenceError("the chain does not lead here from the link before", at)
        if self.expected.get(at, chain) != chain:
            raise _DifferenceError("the log differs from its checkpoint", at)
        self.sequence, self.chain = at, chain

    def end(self) -> None:
        last = max(self.expected, default=0)
        if last > self.sequence:
            raise _DifferenceError(
                f"the log is cut: it ends at {self.sequence}, and a checkpoint knows {last}",
                self.sequence + 1,
            )


def verify(
    project: Project,
    *,
    directory: Path | None = None,
    progress: Callable[[int], None] = lambda n: None,
) -> Report:
    """Derive a project's log again.

    Args:
        project: whose log.
        directory: where the checkpoints lie; the data folder's where absent.
        progress: is told how many links were derived since the last call.

    Returns:
        A report with the first difference, if there is one.
    """
    walk = None
    with _snapshot():
        pending = AuditPending.objects.filter(project=project)
        n_pending = pending.count()
        try:
            walk = _Walk(project, directory)
            for count, (link, event) in enumerate(_links(project), start=1):
                walk.step(link, event)
                if count % _CHUNK == 0:
                    progress(_CHUNK)
            walk.end()
            _check_unlinked(project)
        except _DifferenceError as found:
            return _report(walk, n_pending, found)
    return _report(walk, n_pending)


def _report(walk: _Walk | None, n_pending: int, found: _DifferenceError | None = None) -> Report:
    return Report(
        n_linked=walk.sequence if walk else 0,
        n_pending=n_pending,
        n_checkpoints=walk.n_checkpoints if walk else 0,
        chain=walk.chain if walk else GENESIS,
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
