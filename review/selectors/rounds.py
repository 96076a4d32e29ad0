"""Reads of rounds."""

from collections.abc import Sequence
from typing import Any

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import SamplingRound, Selection
from review.models.queues import Stratum
from review.selectors.finished_rounds import FIELDS, FinishedRound, finish, stored_rounds


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
    return list(
        SamplingRound.objects.filter(
            queue=made.queue, window=made.window, number=made.number
        ).order_by("pk")
    )


def selections(made: SamplingRound) -> QuerySet[Selection]:
    """A round's selections with their cases, in serving order."""
    return made.selections.select_related("case").order_by("position")


def finished(made: SamplingRound) -> FinishedRound:
    """The round as far as it is finished, beside the other rounds of its stratum."""
    stored = stored_rounds(made.queue).filter(window=made.window_id, stratum=made.stratum)
    return finish(stored.values(*FIELDS))[made.pk]


def as_answer(made: SamplingRound) -> dict[str, Any]:
    """The round as the API tells it. A key of None is that of a floor hit, +∞."""
    done = finished(made)
    return {
        "id": made.pk,
        "queue": made.queue.slug,
        "window": made.window.number,
        "stratum": made.stratum,
        "number": made.number,
        "strategy": made.strategy,
        "seed": bytes(made.seed).hex(),
        "tau": made.tau,
        "floor": made.floor,
        "floor_hazard": made.floor_hazard,
        "budget": made.budget,
        "budget_reason": made.budget_reason,
        "threshold": made.threshold,
        "threshold_kind": made.threshold_kind,
        "log_normalizer": made.log_normalizer,
        "candidates": made.n_candidates,
        "candidates_hash": made.candidates_hash,
        "selected": made.n_selected,
        "posterior_version": made.posterior_version,
        "effective_size": made.effective_size,
        "least_gain": made.least_gain,
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
        "completed_prefix": done.prefix,
        "end": done.end,
        "round_weight": done.omega,
    }


def job_result(drawn: Sequence[SamplingRound]) -> dict[str, Any]:
    """What a job that drew rounds reports: the newest window's main round, and all of them."""
    stream = [made for made in drawn if made.stratum == Stratum.STREAM]
    if not stream:
        return {"round": None, "rounds": [], "reason": "no records since the last window"}
    return {"round": stream[-1].pk, "rounds": [made.pk for made in drawn]}
