"""Fitting a scorer version to a baseline window of stored records.

Held-out records never enter a fit, nor do records that were erased or closed to review.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import User
from scoring.core.scorers.contract import RecordBatch
from scoring.models import InferenceRecord, ScorerVersion
from scoring.services import calibrating, guarding, kinds, scorers, subjects, verdict_fitting
from scoring.services.scoring import Subject, batch_of
from scoring.verified import VerifiedLabels

MAX_RECORDS = 20_000  # the newest of the window: quantiles need no more
_CHUNK = 1_000


def ask_for_fit(
    actor: Actor,
    *,
    slug: str = scorers.DEFAULT,
    since: datetime | None = None,
    until: datetime | None = None,
    kind: str | None = None,
    config: Mapping[str, Any] | None = None,
    invariants: str = guarding.KEEP,
) -> Job:
    """A job that fits the next version of a scorer; the arguments are those of `fit`.

    Args:
        invariants: one of `guarding.CHOICES`.

    Raises:
        InvalidInput: settings are malformed, or the window ends before it begins.
    """
    access.require(actor, "scorers:write")
    if since is not None and until is not None and since >= until:
        raise errors.InvalidInput.at("until", "must lie after the window's beginning", "too_early")
    kinds.allowed(kind, config or {})
    guarding.chosen(invariants)
    with transaction.atomic():
        return jobs.enqueue(
            actor,
            "scoring.tasks.fit_scorer",
            scorer=slug,
            since=since and since.isoformat(),
            until=until and until.isoformat(),
            kind=kind,
            config=dict(config or {}),
            invariants=invariants,
        )


def fit(
    actor: Actor,
    *,
    slug: str = scorers.DEFAULT,
    since: datetime | None = None,
    until: datetime | None = None,
    kind: str | None = None,
    config: Mapping[str, Any] | None = None,
    invariants: guarding.Document | None = None,
    verdicts: VerifiedLabels | None = None,
    created_by: User | None = None,
    job: str = "",
) -> ScorerVersion:
    """Fit a scorer to the project's records of a window and store it as proposed.

    Args:
        slug: the scorer that gets the version.
        since, until: the window by occurrence; open where None.
        kind: one of `kinds.KINDS`; None takes the first that knows the settings and for which the
            window is large enough: 600 records for the ensemble, 300 for percentiles.
        config: settings of that kind's fit; signals default to all that occur, high is anomalous.
        invariants: a document of the invariant language; None keeps those of the version in use.
        verdicts: what people verified; an ensemble learns its contrast and weights from it.
        created_by: who asked, where a job carries it out; by default the actor.
        job: which job, so that its second run finds what the first one proposed.

    Raises:
        InvalidInput: settings or invariants are malformed, or the window holds too few records.
    """
    access.require(actor, "scorers:write")
    if job and (before := scorers.find_proposed_by(actor.project, job)) is not None:
        return before
    names = kinds.allowed("ensemble" if verdicts else kind, config or {})
    if invariants is None:
        invariants = guarding.in_use(actor.project, slug)
    else:
        invariants = guarding.read(invariants)
    left_out = verdict_fitting.violations_to_leave_out(verdicts) if verdicts else set()
    by_model: dict[str, list[Subject]] = {}
    first = last = None
    for record, subject in _window(actor, since, until):
        if record.pk in left_out:
            continue
        by_model.setdefault(subject.model, []).append(subject)
        first = record.occurred_at if first is None else min(first, record.occurred_at)
        last = record.occurred_at if last is None else max(last, record.occurred_at)
    batches = [batch_of(model, members) for model, members in sorted(by_model.items())]
    settings = dict(config or {})
    settings.setdefault("signals", _all_signals(batches))
    learnt: dict[str, Any] = {}
    if verdicts is None:
        state = kinds.fit_first(names, batches, settings)
    else:
        state, learnt = verdict_fitting.fit(actor.project, batches, settings, verdicts)
    state = guarding.guarded(state, invariants)
    if verdicts is not None:
        raw = calibrating.raw_scores(actor.project, state, verdicts.record_ids)
        made = calibrating.calibrated(state, verdicts, raw)
        state, learnt["calibration"] = made.state, made.facts
    return scorers.propose(
        actor,
        slug=slug,
        state=state,
        baseline={
            "n_records": sum(len(members) for members in by_model.values()),
            "models": {model: len(members) for model, members in sorted(by_model.items())},
            "first": first and rfc3339(first),
            "last": last and rfc3339(last),
            **learnt,
            **({"job": job} if job else {}),
        },
        created_by=created_by,
    )


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
        yield from zip(chunk, subjects.of_records(chunk), strict=True)
