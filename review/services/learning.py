"""Learning from verdicts: the score's calibration is estimated again and proposed as a version.

What is in use changes only by a release: a person's, or a rule's where the project allows it.
Held-out labels and labels under other clauses teach nothing; every step is audited.
"""

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from django.db import transaction

from oversight.audit import services as audit
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.jobs.selectors import find_asker
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor, system_actor
from oversight.tenancy.models import User
from review.models import LearningRun, ReviewQueue
from review.services import backtesting, gaps, verified
from review.services.learning_settings import settings_of
from scoring.backtest_reports import LOSS_RULE
from scoring.core.scorers.calibration_map_v1 import p_violation, read_calibration
from scoring.core.state import from_bytes
from scoring.models import Backtest, ScorerVersion
from scoring.services import backtests, calibrating, calibration_gain, scorers
from scoring.verified import VerifiedLabels

TASK = "review.tasks.learn"
RULE = LOSS_RULE
RULE_TEXT = (
    "The 95 % interval of the paired, weighted difference in log loss against the version in use "
    "lies below 0, on at least 30 verdicts that neither was fitted on, 5 of either kind. What the "
    "rule says is the backtest's verdict: a new calibration moves no record to another tier."
)
LEAST_CHANGE = 0.002  # weighted mean distance of two curves that is worth a version


class Reports(Protocol):
    """What the work tells how far it is; raises where the job is not its own any more."""

    def report(self, done: int, total: int | None = None) -> None: ...


class Quiet:
    """Tells nobody."""

    def report(self, done: int, total: int | None = None) -> None:
        pass


def ask_to_learn(actor: Actor) -> Job:
    """A job that learns from the verdicts of the project's teaching queue."""
    access.require(actor, "scorers:write")
    chosen = settings_of(actor.project)
    queue = chosen.queue or backtesting.default_queue(actor.project)
    with transaction.atomic():
        return jobs.enqueue(actor, TASK, queue=queue.pk, question=chosen.question)


def run(job: Job, progress: Reports) -> dict[str, Any]:
    """Carry out a learning job."""
    made = learn(
        system_actor(job.project, f"job:{job.pk}"),
        queue=ReviewQueue.objects.select_related("project").get(
            project=job.project, pk=job.arguments["queue"]
        ),
        question=job.arguments["question"],
        created_by=find_asker(job),
        job=job,
        progress=progress,
    )
    return {
        "run": made.pk,
        "outcome": made.outcome,
        "reason": made.reason or None,
        "labels": made.n_labels,
        "version": made.version.number if made.version else None,
        "released_by_rule": made.released_by_rule or None,
    }


def learn(
    actor: Actor,
    *,
    queue: ReviewQueue,
    question: str = "",
    created_by: User | None = None,
    job: Job | None = None,
    progress: Reports | None = None,
) -> LearningRun:
    """Look at a queue's verdicts once: propose a recalibrated version, or say why not.

    A job that runs twice, or goes on after a death, ends in the same state: its version and its
    run are found by the job.

    Raises:
        InvalidInput: the question is not one that says yes or no.
    """
    access.require(actor, "scorers:write")
    progress = progress or Quiet()
    if job is not None and (stored := LearningRun.objects.filter(job=job).first()) is not None:
        return stored
    progress.report(0, 4)
    labels = verified.verified_labels(queue, question)
    reference = _reference(actor, job)
    state = from_bytes(bytes(reference.state))
    raw = calibrating.raw_scores(actor.project, state, labels.record_ids)
    p_now = p_violation(read_calibration(state.arrays), raw)
    progress.report(1)
    report: dict[str, Any] = {"gaps": gaps.report_of(labels, raw, p_now, reference)}
    progress.report(2)
    made = calibrating.calibrated(state, labels, raw)
    report |= {"calibration": made.facts, "left_out": dict(labels.left_out)}
    run = LearningRun(
        project=actor.project,
        queue=queue,
        question=question,
        until=labels.last,
        n_labels=len(made.rows),
        reference=reference,
        report=report,
        created_by=created_by or actor.user,
        job=job,
    )
    if made.learnt is None:
        return _stored(actor, run, LearningRun.Outcome.WAITING, str(made.facts["reason"]))
    comparison = calibrating.versus(made, labels, baseline=reference.baseline, p_reference=p_now)
    gain = calibration_gain.told(comparison)
    report["comparison"] = gain
    if why := _not_worth_it(gain, made, labels, raw, p_now):
        return _stored(actor, run, LearningRun.Outcome.KEPT, why)
    run.version = _propose(actor, reference, made, run, job, gain)
    progress.report(3)
    run.backtest = _backtest(actor, run, labels, gain)
    progress.report(4)
    return _stored(actor, run, LearningRun.Outcome.PROPOSED, "")


def _reference(actor: Actor, job: Job | None) -> ScorerVersion:
    """The version in use; for a run that goes on, the one that it was compared with."""
    before = scorers.find_proposed_by(actor.project, str(job.pk)) if job else None
    if before is not None:
        return ScorerVersion.objects.select_related("scorer").get(
            scorer=before.scorer, number=before.baseline["calibration_of"]
        )
    return scorers.current_version(actor.project)


def _not_worth_it(
    gain: Mapping[str, Any],
    made: calibrating.Calibrated,
    labels: VerifiedLabels,
    raw: npt.NDArray[np.float64],
    p_now: npt.NDArray[np.float64],
) -> str:
    """Why the version in use stays; "" where the new calibration is worth a version."""
    if gain["says"] == "worse":
        return "a new calibration would do worse on verdicts that it was not fitted on"
    p_new = p_violation(read_calibration(made.state.arrays), raw)
    both = ~np.isnan(p_now) & ~np.isnan(p_new) & (labels.weight > 0)
    if not both.any():
        return ""
    change = np.average(np.abs(p_new - p_now)[both], weights=labels.weight[both])
    if change >= LEAST_CHANGE:
        return ""
    return f"the probabilities would move by {100 * change:.2f} points on average"


def _propose(
    actor: Actor,
    reference: ScorerVersion,
    made: calibrating.Calibrated,
    run: LearningRun,
    job: Job | None,
    gain: Mapping[str, Any],
) -> ScorerVersion:
    before = scorers.find_proposed_by(actor.project, str(job.pk)) if job else None
    return before or scorers.propose(
        actor,
        state=made.state,
        baseline={
            **reference.baseline,
            "calibration": {**made.facts, "gain": dict(gain)},
            "calibration_of": reference.number,
            "job": str(job.pk) if job else "",
        },
        slug=reference.scorer.slug,
        created_by=run.created_by,
    )


def _backtest(
    actor: Actor, run: LearningRun, labels: VerifiedLabels, gain: Mapping[str, Any]
) -> Backtest:
    assert run.version is not None
    return backtests.run(
        actor,
        version=run.version,
        reference=run.reference,
        labels=labels,
        job=run.job,
        created_by=run.created_by,
        gain=gain,
    )


def _stored(
    actor: Actor, run: LearningRun, outcome: LearningRun.Outcome, reason: str
) -> LearningRun:
    """Keep the run, and release its version in the same transaction where the rule allows."""
    run.outcome, run.reason = outcome, reason
    with transaction.atomic():
        if _may_release(run):
            assert run.version is not None
            try:
                scorers.release(actor, version=run.version, rule=RULE, instead_of=run.reference)
            except errors.Conflict as error:
                run.reason = f"not released by rule: {error.message}"
            else:
                run.released_by_rule = RULE
        run.save()
        audit.record(
            actor,
            "scorer.learnt",
            "learning_run",
            run.pk,
            queue=run.queue.slug,
            question=run.question,
            n_labels=run.n_labels,
            outcome=str(outcome),
            reference=run.reference.number,
            version=run.version.number if run.version else None,
            released_by_rule=run.released_by_rule,
        )
    return run


def _may_release(run: LearningRun) -> bool:
    if run.version is None or run.backtest is None:
        return False
    if not settings_of(run.project).releases_by_rule:
        return False
    is_better: bool = run.backtest.report["verdict"]["says"] == "better"
    return is_better
