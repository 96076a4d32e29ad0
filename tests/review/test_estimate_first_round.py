"""The first figure of a queue, through the product: one round, three people who err."""

import random

import pytest

from review.estimates import ask, figures
from review.models import Case, CaseResolution, SamplingRound, Slot
from review.services import claims, queues, rounds, verdicts
from tests.factories import make_member, make_record
from tests.judging import conclude

pytestmark = pytest.mark.django_db(transaction=True)

ERRORS = 0.05


def number_of(case):
    return int(case.evidence.external_id.rpartition("-")[2])


def answer_all(queue, people, says):
    """People take turns until nothing is left for anybody; returns how many answers it took."""
    given, idle = 0, 0
    while idle < len(people):
        people = [*people[1:], people[0]]
        claim = claims.claim_next(people[0], queue=queue)
        if claim is None:
            idle += 1
            continue
        given, idle = given + 1, 0
        verdicts.submit(
            people[0],
            case_id=claim.case.pk,
            claim_token=claim.token,
            answers={"violation": says(claim.case)},
        )
    return given


def told(queue, metric="prevalence"):
    return figures.as_answer(figures.figure(ask.parse(queue, {"metric": metric})))


def test_a_first_round_tells_both_rates_usefully(project, owner, queue, send):
    """800 records, every sixth violates, 120 are judged; the profile finds and measures."""
    settings = {
        "profile": "balanced", "budget": 108, "evaluation_budget": 12, "overlap": 0.4,
        "budget_rule": "fixed",
    }  # fmt: skip
    queue = queues.update_queue(owner, slug=queue.slug, settings=settings)
    send(800)
    drawn = rounds.run(owner, queue=queue)
    assert {made.floor for made in drawn} == {0.5}
    chance = random.Random(11)
    people = [make_member(project) for _ in range(3)]
    n_cases = sum(made.n_selected for made in drawn)
    n_answers = answer_all(
        queue, people, lambda case: (number_of(case) % 6 == 0) != (chance.random() < ERRORS)
    )
    assert n_answers > 1.2 * n_cases
    found = told(queue)
    # A pair may disagree before the third has answered anything; nobody is asked then.
    assert found["unresolved"] <= 1
    assert found["n_verdicts"] + found["unresolved"] == n_cases
    uniform = found["uniform"]["high"] - found["uniform"]["low"]
    width = found["high"] - found["low"]
    assert width < 3.5 * uniform  # 0.8 to 1.6 of it, most often
    # Adjudicated, a few of the single answers are wrong: 1/6 of truth shows as about 0.2.
    assert abs(found["value"] - 0.2) < 1.4 * width  # 5.5 standard errors
    corrected = found["corrected"]
    assert corrected["reason"] is None
    assert corrected["low"] < corrected["value"] < corrected["high"]
    assert corrected["high"] - corrected["low"] < 0.75  # 0.2 to 0.4, by how many overlap
    assert abs(corrected["value"] - 1 / 6) < 1.4 * (corrected["high"] - corrected["low"])
    for name in ("sensitivity", "specificity"):
        assert corrected[name]["high"] > 1 - ERRORS - 0.05


def test_later_rounds_do_not_take_back_what_the_first_said(owner, queue, send):
    queue = queues.update_queue(
        owner, slug=queue.slug, settings={"budget": 60, "evaluation_budget": 7}
    )
    widths = []
    for first in (0, 500):
        send([make_record(number) for number in range(first, first + 500)])
        rounds.run(owner, queue=queue, budget=60)
        conclude(queue, lambda one: int(one.external_id.rpartition("-")[2]) % 6 == 0)
        found = told(queue)
        widths.append(found["high"] - found["low"])
    assert widths[1] < 1.8 * widths[0]  # 0.7 of it, most often; with a floor of 0.1 it doubles
    assert SamplingRound.objects.filter(queue=queue, posterior_version=None, floor=0.5).exists()


def test_a_tie_is_settled_by_whoever_is_left_and_holds_nothing_up(project, owner, queue, send):
    queue = queues.update_queue(owner, slug=queue.slug, settings={"overlap": 2.0})
    send(12)
    rounds.run(owner, queue=queue, budget=6)
    yes, no, third = (make_member(project) for _ in range(3))
    first = claims.claim_next(third, queue=queue)  # active, and so somebody to ask
    verdicts.submit(
        third, case_id=first.case.pk, claim_token=first.token, answers={"violation": True}
    )
    answer_all(queue, [yes], lambda case: True)
    answer_all(queue, [no], lambda case: False)
    tied = Case.objects.filter(queue=queue, state=Case.State.RESOLVED, resolutions__rule="tie")
    n_tied = tied.distinct().count()
    assert n_tied > 0
    further = Slot.objects.filter(queue=queue, state=Slot.State.OPEN)
    assert further.count() == n_tied
    assert claims.claim_next(yes, queue=queue) is None  # nobody breaks a tie of their own
    answer_all(queue, [third], lambda case: True)
    last = CaseResolution.objects.filter(case__in=tied).order_by("case", "-number").distinct("case")
    assert {(one.rule, one.violation, one.number) for one in last} == {("majority", True, 2)}
    assert told(queue)["unresolved"] == 0


def test_two_people_alone_are_asked_no_further(project, owner, queue, send):
    queue = queues.update_queue(owner, slug=queue.slug, settings={"overlap": 2.0})
    send(8)
    rounds.run(owner, queue=queue, budget=4)
    yes, no = (make_member(project) for _ in range(2))
    answer_all(queue, [yes], lambda case: True)
    answer_all(queue, [no], lambda case: False)
    assert not Slot.objects.filter(queue=queue, state=Slot.State.OPEN).exists()
    assert told(queue)["unresolved"] > 0
