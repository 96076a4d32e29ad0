"""Reads of rounds."""

from collections.abc import Sequence
from typing import Any

from django.db.models import Exists, OuterRef, QuerySet

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import Case, SamplingRound, Selection
from review.models.queues import Stratum


def rounds(actor: Actor) -> QuerySet[SamplingRound]:
    """The project's rounds, newest first."""
    access.require(actor, "figures:read")
    return (
        SamplingRound.objects.filter(project=actor.project)
        .select_related("queue", "window", "scorer_version__scorer")
        .order_by("-pk")
    )


def get_round(actor: Actor, round_id: int) -> SamplingRound:
    """A round of the actor's project.

    Raises:
        NotFound: none with this id in the project.
    """
    made = rounds(actor).filter(pk=round_id).first()
    if made is None:
        raise errors.NotFound("there is no such round")
    return made


def strata_of(made: SamplingRound) -> list[SamplingRound]:
    """The rounds that one draw made over a window's strata, this one among them."""
    return list(SamplingRound.objects.filter(queue=made.queue, window=made.window).order_by("pk"))


def selections(made: SamplingRound) -> QuerySet[Selection]:
    """A round's selections with their cases, in serving order."""
    return made.selections.select_related("case").order_by("position")


def completed_prefix(made: SamplingRound) -> int:
    """How many selections from the first on are resolved: that many are a valid draw already."""
    unresolved = (
        Selection.objects.filter(round=made)
        .exclude(Exists(Case.objects.filter(selection=OuterRef("pk"), state=Case.State.RESOLVED)))
        .order_by("position")
        .values_list("position", flat=True)
        .first()
    )
    return made.n_selected if unresolved is None else unresolved


def as_answer(made: SamplingRound) -> dict[str, Any]:
    """The round as the API tells it. A key of None is that of a floor hit, +∞."""
    return {
        "id": made.pk,
        "queue": made.queue.slug,
        "window": made.window.number,
        "stratum": made.stratum,
        "strategy": made.strategy,
        "seed": bytes(made.seed).hex(),
        "tau": made.tau,
        "floor": made.floor,
        "floor_hazard": made.floor_hazard,
        "budget": made.budget,
        "threshold": made.threshold,
        "threshold_kind": made.threshold_kind,
        "log_normalizer": made.log_normalizer,
        "candidates": made.n_candidates,
        "candidates_hash": made.candidates_hash,
        "selected": made.n_selected,
        "posterior_version": made.posterior_version,
        "effective_size": made.effective_size,
        "shifts": made.shifts,
        "scorer_version": made.scorer_version.number if made.scorer_version else None,
        "selections": [
            {
                "record": str(selection.record_id),
                "position": selection.position,
                "gain": selection.gain,
                "bald": selection.bald,
                "surprisal": selection.surprisal,
                "multiplicity": selection.multiplicity,
                "boost": selection.boost,
                "probability": selection.softmax_probability,
                "inclusion_probability": selection.inclusion_probability,
                "key": selection.key,
            }
            for selection in made.selections.order_by("position")
        ],
        "completed_prefix": completed_prefix(made),
    }


def job_result(drawn: Sequence[SamplingRound]) -> dict[str, Any]:
    """What a job that drew rounds reports: the newest window's main round, and all of them."""
    stream = [made for made in drawn if made.stratum == Stratum.STREAM]
    if not stream:
        return {"round": None, "rounds": [], "reason": "no records since the last window"}
    return {"round": stream[-1].pk, "rounds": [made.pk for made in drawn]}
