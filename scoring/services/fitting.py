"""Fitting a scorer version to a baseline window of stored records.

Held-out records never enter a fit, nor do records that were erased or closed to review.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from oversight.lib import errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from scoring.core.scorers.contract import BaselineTooSmallError, RecordBatch, ScorerError
from scoring.core.scorers.ensemble_fit import fit_ensemble
from scoring.core.scorers.percentile_fit import fit_percentile
from scoring.core.state import ScorerState
from scoring.models import InferenceRecord, RecordPayload, ScorerVersion
from scoring.services import guarding, kinds, scorers
from scoring.services.scoring import Subject, batch_of

MAX_RECORDS = 20_000  # the newest of the window: quantiles need no more
_CHUNK = 1_000
_FITS: dict[str, Callable[..., ScorerState]] = {
    "ensemble": fit_ensemble,
    "percentile": fit_percentile,
}


def fit(
    actor: Actor,
    *,
    slug: str = scorers.DEFAULT,
    since: datetime | None = None,
    until: datetime | None = None,
    kind: str | None = None,
    config: Mapping[str, Any] | None = None,
    invariants: guarding.Document | None = None,
) -> ScorerVersion:
    """Fit a scorer to the project's records of a window and store it as proposed.

    Args:
        slug: the scorer that gets the version.
        since, until: the window by occurrence; open where None.
        kind: one of `kinds.KINDS`; None takes the first that knows the settings and for which the
            window is large enough: 600 records for the ensemble, 300 for percentiles.
        config: settings of that kind's fit; signals default to all that occur, high is anomalous.
        invariants: a document of the invariant language; None keeps those of the version in use.

    Raises:
        InvalidInput: settings or invariants are malformed, or the window holds too few records.
    """
    access.require(actor, "scorers:write")
    names = kinds.allowed(kind, config or {})
    if invariants is None:
        invariants = guarding.in_use(actor.project, slug)
    else:
        invariants = guarding.read(invariants)
    by_model: dict[str, list[Subject]] = {}
    n_records = 0
    first = last = None
    for record, subject in _window(actor, since, until):
        by_model.setdefault(subject.model, []).append(subject)
        n_records += 1
        first = record.occurred_at if first is None else min(first, record.occurred_at)
        last = record.occurred_at if last is None else max(last, record.occurred_at)
    batches = [batch_of(model, subjects) for model, subjects in sorted(by_model.items())]
    settings = dict(config or {})
    settings.setdefault("signals", _all_signals(batches))
    return scorers.propose(
        actor,
        slug=slug,
        state=guarding.guarded(_fit_first(names, batches, settings), invariants),
        baseline={
            "n_records": n_records,
            "models": {model: len(subjects) for model, subjects in sorted(by_model.items())},
            "first": first and rfc3339(first),
            "last": last and rfc3339(last),
        },
    )


def _fit_first(
    names: Sequence[str], batches: Sequence[RecordBatch], settings: Mapping[str, Any]
) -> ScorerState:
    """The state of the first of these kinds for which the window is large enough.

    Raises:
        InvalidInput: it is too small for all of them, or its records cannot be fitted.
    """
    refusals = []
    for name in names:
        try:
            return _FITS[name](batches, config=settings)
        except BaselineTooSmallError as error:
            refusals.append(f"{name}: {error}")
        except ScorerError as error:  # what is wrong with the records, a lesser kind would hide
            raise errors.InvalidInput(
                f"no scorer could be fitted: {error}", code="no_fit"
            ) from error
    raise errors.InvalidInput(f"no scorer could be fitted: {'; '.join(refusals)}", code="no_fit")


def _all_signals(batches: list[RecordBatch]) -> dict[str, dict[str, Any]]:
    return {name: {} for name in sorted({name for batch in batches for name in batch.signals})}


def _window(
    actor: Actor, since: datetime | None, until: datetime | None
) -> Iterator[tuple[InferenceRecord, Subject]]:
    found = (
        InferenceRecord.objects.of(actor.project)
        .within(since, until)
        .filter(held_out=False, may_review=True, erased_at=None)
        .only("id", "occurred_at", "signals", "context", "model_version")
        .order_by("-id")[:MAX_RECORDS]
    )
    rows = list(found.prefetch_related("model_version"))
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        stored = dict(
            RecordPayload.objects.filter(pk__in=[row.pk for row in chunk]).values_list(
                "id", "fingerprint"
            )
        )
        for row in chunk:
            model = row.model_version
            dimension = model.fingerprint_dimension
            packed = stored.get(row.pk) if dimension is not None else None
            yield (
                row,
                Subject(
                    model=model.name,
                    signals=row.signals,
                    context=row.context,
                    fingerprint=None if packed is None else bytes(packed),
                    dimension=dimension,
                ),
            )
