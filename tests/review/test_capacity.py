"""Budgets that follow what reviewers answer: the rule as a table, the pace off real verdicts."""

import pytest

from review.models import ReviewQueue, SamplingRound
from review.models.queues import Stratum
from review.selectors.capacity import Pace, pace
from review.services import capacity, rounds
from tests.factories import make_record
from tests.judging import judge


def known(**changes):
    plain = {
        "n_answers": 500,
        "per_working_hour": 50.0,
        "per_hour": 10.0,
        "n_waiting": 0,
        "has_run_dry": False,
        "last_budget": 50,
        "has_history": True,
    }
    return Pace(**{**plain, **changes})


def a_queue(**changes):
    plain = {"budget": 100, "evaluation_budget": 10, "intervened_budget": 10, "floor": 0.2}
    return ReviewQueue(**{**plain, "overlap": 1, "max_age_hours": 24, **changes})


# What is known; rule; records from the stream of 100 + 10 + 10 (a window of 1 h, 24 h of age).
RULES = [
    (
        "nobody has answered",
        {"n_answers": 0, "per_hour": 0.0, "has_history": False},
        "cold start",
        100,
    ),
    ("too few to tell", {"n_answers": 19}, "cold start", 100),
    ("steady: half an age limit's worth waits", {"n_waiting": 120}, "capacity", 8),
    ("nothing waits: catch up over the age limit", {}, "capacity", 12),
    ("more than can be answered in time waits", {"n_waiting": 240}, "least", 5),
    ("they are away: nothing lately, much before", {"n_answers": 0, "per_hour": 0.0}, "least", 5),
    ("back from a week away", {"per_hour": 5.0, "n_waiting": 30}, "least", 5),
    ("run dry: the budget was the brake", {"has_run_dry": True}, "run dry", 75),
    ("run dry at the ceiling", {"has_run_dry": True, "last_budget": 90}, "ceiling", 100),
    ("faster than the budgets", {"per_hour": 1_000.0}, "ceiling", 100),
]


@pytest.mark.parametrize(
    ("facts", "rule", "stream"), [row[1:] for row in RULES], ids=[r[0] for r in RULES]
)
def test_the_rule(facts, rule, stream):
    found = capacity.plan_for(a_queue(), known(**facts), window_hours=1.0)
    assert (found.reason["rule"], found.budgets[Stratum.STREAM]) == (rule, stream)
    assert found.budgets[Stratum.EVALUATION] >= 2, "what is held out keeps being measured"
    assert found.budgets[Stratum.INTERVENED] >= 2


def test_two_reviewers_a_case_halve_it():
    one = capacity.plan_for(a_queue(), known(per_hour=40.0), window_hours=1.0)
    two = capacity.plan_for(a_queue(overlap=2), known(per_hour=40.0), window_hours=1.0)
    assert two.stream == one.stream // 2


def test_a_queue_neither_starves_nor_piles_up():
    """Windows by the hour, reviewers of a true pace who go away for a week and come back."""
    queue, waiting, last, per_hour, asked = a_queue(budget=500), 0.0, 500, 8.0, []
    for hour in range(24 * 42):
        away = 24 * 14 <= hour < 24 * 21
        budget = sum(
            capacity.plan_for(
                queue,
                known(
                    per_hour=per_hour,
                    n_waiting=int(waiting),
                    has_run_dry=waiting < 1,
                    last_budget=last,
                ),
                window_hours=1.0,
            ).budgets.values()
        )
        last = budget
        answered = min(waiting + budget, 0.0 if away else 20.0)
        waiting += budget - answered
        per_hour += (answered - per_hour) / (24 * 10)  # what a half-life of a week measures
        asked.append(budget)
        if 24 * 7 <= hour < 24 * 14 or hour >= 24 * 35:
            assert waiting <= 24 * 20, "more waits than is answered within the age limit"
            assert answered == pytest.approx(20, abs=1), "reviewers had too little to do"
    assert min(asked) >= 9


@pytest.mark.django_db(transaction=True)
def test_a_round_says_why_it_has_its_budget(owner, queue, send, api):
    send(80)
    ReviewQueue.objects.filter(pk=queue.pk).update(budget=30)
    queue.refresh_from_db()
    first = next(made for made in rounds.run(owner, queue=queue) if made.stratum == "stream")
    assert (first.budget, first.budget_reason["rule"]) == (30, "cold start")
    judge(api, queue, 25)
    found = pace(queue)
    assert (found.n_answers, found.has_run_dry) == (25, False)
    assert found.per_working_hour == pytest.approx(25, rel=0.51)  # 25, or split over two hours
    assert found.n_waiting == 30 + 5 - 25 or found.n_waiting > 0
    send(
        [
            {**record, "external_id": f"late-{i}"}
            for i, record in enumerate(map(make_record, range(20)))
        ]
    )
    second = [m for m in rounds.run(owner, queue=queue, budget=4) if m.stratum == "stream"][-1]
    assert (second.budget, second.budget_reason) == (4, {"rule": "asked"})
    ReviewQueue.objects.filter(pk=queue.pk).update(budget_rule="fixed")
    queue.refresh_from_db()
    assert capacity.plan(queue).reason == {"rule": "fixed"}
    assert SamplingRound.objects.filter(queue=queue, budget_reason={}).count() == 0
