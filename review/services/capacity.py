"""How many records the next window asks for: what reviewers can answer in time, within bounds.

The rule, in answers (a record with two reviewers needs two). Let ``c`` be the answers an hour by
the clock of the last four weeks, half as heavy with every week of age, ``w`` the hours of a window
and ``A`` the queue's age limit in hours.

- Nobody has answered yet: the configured budgets ("cold start").
- What can wait without growing too old is ``c·A``; a queue is steady at half of that. So a window
  asks for what a window's time can answer, corrected for what waits over one age limit:
  ``c·w + (c·A/2 - waiting)·w/A``, and never for more than ``c·A - waiting`` ("capacity").
- A queue that has run dry was slowed by its own budget, and ``c`` is only a lower bound: it asks
  for at least half as much again as the last time ("run dry").
- Never more than the configured budgets, which keep their proportions. Never fewer than what keeps
  each stratum estimable, as far as its budget goes: from the stream ``1/ε`` records, so that one
  draw a window comes from the floor; two from each of the others, so that a variance can be told
  ("least"). While nobody answers, this is all that is asked, and the age limit withdraws it from
  the end of the key order (review/services/cuts.py).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from review.models import ReviewQueue
from review.models.queues import BudgetRule, Stratum
from review.selectors.capacity import Pace, pace

LEAST_ANSWERS = 20  # before that the pace is hearsay
GROWTH = 1.5  # of a queue that has run dry
_LEAST_ELSEWHERE = 2


@dataclass(frozen=True, slots=True)
class Plan:
    """Budgets of one window by stratum, and why: `rule` and the figures it was applied to."""

    budgets: Mapping[Stratum, int]
    reason: Mapping[str, Any]

    @property
    def stream(self) -> int:
        return self.budgets[Stratum.STREAM]

    @property
    def evaluation(self) -> int:
        return self.budgets[Stratum.EVALUATION]

    @property
    def intervened(self) -> int:
        return self.budgets[Stratum.INTERVENED]


def plan(queue: ReviewQueue, *, asked: int | None = None) -> Plan:
    """The budgets of the queue's next window.

    Args:
        asked: what somebody asks for from the stream, instead.
    """
    configured = _configured(queue)
    if asked is not None:
        return Plan({**configured, Stratum.STREAM: asked}, {"rule": "asked"})
    if queue.budget_rule == BudgetRule.FIXED:
        return Plan(configured, {"rule": "fixed"})
    return plan_for(queue, pace(queue), window_hours=queue.project.window_minutes / 60)


def plan_for(queue: ReviewQueue, known: Pace, *, window_hours: float) -> Plan:
    """The budgets under a known pace; see the rule at the top."""
    configured = _configured(queue)
    figures = {
        "answers": known.n_answers,
        "per_working_hour": round(known.per_working_hour, 3),
        "per_hour": round(known.per_hour, 3),
        "waiting": known.n_waiting,
        "max_age_hours": queue.max_age_hours,
        "window_hours": round(window_hours, 3),
    }
    if known.n_answers < LEAST_ANSWERS and not (known.has_history and known.n_answers == 0):
        return Plan(configured, {"rule": "cold start", **figures})
    within_age = known.per_hour * queue.max_age_hours
    steady = (
        known.per_hour * window_hours
        + (within_age / 2 - known.n_waiting) * window_hours / queue.max_age_hours
    )
    answers = min(steady, within_age - known.n_waiting)
    total, whole = answers / _answers_each(queue), sum(configured.values())
    share, rule = total / whole, "capacity"
    if known.has_run_dry:
        again = GROWTH * known.last_budget / max(configured[Stratum.STREAM], 1)
        if again > share:
            share, rule = again, "run dry"
    share = min(max(share, 0.0), 1.0)
    least = _least(queue, configured)
    budgets = {one: max(least[one], math.floor(share * n)) for one, n in configured.items()}
    if budgets == configured:
        rule = "ceiling"
    elif budgets == least:
        rule = "least"
    return Plan(budgets, {"rule": rule, **figures})


def _configured(queue: ReviewQueue) -> dict[Stratum, int]:
    return {
        Stratum.STREAM: queue.budget,
        Stratum.EVALUATION: queue.evaluation_budget,
        Stratum.INTERVENED: queue.intervened_budget,
    }


def _least(queue: ReviewQueue, configured: Mapping[Stratum, int]) -> dict[Stratum, int]:
    wanted = dict.fromkeys(configured, _LEAST_ELSEWHERE)
    wanted[Stratum.STREAM] = math.ceil(1 / queue.floor)
    return {one: min(n, wanted[one]) for one, n in configured.items()}


def _answers_each(queue: ReviewQueue) -> float:
    """Reviewers per case, on average."""
    return float(int(queue.overlap)) if queue.overlap >= 1 else 1.0 + queue.overlap
