"""How much a queue's reviewers answer: read off the verdicts, hour by hour, recent ones first."""

import math
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection

from review.models import Case, ReviewQueue, SamplingRound, Slot, Verdict
from review.models.queues import Stratum

LOOK_BACK = timedelta(days=28)
HALF_LIFE = timedelta(days=7)

# An hour in which somebody answers anything in the project is an hour of work. It is shared out
# over the queues by what they answered in it, so reviewers of several queues are divided by use.
_PACE = """
WITH worked AS (
    SELECT date_trunc('hour', v.created_at) AS hour, v.reviewer_id,
        count(*) FILTER (WHERE c.queue_id = %(queue)s) AS mine, count(*) AS every
    FROM review_verdict v JOIN review_case c ON c.id = v.case_id
    WHERE v.project_id = %(project)s AND v.ai_rater = '' AND v.supersedes_id IS NULL
      AND v.created_at > now() - %(back)s
    GROUP BY 1, 2
), weighed AS (
    SELECT hour, mine, mine::float8 / every AS share,
        exp(-ln(2) * extract(epoch FROM now() - hour) / %(half_life)s) AS weight
    FROM worked
)
SELECT coalesce(sum(mine), 0), coalesce(sum(weight * mine), 0), coalesce(sum(weight * share), 0),
    extract(epoch FROM now() - min(hour) FILTER (WHERE mine > 0)) / 3600
FROM weighed
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """What the reviewers of one queue do.

    Attributes:
        n_answers: verdicts of people in the last four weeks.
        per_working_hour: answers an hour of one person at work; recency-weighted.
        per_hour: answers an hour by the clock, nights and weekends included.
        n_waiting: answers that are still to be given.
        has_run_dry: nothing waits and the last stream round was answered to its end, so what was
            answered was bounded by what was asked, and the pace is a lower bound.
        last_budget: of that round.
        has_history: somebody has answered in this queue before, however long ago.
    """

    n_answers: int
    per_working_hour: float
    per_hour: float
    n_waiting: int
    has_run_dry: bool
    last_budget: int
    has_history: bool


def pace(queue: ReviewQueue) -> Pace:
    """The pace of a queue's reviewers as the verdicts tell it."""
    values: dict[str, Any] = {
        "queue": queue.pk,
        "project": queue.project_id,
        "back": LOOK_BACK,
        "half_life": HALF_LIFE.total_seconds(),
    }
    with connection.cursor() as cursor:
        cursor.execute(_PACE, values)
        n_answers, answers, hours, since = cursor.fetchone()
    waiting = Slot.objects.filter(queue=queue, state=Slot.State.OPEN, ai_rater="").count()
    last = SamplingRound.objects.filter(queue=queue, stratum=Stratum.STREAM).order_by("-pk").first()
    return Pace(
        n_answers=int(n_answers),
        per_working_hour=answers / hours if hours else 0.0,
        per_hour=answers / _weighted_hours(float(since)) if since else 0.0,
        n_waiting=waiting,
        has_run_dry=not waiting and last is not None and _is_answered(last),
        last_budget=last.budget if last is not None else 0,
        has_history=bool(n_answers)
        or Verdict.objects.filter(case__queue=queue, ai_rater="").exists(),
    )


def _weighted_hours(since_hours: float) -> float:
    """Hours by the clock from the first answer on, each weighed as an answer in it is."""
    decay = HALF_LIFE / timedelta(hours=1)
    return max(decay * (1.0 - 0.5 ** (since_hours / decay)) / math.log(2.0), 1.0)


def _is_answered(made: SamplingRound) -> bool:
    states = Case.objects.filter(selection__round=made).exclude(state=Case.State.RESOLVED)
    return made.n_selected > 0 and not states.exists()
