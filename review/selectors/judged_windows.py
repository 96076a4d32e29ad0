"""What reviewers found in windows whose draws are settled, with weights, in the order of windows.

A draw is settled when all of it is resolved, or when it is so old that the rest will hardly come;
its finished prefix is a valid draw either way.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from django.db.models import Exists, F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from review.models import CaseResolution, ReviewQueue, SamplingRound
from review.selectors import finished_rounds
from review.selectors.finished_rounds import FinishedRound
from scoring.models import Window

GIVEN_UP = timedelta(days=7)
MOST_WINDOWS = 500  # looked at in one go

_PATHS = {
    "position": "case__selection__position",
    "gain": "case__selection__gain",
    "inclusion_probability": "case__selection__inclusion_probability",
    "model": "case__evidence__model_version_id",
    "at": "case__evidence__occurred_at",
    "context": "case__evidence__context",
    "region": "case__evidence__region",
}


@dataclass(frozen=True, slots=True)
class SettledRound:
    """A round of which enough is resolved to speak, and its finished draw."""

    window: Window
    round_id: int
    draw: FinishedRound


@dataclass(frozen=True, slots=True)
class Judged:
    """One resolved record of a settled draw.

    at: when it occurred, seconds since the epoch.  weight: inverse of the probability by which it
    is in the finished part of its draw.
    """

    window: int
    model_version: int
    form: int
    violation: bool
    weight: float
    at: float
    segments: dict[str, str]


def settled_rounds(queue: ReviewQueue, *, after: int = 0) -> list[SettledRound]:
    """The queue's rounds of windows beyond a number, up to the first that is not settled."""
    rounds = list(
        finished_rounds.stored_rounds(queue)
        .filter(window__number__gt=after)
        .select_related("window")
        .annotate(
            is_old=Exists(
                SamplingRound.objects.filter(pk=OuterRef("pk"), created_at__lt=Now() - GIVEN_UP)
            ),
        )
        .order_by("window__number", "pk")[:MOST_WINDOWS]
    )
    draws = finished_rounds.finish(
        {name: getattr(made, name) for name in finished_rounds.FIELDS} for made in rounds
    )
    settled = []
    open_window = None
    for made in rounds:
        if draws[made.pk].prefix < draws[made.pk].end and not made.is_old:
            open_window = made.window.number
            break
        settled.append(made)
    return [
        SettledRound(window=made.window, round_id=made.pk, draw=draws[made.pk])
        for made in settled
        if made.window.number != open_window
    ]


def judged(rounds: Sequence[SettledRound], segments: Iterable[str]) -> list[Judged]:
    """The resolved records of the finished prefixes; erased ones say nothing any more.

    Args:
        rounds: as `settled_rounds` gives them.
        segments: names of context fields, or `region`, to read.
    """
    found = []
    names = list(segments)
    latest = CaseResolution.objects.filter(case=OuterRef("case")).order_by("-number").values("pk")
    for made in rounds:
        resolved: QuerySet[Any] = CaseResolution.objects.filter(
            pk=Subquery(latest[:1]),
            case__selection__round=made.round_id,
            case__evidence__erased_at=None,
            violation__isnull=False,
        )
        paths = {name: F(path) for name, path in _PATHS.items()}
        rows = list(resolved.values("violation", "rubric_version_id", **paths))
        weights = made.draw.weights(
            np.array([row["position"] for row in rows], dtype=np.int64),
            np.array([row["gain"] for row in rows], dtype=np.float64),
            np.array([row["inclusion_probability"] for row in rows], dtype=np.float64),
        ).tolist()
        found += [
            Judged(
                window=made.window.number,
                model_version=row["model"],
                form=row["rubric_version_id"],
                violation=row["violation"],
                weight=weight,
                at=row["at"].timestamp(),
                segments={
                    name: str(row["region"] if name == "region" else row["context"].get(name, ""))
                    for name in names
                },
            )
            for row, weight in zip(rows, weights, strict=True)
            if weight > 0
        ]
    return found
