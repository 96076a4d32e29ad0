"""Posteriors of queues: kept up with verdicts, numbered, put in use again where one went wrong.

Never in the request that gives a verdict: a draw, or the schedule, asks what verdicts have come
since. Which were absorbed is stored by id, so that late commits, corrections and erasure are seen.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from django.db import transaction
from django.db.models import Max

from oversight.audit import services as audit
from oversight.lib import errors
from oversight.lib.transactions import advisory_lock
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.beliefs import learning, lessons, reference
from review.beliefs.head import Head, head_of
from review.beliefs.learning import Learnt
from review.beliefs.lessons import Lesson
from review.beliefs.moments import Learned
from review.beliefs.space import Space, fit_space, space_from_bytes
from review.models import CaseResolution, FeatureSpace, PosteriorVersion, ReviewQueue
from scoring.models import ModelVersion, ScorerVersion
from scoring.services import pinned, scorers
from scoring.services.pinned import Pinned

MOST_UPDATES = 20  # lessons that are added one by one before all are fitted anew
UPDATE_SHARE = 0.2  # or that share of what the posterior rests on, if that is more
OUTGROWN = 4  # times as many lessons as when a space was fitted: fit another


@dataclass(frozen=True, slots=True)
class _Situation:
    """What a queue's posterior should rest on, and what it rests on now."""

    queue: ReviewQueue
    head: Head
    scorer_version: ScorerVersion
    lessons: Sequence[Lesson]
    current: PosteriorVersion | None
    learnt: Learnt | None

    @property
    def is_stale(self) -> bool:
        """It speaks of other clauses, or of another scorer's scores."""
        return (
            self.current is None
            or self.current.space.scorer_version_id != self.scorer_version.pk
            or self.current.clause_hashes != self.head.clauses
        )

    @property
    def fresh(self) -> list[Lesson]:
        """Lessons with an answer that was not absorbed."""
        known = self._absorbed
        return [one for one in self.lessons if not known.issuperset(one.resolutions)]

    @property
    def has_gone(self) -> bool:
        """An absorbed answer was corrected, or its record erased."""
        told = {one for lesson in self.lessons for one in lesson.resolutions}
        # Beyond the newest MAX_LESSONS an answer is not gone, only old.
        return len(self.lessons) < lessons.MAX_LESSONS and not told.issuperset(self._absorbed)

    @property
    def has_lost_records(self) -> bool:
        """A record that it rests on was erased, or may teach no longer."""
        held = {one.evidence for one in self.lessons}
        absorbed = set() if self.learnt is None else set(self.learnt.evidence.tolist())
        return len(self.lessons) < lessons.MAX_LESSONS and not held.issuperset(absorbed)

    @property
    def is_due(self) -> bool:
        if self.is_stale or self.has_lost_records:
            return True
        assert self.current is not None
        if _is_rolled_back(self.current):
            return any(one.newest > self.current.settled_through for one in self.lessons)
        return bool(self.fresh) or self.has_gone

    @property
    def _absorbed(self) -> set[int]:
        return set() if self.learnt is None else set(self.learnt.resolutions.tolist())

    @property
    def needs_refit(self) -> bool:
        """Too many, or not only additions, for an update."""
        if self.is_stale or self.has_gone or self.learnt is None:
            return True
        known = set(self.learnt.evidence.tolist())
        fresh = self.fresh
        many = max(MOST_UPDATES, UPDATE_SHARE * len(known))
        return len(fresh) > many or any(one.evidence in known for one in fresh)


def refresh(actor: Actor, *, queue: ReviewQueue, anew: bool = False) -> PosteriorVersion | None:
    """The queue's posterior, brought up to what verdicts say; None at cold start.

    Args:
        anew: fit all lessons anew even where the latest were only added to it.
    """
    head = head_of(queue)
    if head is None:
        return None
    with transaction.atomic():
        advisory_lock("review.posterior", queue.pk)  # two at once would fit the same twice
        current = find_in_use(queue, head.key)
        now = _Situation(
            queue=queue,
            head=head,
            scorer_version=scorers.current_version(queue.project),
            lessons=lessons.read(queue, head),
            current=current,
            learnt=None if current is None else learning.learnt_from_bytes(bytes(current.state)),
        )
        if not now.lessons:
            _retire(queue, head.key)
            return None
        added_to = current is not None and current.kind == PosteriorVersion.Kind.UPDATE
        if now.is_due:
            return _refit(actor, now) if anew or now.needs_refit else _update(actor, now)
        if anew and added_to and current is not None and not _is_rolled_back(current):
            return _refit(actor, now)
        return current


def find_in_use(queue: ReviewQueue, head: str) -> PosteriorVersion | None:
    """The version in use for a question."""
    return (
        PosteriorVersion.objects.select_related("space__scorer_version")
        .filter(queue=queue, head=head, status=PosteriorVersion.Status.IN_USE)
        .first()
    )


def put_in_use(actor: Actor, *, version: PosteriorVersion) -> PosteriorVersion:
    """Put an earlier version in use again; it stays until answers come that nobody had yet given.

    Raises:
        Conflict: it is in use, or speaks of other clauses or another scorer than now.
    """
    access.require(actor, "queues:write")
    queue = version.queue
    head = head_of(queue)
    if head is None or (head.key, dict(head.clauses)) != (version.head, version.clause_hashes):
        raise errors.Conflict("it was taught under other clauses than the rubric now has")
    if version.space.scorer_version != scorers.current_version(queue.project):
        raise errors.Conflict("it rests on the scores of another scorer version than is in use")
    held = {one.evidence for one in lessons.read(queue, head)}
    if not held.issuperset(learning.learnt_from_bytes(bytes(version.state)).evidence.tolist()):
        raise errors.Conflict("it rests on a record that was erased, or teaches no longer")
    with transaction.atomic():
        advisory_lock("review.posterior", queue.pk)
        before = find_in_use(queue, version.head)
        if before == version:
            raise errors.Conflict("this version is in use already")
        _retire(queue, version.head)
        newest = CaseResolution.objects.filter(case__queue=queue).aggregate(last=Max("pk"))["last"]
        version.settled_through = max(newest or 0, version.through_resolution + 1)
        version.status = PosteriorVersion.Status.IN_USE
        version.save(update_fields=["status", "settled_through"])
        audit.record(
            actor,
            "posterior.put_in_use",
            "posterior_version",
            version.pk,
            queue=queue.slug,
            number=version.number,
            before=None if before is None else before.number,
        )
    return version


def load(version: PosteriorVersion) -> Learned:
    """A stored version, ready to judge candidates.

    Raises:
        Unavailable: what is stored does not have the digest it was stored under.
    """
    learnt = learning.learnt_from_bytes(bytes(version.state))
    space = space_from_bytes(bytes(version.space.state))
    if learnt.digest() != version.digest or space.digest() != version.space.digest:
        raise errors.Unavailable(f"posterior {version.number} is damaged: its digest differs")
    return Learned(space, learnt.posterior)


def _refit(actor: Actor, now: _Situation) -> PosteriorVersion:
    number = _next_number(now.queue)
    sample = pinned.pin(now.scorer_version.pk, reference.sample(now.queue, number))
    kept, rows = _rows(now, now.lessons)
    stored, space = _space(now, sample or rows, number, len(kept))
    learnt = learning.refit(space, kept, rows)
    return _store(actor, now, stored, learnt, learning.base_rate(learnt, space, sample), number)


def _update(actor: Actor, now: _Situation) -> PosteriorVersion:
    assert now.current is not None
    assert now.learnt is not None
    space = space_from_bytes(bytes(now.current.space.state))
    kept, rows = _rows(now, now.fresh)
    learnt = learning.add(now.learnt, space, kept, rows)
    number = _next_number(now.queue)
    return _store(
        actor,
        now,
        now.current.space,
        learnt,
        now.current.base_rate,
        number,
        kind=PosteriorVersion.Kind.UPDATE,
    )


def _rows(now: _Situation, wanted: Sequence[Lesson]) -> tuple[list[Lesson], list[Pinned]]:
    """Lessons whose evidence is there still, and their records under the scorer in use."""
    held = lessons.stored(wanted)
    kept = [one for one in wanted if one.evidence in held]
    return kept, pinned.pin(now.scorer_version.pk, [held[one.evidence] for one in kept])


def _space(
    now: _Situation, sample: Sequence[Pinned], number: int, n_lessons: int
) -> tuple[FeatureSpace, Space]:
    """The space in use while it fits; another after a new scorer, or with many more lessons."""
    if now.current is not None and not now.is_stale:
        stored = now.current.space
        first = stored.versions.order_by("number").first()
        if first is not None and n_lessons < OUTGROWN * max(first.n_verdicts, MOST_UPDATES):
            return stored, space_from_bytes(bytes(stored.state))
    seed = hashlib.sha256(f"space/{now.queue.pk}/{number}".encode()).digest()
    space = fit_space(
        sample,
        versions=list(ModelVersion.objects.filter(project=now.queue.project_id)),
        segments=now.queue.segment_terms,
        base_rate=learning.PRIOR_BASE_RATE,
        rng=np.random.default_rng(int.from_bytes(seed, "big")),
    )
    stored = FeatureSpace.objects.create(
        queue=now.queue,
        scorer_version=now.scorer_version,
        state=space.to_bytes(),
        digest=space.digest(),
        n_reference=len(sample),
    )
    return stored, space


def _store(
    actor: Actor,
    now: _Situation,
    space: FeatureSpace,
    learnt: Learnt,
    base_rate: float,
    number: int,
    *,
    kind: PosteriorVersion.Kind = PosteriorVersion.Kind.REFIT,
) -> PosteriorVersion:
    _retire(now.queue, now.head.key)
    through = int(learnt.resolutions.max(initial=0))
    version = PosteriorVersion.objects.create(
        queue=now.queue,
        number=number,
        head=now.head.key,
        kind=kind,
        based_on=now.current if kind == PosteriorVersion.Kind.UPDATE else None,
        space=space,
        state=learnt.to_bytes(),
        digest=learnt.digest(),
        n_verdicts=len(learnt.evidence),
        n_violations=learnt.n_violations,
        base_rate=base_rate,
        clause_hashes=dict(now.head.clauses),
        through_resolution=through,
        settled_through=through,
    )
    audit.record(
        actor,
        f"posterior.{'fitted' if kind == PosteriorVersion.Kind.REFIT else 'updated'}",
        "posterior_version",
        version.pk,
        queue=now.queue.slug,
        number=number,
        head=version.head,
        n_verdicts=version.n_verdicts,
        through_resolution=through,
        digest=version.digest,
    )
    return version


def _retire(queue: ReviewQueue, head: str) -> None:
    PosteriorVersion.objects.filter(
        queue=queue, head=head, status=PosteriorVersion.Status.IN_USE
    ).update(status=PosteriorVersion.Status.RETIRED)


def _is_rolled_back(version: PosteriorVersion) -> bool:
    return version.settled_through > version.through_resolution


def _next_number(queue: ReviewQueue) -> int:
    last = PosteriorVersion.objects.filter(queue=queue).aggregate(last=Max("number"))["last"]
    return (last or 0) + 1
