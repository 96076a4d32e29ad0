"""Asking for a fit: a job, since it takes long and the task process has the libraries for it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import transaction

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from scoring.services import guarding, kinds, scorers


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
    """A job that fits the next version of a scorer; the arguments are those of `fitting.fit`.

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
