"""Reads of backtests."""

from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.lib.clock import rfc3339
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from scoring.models import Backtest, ScorerVersion


def backtests(actor: Actor, version: ScorerVersion) -> QuerySet[Backtest]:
    """A version's backtests, newest first."""
    access.require(actor, "figures:read")
    return (
        Backtest.objects.filter(
            scorer_version=version, scorer_version__scorer__project=actor.project
        )
        .select_related("scorer_version__scorer", "reference__scorer", "created_by")
        .order_by("-pk")
    )


def get_latest(
    actor: Actor, version: ScorerVersion, reference: ScorerVersion | None = None
) -> Backtest:
    """The newest backtest of a version, of those against `reference` where one is given.

    Raises:
        NotFound: there is none yet.
    """
    found = find_latest(actor, version, reference)
    if found is None:
        raise errors.NotFound("this version has no such backtest yet: ask for one by POST")
    return found


def find_latest(
    actor: Actor, version: ScorerVersion, reference: ScorerVersion | None = None
) -> Backtest | None:
    """The same, or None."""
    found = backtests(actor, version)
    return (found if reference is None else found.filter(reference=reference)).first()


def as_answer(made: Backtest) -> dict[str, Any]:
    """A backtest as the API tells it."""
    return {
        "id": made.pk,
        "scorer": made.scorer_version.scorer.slug,
        "version": made.scorer_version.number,
        "reference": made.reference.number if made.reference else None,
        "labels": made.source,
        "label_counts": made.label_counts,
        "created_at": rfc3339(made.created_at),
        **made.report,
    }
