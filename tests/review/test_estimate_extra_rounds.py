"""Several draws over one window: combined as the estimators combine them, waiting in their turn."""

import numpy as np
import pytest

from review.estimates import ask, figures, hours
from review.models import SamplingRound
from review.selectors import finished_rounds
from review.services import extra_rounds, rounds
from scoring.core.estimation.totals import export_weights
from tests.judging import conclude, judge

pytestmark = pytest.mark.django_db(transaction=True)


def number_of(evidence):
    return int(evidence.external_id.rpartition("-")[2])


def told(queue):
    return figures.as_answer(figures.figure(ask.parse(queue, {"metric": "prevalence"})))


def draw_again(owner, queue, budget):
    return extra_rounds.run(owner, queue=queue, span=extra_rounds.Span(), budget=budget)


def test_two_rounds_over_a_window_weigh_as_the_export_weighs_them(owner, queue, send):
    send(150)
    queue.evaluation_budget = 0
    rounds.run(owner, queue=queue, budget=15)
    conclude(queue, lambda one: number_of(one) % 3 == 0)
    alone = told(queue)
    draw_again(owner, queue, 20)
    waiting = told(queue)
    assert (waiting["value"], waiting["n_verdicts"]) == (alone["value"], 15)
    conclude(queue, lambda one: number_of(one) % 3 == 0)
    both = told(queue)
    made = list(SamplingRound.objects.filter(queue=queue, stratum="stream").order_by("number"))
    assert [one.n_selected for one in made] == [15, 20]
    rows = [list(one.selections.order_by("position")) for one in made]
    weights = export_weights(
        made[0].n_candidates,
        [np.array([row.inclusion_probability for row in own]) for own in rows],
    )
    told_apart = [
        (weight, row.inclusion_probability, number_of(row.case.evidence) % 3 == 0)
        for own, share in zip(rows, weights, strict=True)
        for row, weight in zip(own, share, strict=True)
        if row.case.evidence.tier < 1  # one domain: nothing is flagged
    ]
    assert len(told_apart) == 35
    weight, q, violates = np.array(told_apart).T
    # By hand: the exported weights, and one rate for whatever they do not tell apart.
    cost = (1 - q) / q**2
    rate = min(cost @ violates / (cost.sum() + cost.max()), 0.5)
    total = weight @ (violates - rate) + rate * made[0].n_candidates
    assert both["value"] == pytest.approx(total / made[0].n_candidates, rel=1e-9)
    assert (both["n_verdicts"], both["n_records"]) == (35, made[0].n_candidates)
    curve = hours.curve(ask.parse(queue, {"metric": "prevalence"}))
    assert curve.last.n_cases == 35
    assert curve.last.width == pytest.approx(both["high"] - both["low"])


def test_a_cut_round_is_told_by_what_lies_before_its_cut(api, owner, queue, send):
    send(120)
    queue.evaluation_budget = 0
    rounds.run(owner, queue=queue, budget=20)
    judge(api, queue, 8)
    before = told(queue)
    draw_again(owner, queue, 10)  # cuts the first round where nobody has begun
    after = told(queue)
    states = finished_rounds.finish(
        finished_rounds.stored_rounds(queue).values(*finished_rounds.FIELDS)
    )
    assert [state.end for state in states.values()] == [8, 10]
    assert (after["value"], after["low"], after["high"]) == (
        before["value"],
        before["low"],
        before["high"],
    )
    conclude(queue, lambda one: number_of(one) % 3 == 0)
    assert told(queue)["n_verdicts"] == 18
