"""Sampling rounds: one draw per queue, window and stratum, exactly once by constraint."""

import secrets
from collections.abc import Iterable
from math import isfinite, isnan
from uuid import UUID

from django.db import transaction

from oversight.audit import services as audit
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.lib.transactions import advisory_lock, try_advisory_lock
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import ReviewQueue, SamplingRound, Selection
from review.models.queues import Stratum
from review.services import bases, cases, draws, populations
from review.strata import candidate_rule
from scoring.core.sampling import Draw
from scoring.models import InferenceRecord, Window
from scoring.selectors import candidates
from scoring.services import windows

SEED_BYTES = 16
MAX_BUDGET = 100_000


def ask_for_round(actor: Actor, *, queue: ReviewQueue, budget: int | None = None) -> Job:
    """A job that closes the window and draws the queue's rounds.

    Raises:
        InvalidInput: the budget is out of range.
    """
    access.require(actor, "rounds:run")
    if budget is not None and not 1 <= budget <= MAX_BUDGET:
        raise errors.InvalidInput.at("budget", f"from 1 to {MAX_BUDGET:,}", "out_of_range")
    with transaction.atomic():
        return jobs.enqueue(actor, "review.tasks.run_round", queue=queue.pk, budget=budget)


def run(actor: Actor, *, queue: ReviewQueue, budget: int | None = None) -> list[SamplingRound]:
    """Close the window and draw every window that this queue has not drawn yet, oldest first."""
    access.require(actor, "rounds:run")
    windows.close_window(actor)
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
    shifts: Iterable[bases.Shift] = (),
) -> list[SamplingRound]:
    """Draw the strata of one window; all or none, once.

    Args:
        wait: for somebody else who draws a window of this queue just now.
        shifts: segments that drift; their records get a larger share of the draw.

    Returns:
        The rounds. Those of the first draw where somebody else was faster, and none yet where
        they are still at it.
    """
    budgets = {
        Stratum.STREAM: queue.budget if budget is None else budget,
        Stratum.EVALUATION: queue.evaluation_budget,
        Stratum.INTERVENED: queue.intervened_budget,
    }
    basis = bases.for_draw(actor, queue=queue, shifts=shifts)
    with transaction.atomic():
        if _has_turn(queue, wait) and not _rounds_of(queue, window):
            for stratum, size in budgets.items():
                _draw_stratum(actor, queue, window, stratum, size, basis)
            populations.count(queue, window, {one: candidate_rule(queue, one) for one in Stratum})
        return _rounds_of(queue, window)


def _has_turn(queue: ReviewQueue, wait: bool) -> bool:
    """One draw of a queue at a time: ten million candidates are not to be read twice."""
    if wait:
        advisory_lock("review.round", queue.pk)
        return True
    return try_advisory_lock("review.round", queue.pk)


def _rounds_of(queue: ReviewQueue, window: Window) -> list[SamplingRound]:
    return list(SamplingRound.objects.filter(queue=queue, window=window).order_by("pk"))


def _draw_stratum(
    actor: Actor,
    queue: ReviewQueue,
    window: Window,
    stratum: Stratum,
    budget: int,
    basis: bases.Basis,
) -> None:
    rule = candidate_rule(queue, stratum)
    if stratum is not Stratum.STREAM and not (
        budget and InferenceRecord.objects.filter(candidates.condition(window, rule)).exists()
    ):
        return  # the stream's round stands for the window, even when it is empty
    design = draws.Design(
        seed=secrets.token_bytes(SEED_BYTES),
        stratum=stratum,
        budget=budget,
        tau=queue.tau,
        effective_size=queue.effective_size,
        floor=queue.floor,
        strategy=queue.strategy,
        base_rate=basis.base_rate,
        scorer_version=basis.scorer_version.pk,
        project=queue.project_id,
        shifts=basis.shifts,
    )
    drawn = draws.draw(draws.source(window, rule, basis.belief, design), basis.belief, design)
    made = _store(queue, window, design, drawn, basis)
    selections = _store_selections(made, drawn)
    opened = cases.open_sampled(
        queue,
        window_number=window.number,
        stratum=stratum,
        seed=design.seed,
        selections=selections,
    )
    audit.record(
        actor,
        "round.drawn",
        "round",
        made.pk,
        queue=queue.slug,
        window=window.number,
        stratum=str(stratum),
        n_candidates=made.n_candidates,
        candidates_hash=made.candidates_hash,
        n_selected=made.n_selected,
        n_cases=opened,
        posterior=made.posterior_version,
    )


def threshold_kind(draw: Draw) -> str:
    """How the draw ended: a finite κ, everything `taken`, or the `floor` alone overfilled it."""
    if isfinite(draw.threshold):
        return "finite"
    return "floor" if draw.threshold > 0 else "taken"


def _store(
    queue: ReviewQueue,
    window: Window,
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
        filter=queue.filter,
        strategy=design.strategy,
        tau=draw.tau,
        effective_size=design.effective_size if design.tau is None else None,
        floor=draw.floor,
        seed=design.seed,
        budget=draw.budget,
        scorer_version=basis.scorer_version,
        posterior_version=basis.number,
        base_rate=design.base_rate,
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
