"""Sampling rounds: one draw per queue, window and stratum, exactly once by constraint.

A window is drawn again by review/services/extra_rounds.py alone.
"""

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import isfinite, isnan
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from oversight.audit import services as audit
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.lib.transactions import advisory_lock, try_advisory_lock
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review import filters
from review.models import ReviewQueue, SamplingRound, Selection
from review.models.queues import Stratum
from review.services import bases, capacity, cases, draws, populations
from review.strata import stratum_rule
from scoring.core.queue_profiles import round_floor
from scoring.core.sampling import Draw
from scoring.models import InferenceRecord, Window
from scoring.selectors import candidates, drift
from scoring.services import windows

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
    """Close what is open, and draw every window that this queue has not drawn yet, oldest first."""
    access.require(actor, "rounds:run")
    windows.close_windows(actor)
    drawn: list[SamplingRound] = []
    for window in undrawn_windows(queue):
        drawn += draw_window(actor, queue=queue, window=window, budget=budget, wait=True)
    return drawn


def undrawn_windows(queue: ReviewQueue) -> list[Window]:
    """The closed windows over which the queue has no rounds, oldest first."""
    done = SamplingRound.objects.filter(queue=queue).values("window")
    return list(
        Window.objects.filter(project=queue.project_id).exclude(pk__in=done).order_by("number")
    )


def draw_window(
    actor: Actor,
    *,
    queue: ReviewQueue,
    window: Window,
    budget: int | None = None,
    wait: bool = False,
    shifts: Iterable[bases.Shift] | None = None,
) -> list[SamplingRound]:
    """Draw the strata of one window; all or none, once.

    Args:
        wait: for somebody else who draws a window of this queue just now.
        shifts: segments whose records get a larger share of the draw; by default those that
            drift now.

    Returns:
        The rounds. Those of the first draw where somebody else was faster, and none yet where
        they are still at it.
    """
    plan = capacity.plan(queue, asked=budget)
    moved = drift.active_shifts(queue.project) if shifts is None else shifts
    basis = bases.for_draw(actor, queue=queue, shifts=moved)
    with transaction.atomic():
        if _has_turn(queue, wait) and not _rounds_of(queue, window):
            for stratum, size in plan.budgets.items():
                asked = Asked(stratum, size, reason=plan.reason)
                draw_stratum(actor, queue, window, asked, basis)
            cases.serve(queue, _rounds_of(queue, window))
        made = _rounds_of(queue, window)
    if made:
        populations.count_drawn(queue, window)
    return made


def _has_turn(queue: ReviewQueue, wait: bool) -> bool:
    """One draw of a queue at a time: ten million candidates are not to be read twice."""
    if wait:
        advisory_lock("review.round", queue.pk)
        return True
    return try_advisory_lock("review.round", queue.pk)


def _rounds_of(queue: ReviewQueue, window: Window) -> list[SamplingRound]:
    return list(SamplingRound.objects.filter(queue=queue, window=window).order_by("pk"))


def draw_stratum(
    actor: Actor,
    queue: ReviewQueue,
    window: Window,
    asked: Asked,
    basis: bases.Basis | None = None,
) -> SamplingRound | None:
    """One draw over one stratum; None where there is nothing to draw and no need to say so.

    Args:
        basis: what the gains rest on; the newest where None.
    """
    stratum, admitted = asked.stratum, queue.filter if asked.filter is None else asked.filter
    rule = filters.to_q(queue.project, admitted) & stratum_rule(stratum)
    if asked.without is not None:
        rule &= ~asked.without
    stands_for_window = stratum is Stratum.STREAM and asked.number == 1  # even when it is empty
    if not stands_for_window and not (asked.budget and _has_candidates(window, rule)):
        return None
    if basis is None:
        moved = drift.active_shifts(queue.project)
        basis = bases.for_draw(actor, queue=queue, shifts=moved)
    design = draws.Design(
        seed=secrets.token_bytes(SEED_BYTES),
        stratum=stratum,
        budget=asked.budget,
        tau=queue.tau,
        effective_size=queue.effective_size,
        # Held-out answers never teach; they are there to measure, and drawn accordingly.
        floor=round_floor(
            queue.floor,
            is_taught=basis.number is not None and stratum is not Stratum.EVALUATION,
        ),
        strategy=queue.strategy,
        base_rate=basis.base_rate,
        scorer_version=basis.scorer_version.pk,
        project=queue.project_id,
        shifts=basis.shifts,
    )
    drawn = draws.draw(draws.source(window, rule, basis.belief, design), basis.belief, design)
    made = _store(queue, window, asked, admitted, design, drawn, basis)
    selections = _store_selections(made, drawn)
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
        posterior=made.posterior_version,
    )
    return made


def _has_candidates(window: Window, rule: Q) -> bool:
    return InferenceRecord.objects.filter(candidates.condition(window, rule)).exists()


def threshold_kind(draw: Draw) -> str:
    """How the draw ended: a finite κ, everything `taken`, or the `floor` alone overfilled it."""
    if isfinite(draw.threshold):
        return "finite"
    return "floor" if draw.threshold > 0 else "taken"


def _store(
    queue: ReviewQueue,
    window: Window,
    asked: Asked,
    admitted: Mapping[str, Any],
    design: draws.Design,
    drawn: draws.Drawn,
    basis: bases.Basis,
) -> SamplingRound:
    draw = drawn.draw
    return SamplingRound.objects.create(
        project=queue.project,
        queue=queue,
        window=window,
        stratum=design.stratum,
        number=asked.number,
        filter=admitted,
        strategy=design.strategy,
        tau=draw.tau,
        effective_size=design.effective_size if design.tau is None else None,
        floor=draw.floor,
        seed=design.seed,
        budget=draw.budget,
        budget_reason=dict(asked.reason),
        scorer_version=basis.scorer_version,
        posterior_version=basis.number,
        base_rate=design.base_rate,
        least_gain=design.least_gain,
        shifts=list(design.shifts),
        n_candidates=draw.n_candidates,
        candidates_hash=drawn.digest,
        n_selected=len(draw.selected),
        threshold=draw.threshold if isfinite(draw.threshold) else None,
        threshold_kind=threshold_kind(draw),
        threshold_exponential=(
            None if isnan(draw.threshold_exponential) else draw.threshold_exponential
        ),
        log_normalizer=draw.log_normalizer if isfinite(draw.log_normalizer) else None,
        floor_hazard=draw.floor_hazard,
    )


def _store_selections(made: SamplingRound, drawn: draws.Drawn) -> list[Selection]:
    draw = drawn.draw
    return Selection.objects.bulk_create(
        [
            Selection(
                round=made,
                position=position,
                record_id=UUID(bytes=record),
                gain=float(drawn.gains[position]),
                bald=float(drawn.terms.bald[position]),
                surprisal=float(drawn.terms.surprisal[position]),
                multiplicity=float(drawn.multiplicity[position]),
                boost=float(drawn.boost[position]),
                key=float(draw.keys[position]) if isfinite(draw.keys[position]) else None,
                exponential=float(draw.exponentials[position]),
                softmax_probability=float(draw.softmax_probabilities[position]),
                inclusion_probability=float(draw.inclusion_probabilities[position]),
            )
            for position, record in enumerate(drawn.ids)
        ],
        batch_size=5_000,
    )
