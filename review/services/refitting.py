"""Fitting the next ensemble with what people verified, as a job, and testing it at once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from oversight.jobs.models import Job
from oversight.jobs.selectors import find_asker
from oversight.tenancy import access
from oversight.tenancy.actors import Actor, system_actor
from review.models import ReviewQueue
from review.services import verified
from scoring.models import ScorerVersion
from scoring.services import backtests, fitting, scorers


class Reports(Protocol):
    """What the work tells how far it is; raises where the job is not its own any more."""

    def report(self, done: int, total: int | None = None) -> None: ...


def run(job: Job, progress: Reports) -> dict[str, Any]:
    """Carry out a refit; a second run finds the version and the backtest of the first."""
    given = job.arguments
    return refit(
        system_actor(job.project, f"job:{job.pk}"),
        slug=given["scorer"],
        queue=ReviewQueue.objects.select_related("project").get(
            project=job.project, pk=given["queue"]
        ),
        question=given["question"],
        since=_moment(given["since"]),
        until=_moment(given["until"]),
        config=given["config"],
        progress=progress,
        job=job,
    )


def refit(
    actor: Actor,
    *,
    queue: ReviewQueue,
    progress: Reports,
    slug: str = scorers.DEFAULT,
    question: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    config: Mapping[str, Any] | None = None,
    job: Job | None = None,
) -> dict[str, Any]:
    """Fit, propose and backtest; arguments as in `refit_requests.ask_for_refit`.

    Raises:
        InvalidInput: the window is too small, or cannot be fitted.
    """
    access.require(actor, "scorers:write")
    labels = verified.verified_labels(queue, question)
    asker = find_asker(job) if job else None
    progress.report(0, 2)
    fitted = fitting.fit(
        actor,
        slug=slug,
        since=since,
        until=until,
        config=config,
        verdicts=labels,
        created_by=asker,
        job=str(job.pk) if job else "",
    )
    progress.report(1, 2)
    version = ScorerVersion.objects.select_related("scorer__current").get(pk=fitted.pk)
    made = backtests.run(
        actor,
        version=version,
        reference=backtests.reference_of(version),
        labels=labels,
        job=job,
        created_by=asker,
    )
    progress.report(2, 2)
    return {
        "scorer": version.scorer.slug,
        "version": version.number,
        "records": version.baseline["n_records"],
        "backtest": made.pk,
        "verdict": made.report["verdict"]["says"],
        "weights_adopted": version.baseline["weights"]["adopted"],
    }


def _moment(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
