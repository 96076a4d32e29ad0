"""What later records are compared with: the baseline of the scorer version in use.

Where that version has none of a model version (cold start, a new model), its oldest records that
suffice and will be kept for at least half of the retention still. The choice is pinned as ids, so
that reports mean the same past until a new scorer version is released, or the records expire; ids
that were erased or have expired since drop out.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.db.models.functions import Now

from oversight.tenancy.models import Project
from scoring.models import (
    DriftReference,
    InferenceRecord,
    IngestBatch,
    ModelVersion,
    ScorerVersion,
    Window,
)
from scoring.models.records import RecordQuerySet
from scoring.services.drift import samples, spans

MIN_RECORDS = 200
MAX_RECORDS = 2_000
_ID_BYTES = 16
_MILLISECOND = timedelta(milliseconds=1)  # the precision of ids


def find_reference(
    project: Project, model: ModelVersion, scorer: ScorerVersion
) -> DriftReference | None:
    """The reference in force, made where there is none; None where too few records exist yet."""
    known = _known(model, scorer, DriftReference.Source.BASELINE, DriftReference.Source.OLDEST)
    return known or renew(project, model, scorer)


def renew(project: Project, model: ModelVersion, scorer: ScorerVersion) -> DriftReference | None:
    """A reference made of what is stored now; None where too few records are."""
    return _of_baseline(project, model, scorer) or _of_oldest(project, model, scorer)


def find_scored(model: ModelVersion, scorer: ScorerVersion) -> DriftReference | None:
    """The first records that a scorer version scored of a model version, once they are pinned."""
    return _known(model, scorer, DriftReference.Source.SCORED)


def pin(
    model: ModelVersion,
    scorer: ScorerVersion,
    source: DriftReference.Source,
    ids: list[UUID],
    *,
    through: int = 0,
) -> DriftReference:
    return DriftReference.objects.create(
        model_version=model,
        scorer_version=scorer,
        source=source,
        through=through,
        record_ids=b"".join(record.bytes for record in sorted(ids)),
        n_records=len(ids),
    )


def ids_of(reference: DriftReference) -> list[UUID]:
    packed = bytes(reference.record_ids)
    return [
        UUID(bytes=packed[start : start + _ID_BYTES]) for start in range(0, len(packed), _ID_BYTES)
    ]


def _known(
    model: ModelVersion, scorer: ScorerVersion, *sources: DriftReference.Source
) -> DriftReference | None:
    return (
        DriftReference.objects.filter(
            model_version=model, scorer_version=scorer, source__in=sources
        )
        .order_by("-pk")
        .first()
    )


def _of_baseline(
    project: Project, model: ModelVersion, scorer: ScorerVersion
) -> DriftReference | None:
    """Records in the span that the scorer version was fitted to, had it seen them by then."""
    baseline = scorer.baseline
    if not baseline.get("first") or model.name not in baseline.get("models", {}):
        return None
    first, last = (datetime.fromisoformat(baseline[end]) for end in ("first", "last"))
    found = samples.usable(
        InferenceRecord.objects.of(project)
        .within(since=first, until=last + _MILLISECOND)
        .filter(occurred_at__lte=last, ingested_at__lte=scorer.created_at, model_version=model.pk)
    )
    about = int(baseline["models"][model.name])
    ids = _drawn(project, model, found, about, MAX_RECORDS)
    if len(ids) < MIN_RECORDS:
        return None
    return pin(model, scorer, DriftReference.Source.BASELINE, ids)


def _of_oldest(
    project: Project, model: ModelVersion, scorer: ScorerVersion
) -> DriftReference | None:
    """The first windows that hold enough of the model version and will live for long, if any do."""
    windows = spans.living_windows(project, model)
    half = timedelta(days=project.retention_days) / 2
    lasting = windows.filter(closed_at__gt=Now() - half)
    return _of_first(project, model, scorer, lasting) or _of_first(project, model, scorer, windows)


def _of_first(
    project: Project, model: ModelVersion, scorer: ScorerVersion, windows: QuerySet[Any]
) -> DriftReference | None:
    """The first of some windows that hold enough of the model version together."""
    ids: list[UUID] = []
    n, group = 0, []
    for window in windows:
        group.append(window)
        n += window.n_of_model
        if len(ids) + n < MIN_RECORDS:
            continue
        ids += _drawn_from(project, model, group, n, MAX_RECORDS - len(ids))
        if len(ids) >= MIN_RECORDS:  # erasures since the windows were counted may ask for more
            source = DriftReference.Source.OLDEST
            return pin(model, scorer, source, ids, through=window.number)
        n, group = 0, []
    return None


def _drawn_from(
    project: Project, model: ModelVersion, windows: Sequence[Window], about: int, most: int
) -> list[UUID]:
    batches = IngestBatch.objects.filter(window__in=windows).values_list("pk", flat=True)
    found = samples.usable(
        InferenceRecord.objects.filter(
            project=project, batch__any=list(batches), model_version=model.pk
        )
    )
    return _drawn(project, model, found, about, most)


def _drawn(
    project: Project, model: ModelVersion, found: RecordQuerySet, about: int, most: int
) -> list[UUID]:
    return samples.draw(
        found,
        about=about,
        most=most,
        seed=bytes(project.hash_key),
        stream=f"drift-reference-{model.pk}",
    )
