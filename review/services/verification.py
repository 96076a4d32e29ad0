"""Deriving a stored round again, from what it stored and the records that are left.

Full: the candidate list is the same, and so are normaliser, threshold, every key and probability.
Selections only: some candidates are gone (dropped, erased, closed to review), so each selection is
derived from what is stored of it. Anything else is a difference, and is said loudly.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from uuid import UUID

import numpy as np
from django.db.models import Q

from review import filters
from review.models import SamplingRound, Selection
from review.selectors import finished_rounds
from review.services import bases, draws, rounds
from review.strata import stratum_rule
from scoring.core import randomness, sampling
from scoring.models import InferenceRecord
from scoring.selectors import candidates

FULL, SELECTIONS_ONLY, DIFFERENT = "full", "selections only", "different"
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Verification:
    """How far a round could be derived again, and each difference found."""

    outcome: str
    n_missing: int = 0
    differences: tuple[str, ...] = field(default=())


def verify_round(made: SamplingRound) -> Verification:
    """Derive a round again and compare it bit by bit."""
    stored = list(made.selections.order_by("position"))
    if len(stored) != made.n_selected:
        told = f"{len(stored)} selections are stored, {made.n_selected} were drawn"
        return Verification(DIFFERENT, differences=(told,))
    rule = filters.to_q(made.project, made.filter) & stratum_rule(made.stratum)
    if made.number > 1:
        rule &= ~Q(id__in=finished_rounds.taken_before(made).values("record_id"))
    condition = candidates.condition(made.window, rule)
    missing = made.n_candidates - InferenceRecord.objects.filter(condition).count()
    if missing < 0:
        differences = [f"{-missing} candidates more than when the round was drawn"]
    elif missing == 0:
        differences = list(_compare_full(made, stored, rule))
        if not differences:
            return Verification(FULL)
    else:
        differences = list(_compare_selections(made, stored))
        if not differences:
            return Verification(SELECTIONS_ONLY, n_missing=missing)
    return Verification(DIFFERENT, max(missing, 0), tuple(differences[:_SHOWN]))


def _compare_full(made: SamplingRound, stored: list[Selection], rule: Q) -> Iterator[str]:
    basis = bases.of_round(made)
    design = draws.Design(
        seed=bytes(made.seed),
        stratum=made.stratum,
        budget=made.budget,
        tau=made.tau if made.effective_size is None else None,
        effective_size=made.effective_size or 0.0,
        floor=made.floor,
        strategy=made.strategy,
        base_rate=made.base_rate,
        scorer_version=basis.scorer_version.pk,
        project=made.project_id,
        least_gain=-math.inf if made.least_gain is None else made.least_gain,
        shifts=basis.shifts,
    )
    chunks = draws.source(made.window, rule, basis.belief, design)
    drawn = draws.draw(chunks, basis.belief, design)
    draw = drawn.draw
    if drawn.digest != made.candidates_hash:
        yield "the candidate list has another hash"
        return
    if rounds.threshold_kind(draw) != made.threshold_kind:
        yield f"the threshold is {rounds.threshold_kind(draw)}, stored as {made.threshold_kind}"
    pairs = [
        ("temperature", draw.tau, made.tau),
        ("threshold", draw.threshold, made.threshold),
        ("exponential of the threshold", draw.threshold_exponential, made.threshold_exponential),
        ("log normaliser", draw.log_normalizer, made.log_normalizer),
        ("floor hazard", draw.floor_hazard, made.floor_hazard),
    ]
    yield from (
        f"{name}: {again!r}, stored {kept!r}"
        for name, again, kept in pairs
        if not _same(again, kept)
    )
    if len(draw.selected) != len(stored):
        yield f"{len(draw.selected)} selected, {len(stored)} stored"
        return
    for position, kept in enumerate(stored):
        yield from _compare_selection(drawn, position, kept)


def _compare_selection(drawn: draws.Drawn, position: int, kept: Selection) -> Iterator[str]:
    record = UUID(bytes=drawn.ids[position])
    if record != kept.record_id:
        yield f"position {position}: {record}, stored {kept.record_id}"
        return
    draw = drawn.draw
    values = [
        ("gain", drawn.gains, kept.gain),
        ("information about the model", drawn.terms.bald, kept.bald),
        ("surprisal", drawn.terms.surprisal, kept.surprisal),
        ("multiplicity", drawn.multiplicity, kept.multiplicity),
        ("boost", drawn.boost, kept.boost),
        ("key", draw.keys, kept.key),
        ("exponential", draw.exponentials, kept.exponential),
        ("softmax probability", draw.softmax_probabilities, kept.softmax_probability),
        ("inclusion probability", draw.inclusion_probabilities, kept.inclusion_probability),
    ]
    yield from (
        f"position {position}: {name} {again[position]!r}, stored {held!r}"
        for name, again, held in values
        if not _same(float(again[position]), held)
    )


def _compare_selections(made: SamplingRound, stored: list[Selection]) -> Iterator[str]:
    """Each selection from its own gain, the stored normaliser and the round's seed."""
    if not stored:
        return
    ids = [kept.record_id.bytes for kept in stored]
    uniforms = randomness.keyed_uniforms(ids, seed=bytes(made.seed), stream=made.stratum)
    exponentials = -np.log(uniforms)
    gains = np.array([kept.gain for kept in stored])
    log_softmax = made.tau * gains - (made.log_normalizer or 0.0)
    hazards = np.full(len(stored), made.floor_hazard)
    again = sampling.inclusion_probabilities(
        log_softmax,
        hazards,
        {"taken": -math.inf, "floor": math.inf}.get(made.threshold_kind, made.threshold or 0.0),
        math.nan if made.threshold_exponential is None else made.threshold_exponential,
    )
    for position, kept in enumerate(stored):
        excess = exponentials[position] - made.floor_hazard
        key = log_softmax[position] - math.log(excess) if excess > 0 else math.inf
        values = [
            ("exponential", exponentials[position], kept.exponential),
            ("key", key, kept.key),
            ("softmax probability", math.exp(log_softmax[position]), kept.softmax_probability),
            ("inclusion probability", again[position], kept.inclusion_probability),
        ]
        yield from (
            f"position {position}: {name} {fresh!r}, stored {held!r}"
            for name, fresh, held in values
            if not _close(float(fresh), held)
        )


def _same(again: float, kept: float | None) -> bool:
    """Equal to the last bit; infinite and missing values are stored as nothing."""
    return again == kept if kept is not None else not math.isfinite(again)


def _close(again: float, kept: float | None) -> bool:
    # Without the candidates the sums behind a value are not repeated in the same order.
    if kept is None:
        return not math.isfinite(again)
    return math.isclose(again, kept, rel_tol=1e-9, abs_tol=1e-12)
