"""What reviewers found in windows whose draws are settled, with weights, in the order of windows.

A draw is settled when all of it is resolved, or when it is so old that the rest will hardly come;
its finished prefix is a valid draw either way. Only what is settled up to a window is read, so that
later answers in it are never passed over.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any

import numpy as np
from django.db.models import Exists, F, Max, OuterRef, QuerySet, Subquery
from django.db.models.functions import Now

from review.models import CaseResolution, ReviewQueue, SamplingRound
from review.selectors import finished_rounds
from scoring.models import ModelVersion, Window

GIVEN_UP = timedelta(days=7)
_AT_ONCE = 50  # windows

_NUMBER = "case__selection__round__window__number"
_PATHS = {
    "window_number": _NUMBER,
    "round": "case__selection__round_id",
    "position": "case__selection__position",
    "gain": "case__selection__gain",
    "inclusion_probability": "case__selection__inclusion_probability",
    "at": "case__evidence__occurred_at",
    "context": "case__evidence__context",
    "region": "case__evidence__region",
}


@dataclass(frozen=True, slots=True)
class Judged:
    """One resolved record of a settled draw.

    at: when it occurred, seconds since the epoch.  weight: inverse of the probability by which it
    is in the finished part of its draw.
    """

    violation: bool
    weight: float
    at: float
    segments: dict[str, str]


@dataclass(frozen=True, slots=True)
class Source:
    """Whose verdicts are read: a model version's in a queue, under one rubric version."""

    queue: ReviewQueue
    model: ModelVersion
    form: int


def unsettled(queue: ReviewQueue) -> list[int]:
    """The numbers of the windows that may get more answers, ascending; the next to come is last."""
    newest = SamplingRound.objects.filter(queue=queue).aggregate(last=Max("window__number"))["last"]
    recent = SamplingRound.objects.filter(queue=queue, created_at__gte=Now() - GIVEN_UP)
    rounds = list(
        finished_rounds.stored_rounds(queue)
        .filter(window__in=recent.values("window"))
        .annotate(is_recent=Exists(recent.filter(pk=OuterRef("pk"))))
        .select_related("window")
    )
    draws = _draws(rounds)
    found = {
        made.window.number
        for made in rounds
        if made.is_recent and draws[made.pk].prefix < draws[made.pk].end
    }
    return sorted({*found, (newest or 0) + 1})


def newest_form(queue: ReviewQueue, model: ModelVersion, *, after: int, before: int) -> int | None:
    """The rubric version that a model version's latest verdicts between two windows are under."""
    found = (
        _resolved(queue, model)
        .filter(**{f"{_NUMBER}__gt": after, f"{_NUMBER}__lt": before})
        .order_by(f"-{_NUMBER}", "-rubric_version")
    )
    return found.values_list("rubric_version", flat=True).first()


def n_judged(source: Source, *, after: int, before: int) -> int:
    """How many verdicts there are between two windows; not all of them need have a weight."""
    return _of(source).filter(**{f"{_NUMBER}__gt": after, f"{_NUMBER}__lt": before}).count()


def first_window(source: Source) -> int | None:
    """The number of the first window in which something was judged."""
    return _of(source).order_by(_NUMBER).values_list(_NUMBER, flat=True).first()


def n_models(queue: ReviewQueue, *, since: datetime) -> int:
    """How many model versions were judged in windows closed since a time."""
    found = CaseResolution.objects.filter(
        case__selection__round__queue=queue,
        case__selection__round__window__closed_at__gte=since,
    )
    return found.values("case__evidence__model_version").distinct().count()


def read(
    source: Source, segments: Iterable[str], *, after: int, before: int
) -> Iterator[tuple[Window, list[Judged]]]:
    """The resolved records of the finished prefixes, window by window, read as they are asked for.

    Erased records say nothing any more. Windows without any record of the source are passed over.

    Args:
        segments: names of context fields, or `region`, to read.
        after, before: numbers of windows, both left out; all between are settled.
    """
    names = list(segments)
    while True:
        found = _of(source).filter(**{f"{_NUMBER}__gt": after, f"{_NUMBER}__lt": before})
        numbers = list(
            found.order_by(_NUMBER).values_list(_NUMBER, flat=True).distinct()[:_AT_ONCE]
        )
        if not numbers:
            return
        yield from _read(source, numbers, names)
        after = numbers[-1]


def _read(
    source: Source, numbers: Sequence[int], names: Sequence[str]
) -> Iterator[tuple[Window, list[Judged]]]:
    rounds = list(
        finished_rounds.stored_rounds(source.queue)
        .filter(window__number__in=numbers)
        .select_related("window")
    )
    draws = _draws(rounds)
    windows = {made.window.number: made.window for made in rounds}
    found: QuerySet[Any] = _of(source).filter(**{f"{_NUMBER}__in": numbers})
    rows = found.order_by(_NUMBER, _PATHS["round"], _PATHS["position"]).values(
        "violation", **{name: F(path) for name, path in _PATHS.items()}
    )
    for number, of_window in groupby(rows, key=lambda row: row["window_number"]):
        judged: list[Judged] = []
        for round_id, group in groupby(of_window, key=lambda row: row["round"]):
            of_round = list(group)
            weights = draws[round_id].weights(
                np.array([row["position"] for row in of_round], dtype=np.int64),
                np.array([row["gain"] for row in of_round], dtype=np.float64),
                np.array([row["inclusion_probability"] for row in of_round], dtype=np.float64),
            )
            judged += [
                Judged(
                    violation=row["violation"],
                    weight=weight,
                    at=row["at"].timestamp(),
                    segments={
                        name: str(
                            row["region"] if name == "region" else row["context"].get(name, "")
                        )
                        for name in names
                    },
                )
                for row, weight in zip(of_round, weights.tolist(), strict=True)
                if weight > 0
            ]
        yield windows[number], judged


def _resolved(queue: ReviewQueue, model: ModelVersion) -> QuerySet[CaseResolution]:
    """The latest resolutions of a model version's sampled cases that say yes or no."""
    latest = CaseResolution.objects.filter(case=OuterRef("case")).order_by("-number").values("pk")
    return CaseResolution.objects.filter(
        pk=Subquery(latest[:1]),
        case__selection__round__queue=queue,
        case__evidence__model_version=model,
        case__evidence__erased_at=None,
        violation__isnull=False,
    )


def _of(source: Source) -> QuerySet[CaseResolution]:
    return _resolved(source.queue, source.model).filter(rubric_version=source.form)


def _draws(rounds: Sequence[SamplingRound]) -> dict[int, finished_rounds.FinishedRound]:
    return finished_rounds.finish(
        {name: getattr(made, name) for name in finished_rounds.FIELDS} for made in rounds
    )
