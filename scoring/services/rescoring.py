"""Scoring stored records again, under another scorer version, beside the score they were given.

A chunk and the mark of how far the work is commit together: killed anywhere, it goes on behind
the last chunk, and a record scored twice keeps its first row, which equals the second.
A long window is scored in turns, so that other jobs come in between.
"""

import time
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring import ids
from scoring.models import InferenceRecord, RecordScore, Rescoring, ScorerVersion
from scoring.models.records import RecordQuerySet
from scoring.services import scorers, scoring, subjects
from scoring.storage import partitions

CHUNK = 1_000
CHUNK_WITH_CONTENT = 100  # a record may hold megabytes of images
TURN_SECONDS = 240.0  # well below the task's soft time limit, for one more chunk comes after it


class Reports(Protocol):
    """What the work tells how far it is; raises where the job is not its own any more."""

    def report(self, done: int, total: int | None = None) -> None: ...


def ask_for_scores(
    actor: Actor,
    *,
    version: ScorerVersion,
    since: datetime | None = None,
    until: datetime | None = None,
    model: str = "",
) -> Job:
    """A job that scores the stored records of a window under a version.

    Args:
        since, until: by occurrence, [since, until); open where None.
        model: a model's name; "" stands for all.

    Raises:
        InvalidInput: the window ends before it begins, or no such model was seen.
    """
    access.require(actor, "scorers:write")
    if since is not None and until is not None and since >= until:
        raise errors.InvalidInput.at("until", "must lie after the window's beginning", "too_early")
    if model and not actor.project.model_versions.filter(name=model).exists():
        raise errors.InvalidInput.at("model", "no record of this model was seen", "unknown")
    with transaction.atomic():
        asked = Rescoring.objects.create(
            project=actor.project,
            scorer_version=version,
            since=since,
            until=until,
            model=model,
            created_by=actor.user,
        )
        return jobs.enqueue(actor, "scoring.tasks.rescore", rescoring=asked.pk)


def run(actor: Actor, *, rescoring_id: int, progress: Reports) -> Rescoring:
    """Carry on with what was asked for one turn; a finished one stays as it is.

    Records that arrive meanwhile behind the mark are not met: they are of another moment.

    Returns:
        how far it is: complete (`completed_at`), or at the mark from which the next turn goes on.
    """
    turn_ends = time.monotonic() + TURN_SECONDS
    asked = Rescoring.objects.select_related("scorer_version__scorer").get(
        project=actor.project, pk=rescoring_id
    )
    if asked.completed_at is not None:
        return asked
    found = _window(asked)
    total = found.count()
    progress.report(asked.n_scored, max(total, asked.n_scored))
    while rows := _next_chunk(found, asked):
        _score_chunk(asked, rows)
        progress.report(asked.n_scored)
        if time.monotonic() > turn_ends:
            return asked
    with transaction.atomic():
        if Rescoring.objects.filter(pk=asked.pk, completed_at=None).update(completed_at=Now()):
            audit.record(
                actor,
                "scorer.rescored",
                "scorer_version",
                asked.scorer_version_id,
                number=asked.scorer_version.number,
                rescoring=asked.pk,
                n_records=asked.n_scored,
                n_held_out=asked.n_held_out,
            )
    asked.refresh_from_db()
    return asked


def score_records(project: Project, version: ScorerVersion, record_ids: Sequence[UUID]) -> None:
    """Score those of some records that the version has not scored yet; gone ones are left out."""
    wanted = sorted(set(record_ids))
    size = _chunk_size(version)
    for start in range(0, len(wanted), size):
        part = wanted[start : start + size]
        missing = (
            _open(project)
            .filter(pk__in=part)
            .exclude(scorer_version=version)
            .exclude(
                pk__in=RecordScore.objects.filter(
                    scorer_version=version, record_id__in=part
                ).values("record_id")
            )
        )
        rows = list(missing.order_by("id").prefetch_related("model_version"))
        if rows:
            with transaction.atomic():
                _store(version, rows)


def _open(project: Project) -> RecordQuerySet:
    return InferenceRecord.objects.of(project).filter(erased_at=None, may_review=True)


def _window(asked: Rescoring) -> RecordQuerySet:
    found = _open(asked.project).within(asked.since, asked.until)
    if asked.model:
        # As literals: a join would be planned over all partitions.
        versions = asked.project.model_versions.filter(name=asked.model)
        found = found.filter(model_version__in=list(versions.values_list("pk", flat=True)))
    return found


def _next_chunk(found: RecordQuerySet, asked: Rescoring) -> list[InferenceRecord]:
    if asked.after is not None:
        found = found.filter(pk__gt=asked.after)
    size = _chunk_size(asked.scorer_version)
    return list(found.order_by("id").prefetch_related("model_version")[:size])


def _chunk_size(version: ScorerVersion) -> int:
    return CHUNK_WITH_CONTENT if scorers.load(version.pk).has_invariants else CHUNK


def _score_chunk(asked: Rescoring, rows: Sequence[InferenceRecord]) -> None:
    n_held_out = sum(row.held_out for row in rows)
    with transaction.atomic():
        moved = Rescoring.objects.filter(pk=asked.pk, after=asked.after).update(
            after=rows[-1].pk,
            n_scored=F("n_scored") + len(rows),
            n_held_out=F("n_held_out") + n_held_out,
        )
        if not moved:  # another worker was faster: behind its mark, if the job is still ours
            asked.refresh_from_db(fields=["after", "n_scored", "n_held_out"])
            return
        _store(asked.scorer_version, rows)
    asked.after = rows[-1].pk
    asked.n_scored += len(rows)
    asked.n_held_out += n_held_out


def _store(version: ScorerVersion, rows: Sequence[InferenceRecord]) -> None:
    judge = scorers.load(version.pk)
    read = subjects.of_records(rows, with_content=judge.has_invariants)
    judged = scoring.judge_all(judge, read, top=0)
    partitions.ensure(ids.occurred_at(row.pk) for row in rows)
    RecordScore.objects.bulk_create(
        [
            RecordScore(
                scorer_version=version,
                record_id=row.pk,
                raw=one.raw,
                score=one.score,
                p_violation=one.p_violation,
                tier=one.tier,
                action=int(one.action),
                held_out=row.held_out,
            )
            for row, one in zip(rows, judged, strict=True)
        ],
        ignore_conflicts=True,
    )


def as_result(done: Rescoring) -> dict[str, Any]:
    """What the job reports."""
    return {
        "scorer": done.scorer_version.scorer.slug,
        "version": done.scorer_version.number,
        "records": done.n_scored,
        "held_out": done.n_held_out,
    }
