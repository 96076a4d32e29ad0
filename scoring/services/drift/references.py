"""What later records are compared with: the baseline of the scorer version in use.

Where that version has none of a model version (cold start, a new model), its oldest records that
suffice. The choice is pinned as ids, so that every report means the same past until a new scorer
version is released; ids that were erased or have expired since drop out.
"""

from datetime import datetime
from uuid import UUID

from django.db.models import Sum

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
from scoring.services.drift import samples

MIN_RECORDS = 200
MAX_RECORDS = 2_000
_ID_BYTES = 16


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
        .within(since=first)
        .filter(occurred_at__lte=last, ingested_at__lte=scorer.created_at, model_version=model.pk)
    )
    about = int(baseline["models"][model.name])
    ids = _drawn(project, model, found, about)
    if len(ids) < MIN_RECORDS:
        return None
    return pin(model, scorer, DriftReference.Source.BASELINE, ids)


def _of_oldest(
    project: Project, model: ModelVersion, scorer: ScorerVersion
) -> DriftReference | None:
    """The first windows of the model version that hold enough of it together."""
    windows = Window.objects.filter(project=project, shares__model_version=model)
    n, taken = 0, []
    for window in windows.annotate(n_of_model=Sum("shares__n_records")).order_by("number"):
        taken.append(window)
        n += window.n_of_model
        if n < MIN_RECORDS:
            continue
        batches = IngestBatch.objects.filter(window__in=taken).values_list("pk", flat=True)
        found = samples.usable(
            InferenceRecord.objects.filter(
                project=project, batch__in=list(batches), model_version=model.pk
            )
        )
        ids = _drawn(project, model, found, n)
        if len(ids) >= MIN_RECORDS:  # erasures since the windows were counted may ask for more
            source = DriftReference.Source.OLDEST
            return pin(model, scorer, source, ids, through=window.number)
    return None


def _drawn(project: Project, model: ModelVersion, found: RecordQuerySet, about: int) -> list[UUID]:
    return samples.draw(
        found,
        about=about,
        most=MAX_RECORDS,
        seed=bytes(project.hash_key),
        stream=f"drift-reference-{model.pk}",
    )
