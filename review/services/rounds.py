"""Sampling rounds: one draw per queue, window and stratum, exactly once by constraint.

A window is drawn again by review/services/extra_rounds.py alone.
"""

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q

from oversight.audit import services as audit
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review import filters
from review.models import ReviewQueue, SamplingRound, Selection
from review.models.queues import Stratum
from review.services import capacity, cases, draws, populations
from scoring.core.sampling import Draw
from scoring.models import Action, Window
from scoring.selectors import candidates
from scoring.services import scorers, windows

logger = logging.getLogger(__name__)

SEED_BYTES = 16
MAX_BUDGET = 100_000


@dataclass(frozen=True, slots=True)
class Asked:
    """What one draw is asked for.

    Attributes:
        reason: why the budget is what it is; `rule` and what it was applied to.
        number: of the draws over this stratum.
        filter: which records may enter; the queue's present one where None.
        without: the records that earlier rounds have taken.
    """

    stratum: Stratum
    budget: int
    reason: Mapping[str, Any] = field(default_factory=dict)
    number: int = 1
    filter: Mapping[str, Any] | None = None
    without: Q | None = None


def stratum_rule(stratum: str) -> Q:
    """Which records make up a stratum: the three share out every record, each to one."""
    intervened = Q(action=Action.INTERVENE)
    return {
        Stratum.STREAM: ~intervened & Q(held_out=False),
        Stratum.EVALUATION: ~intervened & Q(held_out=True),
        Stratum.INTERVENED: intervened,
    }[Stratum(stratum)]


def candidate_rule(queue: ReviewQueue, stratum: str) -> Q:
    """Which records a queue's draw over a stratum may choose."""
    return filters.to_q(queue.project, queue.filter) & stratum_rule(stratum)


def ask_for_round(actor: Actor, *, queue: ReviewQueue, budget: int | None = None) -> Job:
    """A job that closes the window and draws the queue's rounds.

    Raises:
        InvalidInput: the budget is out of range.
    """
    access.require(actor, "rounds:run")
    check_budget(budget)
    with transaction.atomic():
        return jobs.enqueue(actor, "review.tasks.run_round", queue=queue.pk, budget=budget)


def check_budget(budget: int | None) -> None:
    """Refuse a budget that nobody can mean."""
    if budget is not None and not 1 <= budget <= MAX_BUDGET:
        raise errors.InvalidInput.at("budget", f"from 1 to {MAX_BUDGET:,}", "out_of_range")


def run(actor: Actor, *, queue: ReviewQueue, budget: int | None = None) -> list[SamplingRound]:
    """Close the window and draw every window that this queue has not drawn yet, oldest first."""
    access.require(actor, "rounds:run")
    windows.close_window(actor)
    drawn: list[SamplingRound] = []
    for window in undrawn_windows(queue):
        drawn += draw_window(actor, queue=queue, window=window, budget=budget)
    return drawn


def undrawn_windows(queue: ReviewQueue) -> list[Window]:
    """The closed windows over which the queue has no rounds, oldest first."""
    done = SamplingRound.objects.filter(queue=queue).values("window")
    return list(
        Window.objects.filter(project=queue.project_id).exclude(pk__in=done).order_by("number")
    )


def draw_window(
    actor: Actor, *, queue: ReviewQueue, window: Window, budget: int | None = None
) -> list[SamplingRound]:
    """Draw the strata of one window; all or none, once.

    Returns:
        The rounds. Those of the first draw where somebody else was faster.
    """
    plan = capacity.plan(queue, asked=budget)
    try:
        with transaction.atomic():
            rounds = [
                made
                for stratum, size in plan.budgets.items()
                if (
                    made := draw_stratum(
                        actor, queue, window, Asked(stratum, size, reason=plan.reason)
                    )
                )
                is not None
            ]
            populations.count(queue, window, {one: candidate_rule(queue, one) for one in Stratum})
    except IntegrityError:
        logger.info("round was drawn already", extra={"queue": queue.slug})
    else:
        return rounds
    return list(SamplingRound.objects.filter(queue=queue, window=window).order_by("pk"))


def draw_stratum(
    actor: Actor, queue: ReviewQueue, window: Window, asked: Asked
) -> SamplingRound | None:
    """One draw over one stratum; None where there is nothing to draw and no need to say so."""
    stratum, admitted = asked.stratum, queue.filter if asked.filter is None else asked.filter
    rule = filters.to_q(queue.project, admitted) & stratum_rule(stratum)
    if asked.without is not None:
        rule &= ~asked.without
    found = candidates.of_window(window, rule)
    stands_for_window = stratum is Stratum.STREAM and asked.number == 1  # even when it is empty
    if not stands_for_window and not (len(found) and asked.budget):
        return None
    seed = secrets.token_bytes(SEED_BYTES)
    drawn = draws.draw(
        found,
        seed=seed,
        stratum=stratum,
        budget=asked.budget,
        tau=queue.tau,
        floor=queue.floor,
        strategy=queue.strategy,
        base_rate=draws.DEFAULT_BASE_RATE,
    )
    made = _store(actor, queue, window, asked, admitted, found, drawn, seed)
    selections = _store_selections(made, found, drawn)
    opened = cases.open_sampled(queue, made=made, selections=selections)
    audit.record(
        actor,
        "round.drawn",
        "round",
        made.pk,
        queue=queue.slug,
        window=window.number,
        stratum=str(stratum),
        number=made.number,
        budget=made.budget,
        budget_rule=made.budget_reason.get("rule"),
        n_candidates=made.n_candidates,
        candidates_hash=made.candidates_hash,
        n_selected=made.n_selected,
        n_cases=opened,
    )
    return made


def threshold_kind(draw: Draw) -> str:
    """How the draw ended: a finite κ, everything `taken`, or the `floor` alone overfilled it."""
    if isfinite(draw.threshold):
        return "finite"
    return "floor" if draw.threshold > 0 else "taken"


def _store(
    actor: Actor,
    queue: ReviewQueue,
    window: Window,
    asked: Asked,
    admitted: Mapping[str, Any],
    found: candidates.Candidates,
    drawn: draws.Drawn,
    seed: bytes,
) -> SamplingRound:
    draw = drawn.draw
    return SamplingRound.objects.create(
        project=queue.project,
        queue=queue,
        window=window,
        stratum=asked.stratum,
        number=asked.number,
        filter=admitted,
        strategy=queue.strategy,
        tau=draw.tau,
        floor=draw.floor,
        seed=seed,
        budget=draw.budget,
        budget_reason=dict(asked.reason),
        scorer_version=scorers.current_version(actor.project),
        base_rate=draws.DEFAULT_BASE_RATE,
        n_candidates=len(found),
        candidates_hash=found.digest(),
        n_selected=len(draw.selected),
        threshold=draw.threshold if isfinite(draw.threshold) else None,
        threshold_kind=threshold_kind(draw),
        threshold_exponential=(
            None if isnan(draw.threshold_exponential) else draw.threshold_exponential
        ),
        log_normalizer=draw.log_normalizer if isfinite(draw.log_normalizer) else None,
        floor_hazard=draw.floor_hazard,
    )


def _store_selections(
    made: SamplingRound, found: candidates.Candidates, drawn: draws.Drawn
) -> list[Selection]:
    draw = drawn.draw
    return Selection.objects.bulk_create(
        [
            Selection(
                round=made,
                position=position,
                record_id=found.ids[index],
                gain=float(drawn.gains[index]),
                key=float(draw.keys[position]) if isfinite(draw.keys[position]) else None,
                exponential=float(draw.exponentials[position]),
                softmax_probability=float(draw.softmax_probabilities[position]),
                inclusion_probability=float(draw.inclusion_probabilities[position]),
            )
            for position, index in enumerate(draw.selected)
        ]
    )
