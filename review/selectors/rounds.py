"""Reads of rounds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import SamplingRound, Selection
from review.models.queues import Stratum
from review.selectors.blindness import in_hand
from review.selectors.finished_rounds import FIELDS, FinishedRound, finish, stored_rounds


@dataclass(frozen=True, slots=True)
class ToldSelection:
    """A selection of a round; its place alone where its record is in the reader's hands."""

    position: int
    selection: Selection | None


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


def told(actor: Actor, found: Iterable[Selection]) -> list[ToldSelection]:
    """Selections of a round as they may be told to the actor.

    Of what is in hand not even the record is named: its stratum may tell that it was intervened.
    """
    held = in_hand(actor)
    return [ToldSelection(row.position, None if row.record_id in held else row) for row in found]


def records_of(found: Iterable[ToldSelection]) -> list[UUID]:
    """The records that are named in what is told."""
    return [row.selection.record_id for row in found if row.selection]


def as_answer(made: SamplingRound, found: Iterable[ToldSelection]) -> dict[str, Any]:
    """The round with its selections, as the API tells it."""
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
        "selections": [_selection_answer(row) for row in found],
        "completed_prefix": done.prefix,
        "end": done.end,
        "round_weight": done.omega,
    }


_OF_SELECTION = {
    "record": "record_id",
    "gain": "gain",
    "bald": "bald",
    "surprisal": "surprisal",
    "multiplicity": "multiplicity",
    "boost": "boost",
    "probability": "softmax_probability",
    "inclusion_probability": "inclusion_probability",
    "key": "key",
}


def _selection_answer(row: ToldSelection) -> dict[str, Any]:
    """A selection as the API tells it. A key of None is that of a floor hit, +∞."""
    answer = {name: getattr(row.selection, field, None) for name, field in _OF_SELECTION.items()}
    if row.selection:
        answer["record"] = str(row.selection.record_id)
    return {"position": row.position, "withheld": row.selection is None, **answer}


def job_result(drawn: Sequence[SamplingRound]) -> dict[str, Any]:
    """What a job that drew rounds reports: the newest window's main round, and all of them."""
    stream = [made for made in drawn if made.stratum == Stratum.STREAM]
    if not stream:
        return {"round": None, "rounds": [], "reason": "no records since the last window"}
    return {"round": stream[-1].pk, "rounds": [made.pk for made in drawn]}
