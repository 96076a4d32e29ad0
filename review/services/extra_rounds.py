"""Extra rounds: drawing old windows again, from what earlier rounds have left.

Why the rounds may then be combined, and by which weights: review/selectors/finished_rounds.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor
from review.models import ReviewQueue, RoundCut, SamplingRound
from review.models.queues import Stratum
from review.selectors import finished_rounds
from review.services import cases, cuts, rounds
from scoring.models import Window

AGAIN = "again"
MAX_NUMBER = 1_000  # draws over one stratum


@dataclass(frozen=True, slots=True)
class Span:
    """Which windows are drawn again: by the time at which they were closed, both ends open."""

    since: datetime | None = None
    until: datetime | None = None


def read_span(raw: Any) -> Span | None:
    """`windows` as clients give it: "again", {since, until}, or None for the undrawn windows.

    Raises:
        InvalidInput: anything else.
    """
    if raw is None:
        return None
    if raw == AGAIN:
        return Span()
    if not isinstance(raw, Mapping) or not raw or not raw.keys() <= {"since", "until"}:
        raise errors.InvalidInput.at("windows", '"again", or since and until', "choice")
    return Span(**{name: _moment(name, value) for name, value in raw.items()})


def ask_for_rounds(
    actor: Actor, *, queue: ReviewQueue, windows: Any, budget: int | None = None
) -> Job:
    """A job that draws the queue's rounds, over old windows again where `windows` names them.

    Raises:
        InvalidInput: the budget is out of range, or `windows` is not as `read_span` takes it.
    """
    if read_span(windows) is None:
        return rounds.ask_for_round(actor, queue=queue, budget=budget)
    access.require(actor, "rounds:run")
    rounds.check_budget(budget)
    with transaction.atomic():
        return jobs.enqueue(
            actor, "review.tasks.run_round", queue=queue.pk, budget=budget, windows=windows
        )


def run(
    actor: Actor, *, queue: ReviewQueue, span: Span, budget: int | None = None
) -> list[SamplingRound]:
    """Draw again every window in a span that the queue has drawn, oldest first.

    Args:
        budget: records per window and stratum; what the earlier draw had where None.
    """
    access.require(actor, "rounds:run")
    rounds.check_budget(budget)
    drawn: list[SamplingRound] = []
    for window in _drawn_windows(queue, span):
        drawn += draw_again(actor, queue=queue, window=window, budget=budget)
    return drawn


def draw_again(
    actor: Actor,
    *,
    queue: ReviewQueue,
    window: Window,
    budget: int | None = None,
    seen: int | None = None,
) -> list[SamplingRound]:
    """One more round over each stratum of a window that the queue has drawn.

    Args:
        seen: how many times the caller saw it drawn; nothing is done where it is more by now, so
            that two who ask at once draw once.
    """
    access.require(actor, "rounds:run")
    if seen is None:
        seen = _times_drawn(queue, window)
    with transaction.atomic():
        cuts.turn(queue.pk)
        if _times_drawn(queue, window) != seen:
            return []
        extra = [_draw(actor, queue, window, last, budget) for last in _last_rounds(queue, window)]
        drawn = [made for made in extra if made is not None]
        cases.serve(queue, drawn)
    return drawn


def _draw(
    actor: Actor, queue: ReviewQueue, window: Window, last: SamplingRound, budget: int | None
) -> SamplingRound | None:
    if last.number >= MAX_NUMBER:
        raise errors.Conflict("this window has been drawn too often", code="drawn_too_often")
    cuts.cut(actor, last, RoundCut.Reason.AGAIN)
    size = budget if budget is not None and last.stratum == Stratum.STREAM else last.budget
    taken = finished_rounds.taken(queue.pk, window.pk, last.stratum)
    return rounds.draw_stratum(
        actor,
        queue,
        window,
        rounds.Asked(
            stratum=Stratum(last.stratum),
            budget=size,
            reason={"rule": "asked" if budget is not None else "as before"},
            number=last.number + 1,
            filter=last.filter,  # the same population, whatever the queue admits by now
            without=Q(id__in=taken.values("record_id")),
        ),
    )


def _drawn_windows(queue: ReviewQueue, span: Span) -> QuerySet[Window]:
    done = SamplingRound.objects.filter(queue=queue).values("window")
    found = Window.objects.filter(project=queue.project_id, pk__in=done)
    if span.since is not None:
        found = found.filter(closed_at__gte=span.since)
    if span.until is not None:
        found = found.filter(closed_at__lt=span.until)
    return found.order_by("number")


def _last_rounds(queue: ReviewQueue, window: Window) -> list[SamplingRound]:
    """The latest round over each stratum of the window."""
    found = SamplingRound.objects.filter(queue=queue, window=window).order_by("stratum", "-number")
    return list(found.distinct("stratum"))


def _times_drawn(queue: ReviewQueue, window: Window) -> int:
    return SamplingRound.objects.filter(queue=queue, window=window).count()


def _moment(name: str, value: Any) -> datetime:
    try:
        moment = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        moment = None
    if moment is None or moment.tzinfo is None:
        raise errors.InvalidInput.at(f"windows.{name}", "a time with its offset, RFC 3339")
    return moment
