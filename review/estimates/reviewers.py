"""How single answers err: what an error-corrected figure rests on.

Where cases were answered by several reviewers, blind, their confusions follow from who agrees with
whom (Dawid-Skene), adjudicated cases being known. What is corrected is the rate of *first* answers:
a majority or an adjudication errs otherwise than one reviewer does.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import numpy as np
import numpy.typing as npt

from review.estimates.windows import Material
from review.models import Verdict
from scoring.core.agreement.dawid_skene import UNKNOWN, confusion_prior, fit_dawid_skene
from scoring.core.agreement.gold import BetaPosterior, GoldAccuracy

LEAST_CASES, LEAST_REVIEWERS = 30, 3
MOST_CASES = 1_000  # the latest ones, for the confusions; first answers are read of all
_N_RESAMPLED, _MOST_ITERATIONS, _TOLERANCE = 20, 40, 1e-4
METHOD = "dawid-skene-overlap-v1"
NOT_ENOUGH = (
    f"Reviewers' errors are not known: they need {LEAST_CASES} cases that several people answered "
    f"blind, from {LEAST_REVIEWERS} or more reviewers."
)

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Pooled:
    """The reviewers' errors taken together, or the reason why they are not known.

    Attributes:
        first: what the first answer said, by case, where there were several.
    """

    accuracy: GoldAccuracy | None
    first: Mapping[UUID, float]
    method: str = METHOD
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class _Votes:
    """Blind answers: whose, on which case, saying what; and the cases' adjudicated answers."""

    cases: IntArray
    reviewers: IntArray
    labels: IntArray
    truth: IntArray
    n_reviewers: int


def pooled(material: Material) -> Pooled:
    """Sensitivity and specificity of a single answer, all reviewers taken together."""
    resolved = {
        row.case_id: row.resolution
        for finished in material.covered.values()
        for one in finished
        for row in one.rows
        if row.case_id is not None
        and row.resolution is not None
        and row.resolution["n_verdicts"] > 1
    }
    answers = _answers(material, [*resolved, *material.sure.repeated])
    first = {case: told[0][1] for case, told in answers.items()}
    several = [case for case in resolved if len(answers.get(case, ())) > 1]
    votes = _votes(
        {case: answers[case] for case in several[-MOST_CASES:]},
        {
            case: material.reading.of(told)
            for case, told in resolved.items()
            if told["rule"] == "adjudicated"
        },
    )
    if votes.truth.size < LEAST_CASES or votes.n_reviewers < LEAST_REVIEWERS:
        return Pooled(None, first, reason=NOT_ENOUGH)
    return Pooled(_accuracy(votes), first)


def _answers(material: Material, cases: list[UUID]) -> dict[UUID, list[tuple[int, float]]]:
    """Each case's blind answers, one per reviewer, in the order in which they came."""
    if not cases:
        return {}
    wanted = set(cases)  # compared here: a list of ids may be as long as the queue is old
    rows = (
        Verdict.objects.filter(case__queue=material.ask.queue, case__n_slots__gt=1)
        .filter(ai_rater="", is_blind=True)
        .order_by("created_at", "pk")
        .values_list("case_id", "reviewer_id", "rubric_version_id", "violation", "answers")
    )
    latest: dict[UUID, dict[int, float]] = defaultdict(dict)
    for case, reviewer, version, violation, answered in rows.iterator():
        if case not in wanted:
            continue
        assert reviewer is not None  # no AI rater is among them
        latest[case][reviewer] = material.reading.says(version, violation, answered)
    known = {
        case: [(who, label) for who, label in told.items() if not math.isnan(label)]
        for case, told in latest.items()
    }
    return {case: told for case, told in known.items() if told}


def _votes(answers: Mapping[UUID, list[tuple[int, float]]], truth: Mapping[UUID, float]) -> _Votes:
    flat = [
        (place, who, int(label))
        for place, told in enumerate(answers.values())
        for who, label in told
    ]
    columns: Any = np.array(flat, dtype=np.int64).reshape(-1, 3).T
    _, reviewers = np.unique(columns[1], return_inverse=True)
    known = [truth.get(case, math.nan) for case in answers]
    return _Votes(
        cases=columns[0],
        reviewers=reviewers.astype(np.int64),
        labels=columns[2],
        truth=np.array([UNKNOWN if math.isnan(one) else int(one) for one in known], dtype=np.int64),
        n_reviewers=int(reviewers.max(initial=-1)) + 1,
    )


def _accuracy(votes: _Votes) -> GoldAccuracy:
    """Pooled confusions, with the spread that resampled cases give them.

    The expected votes behind a fit take its classes for certain; resampling does not.
    """
    rng = np.random.default_rng(votes.truth.size)  # the same data, the same figure
    shares = np.array(
        [
            _fitted(votes, rng.integers(0, votes.truth.size, votes.truth.size))
            for _ in range(_N_RESAMPLED)
        ]
    )
    middle = _fitted(votes, np.arange(votes.truth.size))
    n_answers = float(votes.cases.size)
    return GoldAccuracy(
        *(
            _beta(mean, float(spread), n_answers)
            for mean, spread in zip(middle, shares.var(axis=0, ddof=1), strict=True)
        )
    )


def _fitted(votes: _Votes, chosen: IntArray) -> tuple[float, float]:
    """Sensitivity and specificity when the cases are these, with repetition."""
    by_case = np.argsort(votes.cases, kind="stable")
    starts = np.searchsorted(votes.cases[by_case], np.arange(votes.truth.size + 1))
    picked = [by_case[starts[case] : starts[case + 1]] for case in chosen]
    rows = np.concatenate(picked)
    fit = fit_dawid_skene(
        np.repeat(np.arange(chosen.size), [one.size for one in picked]),
        votes.reviewers[rows],
        votes.labels[rows],
        n_items=chosen.size,
        n_raters=votes.n_reviewers,
        n_classes=2,
        gold=votes.truth[chosen],
        max_iterations=_MOST_ITERATIONS,
        tolerance=_TOLERANCE,
    )
    counts = (fit.counts - confusion_prior(2)).clip(min=0.0).sum(axis=0)
    return _share(counts[1, 1], counts[1, 0]), _share(counts[0, 0], counts[0, 1])


def _share(right: float, wrong: float) -> float:
    return float((right + 0.5) / (right + wrong + 1.0))


def _beta(mean: float, variance: float, most: float) -> BetaPosterior:
    """The Beta posterior with these moments, worth no more than `most` answers."""
    worth = mean * (1.0 - mean) / variance - 1.0 if variance > 0.0 else most
    size = min(max(worth, 1.0), most)
    return BetaPosterior(max(mean * size - 0.5, 0.0), max((1.0 - mean) * size - 0.5, 0.0))
