"""Asking for a refit: a job, since it takes long and the task process has the libraries for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import ReviewQueue
from review.services import backtesting
from scoring.models import ScorerVersion
from scoring.services import kinds, scorers

KIND = "ensemble"  # the kind that learns from violations
TASK = "review.tasks.refit_scorer"


def ask_for_refit(
    actor: Actor,
    *,
    slug: str = scorers.DEFAULT,
    queue: ReviewQueue | None = None,
    question: str = "",
    since: datetime | None = None,
    until: datetime | None = None,
    config: Mapping[str, Any] | None = None,
) -> Job:
    """A job that fits the next version with the verified labels of a queue, and backtests it.

    Args:
        queue, question: as in `backtesting.ask_for_backtest`.
        since, until, config: as in `fitting.fit`.

    Raises:
        InvalidInput: no such question, malformed settings, or the window ends before it begins.
    """
    access.require(actor, "scorers:write")
    queue = queue or backtesting.default_queue(actor.project)
    backtesting.check_question(queue, question)
    if since is not None and until is not None and since >= until:
        raise errors.InvalidInput.at("until", "must lie after the window's beginning", "too_early")
    kinds.allowed(KIND, config or {})
    with transaction.atomic():
        return jobs.enqueue(
            actor,
            TASK,
            scorer=slug,
            queue=queue.pk,
            question=question,
            since=since and since.isoformat(),
            until=until and until.isoformat(),
            config=dict(config or {}),
        )


def settings_to_refit(version: ScorerVersion) -> dict[str, Any]:
    """The settings of an ensemble for its next fit: its own, with a contrast to learn violations.

    A lean profile without named detectors is left to the fit, which adds the contrast.
    """
    settings = dict(version.config["settings"])
    if settings["detectors"] is None and settings["profile"] == "lean":
        del settings["detectors"], settings["profile"]
    elif settings["detectors"] is not None:
        settings["detectors"] = sorted({*settings["detectors"], "contrastive"})
    return settings
