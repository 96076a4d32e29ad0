"""Comparing what has come in since the last report, one model version at a time.

A model version's report, its moved baselines and their audit row are one transaction under a lock
of that model version: a killed run leaves nothing and is simply run again, and of two at once one
finds nothing to do.
"""

import logging
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import numpy as np
from django.db import transaction

from oversight.audit import services as audit
from oversight.lib.transactions import try_advisory_lock
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.core.drift.contract import Floats, Sample
from scoring.core.drift.moving import MovingBaselines
from scoring.models import DriftReference, DriftReport, InferenceRecord, ModelVersion, ScorerVersion
from scoring.models.batches import IngestBatch
from scoring.services import scorers
from scoring.services.drift import checkpoints, comparing, references, samples, spans, telling
from scoring.services.drift.samples import Records
from scoring.services.drift.spans import Span

logger = logging.getLogger(__name__)

MAX_RECORDS = 10_000  # drawn from a span, whatever it holds
N_BINS = 20
_LOCK = "drift"

Confirmed = Callable[[Project, list[UUID]], set[UUID]]


def nothing_confirmed(project: Project, ids: list[UUID]) -> set[UUID]:
    """Where nobody can say which records are confirmed violations."""
    return set()


def run(
    actor: Actor, *, confirmed: Confirmed = nothing_confirmed, work_seconds: float = 400.0
) -> list[DriftReport]:
    """Compare what is due in the actor's project; safe to run twice, and at once with another.

    Args:
        actor: the schedule.
        confirmed: which of some records are confirmed violations.
        work_seconds: no new comparison is begun after this time; the next run goes on.
    """
    project = actor.project
    spans.count_new_windows(project)
    stop_at = time.monotonic() + work_seconds
    made = []
    scorer = scorers.current_version(project)
    for model in ModelVersion.objects.filter(project=project).order_by("pk"):
        if time.monotonic() > stop_at:
            break
        report = run_model(actor, model=model, scorer=scorer, confirmed=confirmed)
        if report is not None:
            made.append(report)
    return made


def run_model(
    actor: Actor,
    *,
    model: ModelVersion,
    scorer: ScorerVersion,
    confirmed: Confirmed = nothing_confirmed,
) -> DriftReport | None:
    """Compare and absorb a model version's waiting windows; None where nothing is due."""
    project = actor.project
    with transaction.atomic():
        if not try_advisory_lock(_LOCK, model.pk):
            return None
        reference = references.find_reference(project, model, scorer)
        if reference is None:
            return None
        # The baseline's own windows may be waiting still when its version is released.
        is_baseline = reference.source == DriftReference.Source.BASELINE
        since = reference.scorer_version.created_at if is_baseline else None
        span = spans.find_due(project, model, after=reference.through, since=since)
        if span is None:
            return None
        before = samples.load(references.ids_of(reference), model)
        if len(before) < comparing.MIN_ROWS:  # expired or erased since: the next run compares
            references.renew(project, model, scorer)
            return None
        after = _drawn(project, span, since)
        if len(after) < comparing.MIN_ROWS:
            logger.info("too few records of %s to compare", model)
            return None
        before, after = samples.side_by_side(before, after)
        report = _compared(project, span, scorer, reference, before, after)
        known = confirmed(project, after.ids)
        mask = np.array([record in known for record in after.ids], np.bool_)
        moved = checkpoints.absorb(model, reference, span.last, after, mask)
        report.baselines = _where_baselines_stand(before, moved)
        report.save(force_insert=True)
        audit.record(
            actor,
            "drift.reported",
            "drift_report",
            report.pk,
            model_version=model.pk,
            window=span.last.number,
            n_records=span.n_records,
            n_alarms=report.n_alarms,
        )
    return report


def _drawn(project: Project, span: Span, since: datetime | None) -> Records:
    """The span's records, drawn by chance; those ingested after a time alone where one is given."""
    batches = IngestBatch.objects.filter(window__in=span.windows).values_list("pk", flat=True)
    found = samples.usable(
        InferenceRecord.objects.filter(
            project=project, batch__any=list(batches), model_version=span.model.pk
        )
    )
    if since is not None:
        found = found.filter(ingested_at__gt=since)
    ids = samples.draw(
        found,
        about=span.n_records,
        most=MAX_RECORDS,
        seed=bytes(project.hash_key),
        stream=f"drift-{span.model.pk}-{span.last.number}",
    )
    return samples.load(ids, span.model)


def _compared(
    project: Project,
    span: Span,
    scorer: ScorerVersion,
    reference: DriftReference,
    before: Records,
    after: Records,
) -> DriftReport:
    """The report of a span, not stored yet."""
    baselines = checkpoints.find(span.model, reference)
    distances: tuple[Mapping[str, Floats], Mapping[str, Floats]] = ({}, {})
    if baselines is not None:
        distances = (_distances(baselines, before), _distances(baselines, after))
    comparison = comparing.compare(
        before,
        after,
        distances=distances,
        scored=_scored(span, scorer, before, after),
        scorer=scorer.pk,
        level=span.level,
        seed=f"{span.model.pk}/{span.last.number}",
    )
    alarms = telling.alarms(comparison, str(span.model), _known_since(span.model))
    return DriftReport(
        project=project,
        model_version=span.model,
        kind=DriftReport.Kind.RECORDS,
        window=span.last,
        first_window=span.windows[0].number,
        reference=reference,
        scorer_version=scorer,
        reference_first_at=_moment(before.times.min()),
        reference_last_at=_moment(before.times.max()),
        compared_first_at=_moment(after.times.min()),
        compared_last_at=_moment(after.times.max()),
        n_reference=len(before),
        n_compared=len(after),
        n_records=span.n_records,
        season=comparison.season,
        matched=comparison.matched,
        level=comparison.level,
        n_tests=len(comparison.tests),
        n_alarms=len(alarms),
        tests=telling.tests(comparison),
        alarms=alarms,
        scores=_score_histogram(after, scorer),
    )


def _distances(baselines: MovingBaselines, records: Records) -> dict[str, Floats]:
    return baselines.distances(records.fingerprints, records.signals, len(records))


def _scored(span: Span, scorer: ScorerVersion, before: Records, after: Records) -> Sample | None:
    """The reference of the scores: the pinned one, else the reference's own, else made anew."""
    pinned = references.find_scored(span.model, scorer)
    if pinned is not None:
        records = samples.load(references.ids_of(pinned), span.model)
        sides = samples.side_by_side(records, after)
        return _with_fields_of(sides[0].scored_by(scorer.pk), after)
    own = np.flatnonzero(before.scorers == scorer.pk)
    if own.size >= references.MIN_RECORDS:
        return before.scored_by(scorer.pk)
    rows = np.flatnonzero(after.scorers == scorer.pk)[: references.MAX_RECORDS]
    if rows.size >= references.MIN_RECORDS:
        ids = [after.ids[row] for row in rows]
        source = DriftReference.Source.SCORED
        references.pin(span.model, scorer, source, ids, through=span.last.number)
    return None


def _with_fields_of(sample: Sample, records: Records) -> Sample:
    """The sample with the segment fields of the records; what it lacks it does not know."""
    gap = np.full(len(sample), samples.NONE)
    return Sample(
        times=sample.times,
        score=sample.score,
        segments={name: sample.segments.get(name, gap) for name in records.segments},
    )


def _known_since(model: ModelVersion) -> dict[tuple[str, ...], dict[str, float]]:
    """Since when things move that the last report already raised an alarm for."""
    last = (
        DriftReport.objects.filter(model_version=model, kind=DriftReport.Kind.RECORDS)
        .order_by("-pk")
        .first()
    )
    if last is None:
        return {}
    return {telling.key(alarm): alarm["since"] for alarm in last.alarms if alarm["since"]}


def _score_histogram(records: Records, scorer: ScorerVersion) -> dict[str, Any] | None:
    scores = records.score[records.scorers == scorer.pk]
    if not scores.size:
        return None
    counts = np.histogram(np.clip(scores, 0.0, 1.0), N_BINS, (0.0, 1.0))[0]
    quantiles = np.quantile(scores, [0.1, 0.25, 0.5, 0.75, 0.9])
    return {
        "n": int(scores.size),
        "counts": [int(n) for n in counts],
        "quantiles": [float(q) for q in quantiles],
    }


def _where_baselines_stand(reference: Records, moved: MovingBaselines) -> list[dict[str, Any]]:
    """Each signal's moving mean beside the reference's, in units of the reference's spread."""
    if moved.signals is None:
        return []
    table = moved.table(reference.signals, len(reference))
    rows = []
    for j, name in enumerate(moved.names):
        values = table[:, j][np.isfinite(table[:, j])]
        if values.size < comparing.MIN_ROWS:
            continue
        sd = float(values.std())
        shift = float(moved.signals.mean_[j] - values.mean())
        rows.append(
            {
                "name": name,
                "reference_mean": float(values.mean()),
                "reference_sd": sd,
                "moving_mean": float(moved.signals.mean_[j]),
                "moving_sd": float(np.sqrt(max(moved.signals.covariance_[j, j], 0.0))),
                "shift": shift / sd if sd > 0 else None,
            }
        )
    return rows


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)
