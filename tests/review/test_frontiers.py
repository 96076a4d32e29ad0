"""Frontiers spare a claim what is done, and never hide a case: also where two act at once."""

import threading
from uuid import UUID

import pytest
from django.db import transaction

from review.models import Case, Frontier, Slot
from review.services import cases, claims, extra_rounds, frontiers, rounds, verdicts
from tests.factories import make_member, make_record
from tests.sessions import PATIENCE_SECONDS, Sessions

pytestmark = pytest.mark.django_db(transaction=True)

N = 4


@pytest.fixture
def drawn(owner, queue, project, send):
    """A queue with four cases, each for two reviewers."""
    queue.overlap, queue.evaluation_budget, queue.floor = 2, 0, 0.3
    queue.save()
    send(20)
    return rounds.run(owner, queue=queue, budget=N)


def answer(actor, queue, is_violation=True):
    claim = claims.claim_next(actor, queue=queue)
    if claim is None:
        return None
    answers = {
        question.key: is_violation
        for question in claim.slot.rubric_version.questions.all()
        if question.kind == "boolean"
    }
    return verdicts.submit(actor, case_id=claim.case.pk, claim_token=claim.token, answers=answers)


def move_on(actor, queue):
    frontiers.move_on(actor, queue_id=queue.pk)
    return frontier_of(actor, queue)


def frontier_of(actor, queue):
    found = Frontier.objects.filter(queue=queue, reviewer=actor.user).first()
    return None if found is None else found.rank


def ranks(queue):
    found = Slot.objects.filter(queue=queue, ai_rater="").order_by("rank")
    return sorted(set(found.values_list("rank", flat=True)))


def escalate(owner, queue, send, number=500):
    record = UUID(send([make_record(number)])["results"][0]["id"])
    return cases.escalate_record(owner, queue=queue, record_id=record, reason="a complaint")


def in_a_thread(act):
    with Sessions(1) as threads:
        return threads.submit(act).result(60)


def test_it_lies_before_the_first_case_that_may_yet_come(queue, drawn, ada, bert):
    order = ranks(queue)
    assert move_on(ada, queue) == order[0]
    answer(ada, queue)
    claim = claims.claim_next(ada, queue=queue)
    claims.skip(ada, case_id=claim.case.pk, token=claim.token, reason="cannot tell")
    held = claims.claim_next(ada, queue=queue)
    assert move_on(ada, queue) == order[2] == held.slot.rank  # what is in hand may come back
    claims.release(ada, case_id=held.case.pk, token=held.token)
    assert claims.claim_next(ada, queue=queue).case == held.case
    assert move_on(bert, queue) == order[0]


def test_what_another_holds_is_not_passed(queue, drawn, ada, bert, cleo):
    first = claims.claim_next(ada, queue=queue)
    second = claims.claim_next(bert, queue=queue)
    assert first.case == second.case
    assert claims.claim_next(cleo, queue=queue).case != first.case
    assert move_on(cleo, queue) == first.slot.rank
    claims.release(ada, case_id=first.case.pk, token=first.token)
    assert claims.claim_next(cleo, queue=queue).case == first.case


def test_with_nothing_left_it_lies_behind_all_and_a_new_round_is_served(
    owner, queue, drawn, ada, send
):
    while answer(ada, queue) is not None:
        pass
    assert move_on(ada, queue) > max(ranks(queue))
    assert claims.claim_next(ada, queue=queue) is None
    send([make_record(100 + i) for i in range(20)])
    rounds.run(owner, queue=queue, budget=2)
    new = Case.objects.filter(queue=queue).order_by("-created_at")[:2]
    assert claims.claim_next(ada, queue=queue).case in new


def test_a_record_that_a_person_asks_for_comes_first(owner, queue, drawn, ada, send):
    answer(ada, queue)
    move_on(ada, queue)
    asked = escalate(owner, queue, send)
    assert claims.claim_next(ada, queue=queue).case == asked


def test_an_earlier_window_that_is_drawn_again_is_served(owner, queue, drawn, ada):
    while answer(ada, queue) is not None:
        pass
    move_on(ada, queue)
    window = drawn[0].window
    (made,) = extra_rounds.draw_again(owner, queue=queue, window=window, budget=2)
    assert made.n_selected == 2
    assert claims.claim_next(ada, queue=queue).case.selection.round == made


def test_a_tie_that_a_correction_brings_is_served_to_who_had_passed_it(
    queue, drawn, ada, bert, cleo
):
    mine = answer(ada, queue)
    answer(bert, queue)
    assert move_on(cleo, queue) > Slot.objects.filter(case=mine.case)[0].rank
    answer(cleo, queue)  # an active reviewer, who can settle ties
    answers = {key: not value for key, value in mine.answers.items()}
    verdicts.supersede(ada, verdict_id=mine.pk, answers=answers)
    assert claims.claim_next(cleo, queue=queue).case == mine.case


def test_a_tie_draws_nobody_back_who_has_done_with_its_case(queue, drawn, ada, bert, cleo, project):
    dora = make_member(project)
    mine = answer(ada, queue)
    claim = claims.claim_next(dora, queue=queue)
    assert claim.case == mine.case
    claims.skip(dora, case_id=claim.case.pk, token=claim.token, reason="cannot tell")
    assert answer(bert, queue).case == mine.case
    answer(cleo, queue)  # an active reviewer, who can settle ties
    place = Slot.objects.filter(case=mine.case)[0].rank
    before = {one: move_on(one, queue) for one in (ada, bert, cleo, dora)}
    answers = {key: not value for key, value in mine.answers.items()}
    verdicts.supersede(ada, verdict_id=mine.pk, answers=answers)
    after = {one: frontier_of(one, queue) for one in before}
    assert place not in before.values()
    assert after == before | {cleo: place}


def test_it_stays_while_somebody_opens_places(owner, queue, drawn, ada, send):
    answer(ada, queue)
    before = ranks(queue)[0]
    move_on(ada, queue)
    Frontier.objects.update(rank=before)
    with transaction.atomic():
        asked = escalate(owner, queue, send)
        assert in_a_thread(lambda: move_on(ada, queue)) == before
        assert in_a_thread(lambda: claims.claim_next(ada, queue=queue)).case != asked
    assert claims.claim_next(ada, queue=queue).case == asked


def test_who_opens_places_waits_for_a_move_and_draws_it_back(owner, queue, drawn, ada, send):
    answer(ada, queue)
    begun = threading.Event()

    def ask():
        begun.set()
        return escalate(owner, queue, send)

    with Sessions(1) as pool:
        with transaction.atomic():
            move_on(ada, queue)
            asking = pool.submit(ask)
            assert begun.wait(PATIENCE_SECONDS)
            with pytest.raises(TimeoutError):
                asking.result(1)
        asked = asking.result(60)
    assert frontier_of(ada, queue) <= Slot.objects.filter(case=asked)[0].rank
    assert claims.claim_next(ada, queue=queue).case == asked


def test_a_rater_passes_what_it_has_rated(project, owner, queue, drawn, api, send):
    rater = Frontier.objects.filter(queue=queue, ai_rater="judge")
    actor = type(owner)(
        project=project, kind="key", id="1", permissions=owner.permissions, ai_rater="judge"
    )
    held = claims.claim_next(actor, queue=queue)
    frontiers.move_on(actor, queue_id=queue.pk)
    assert rater.get().rank == held.slot.rank
    claims.release(actor, case_id=held.case.pk, token=held.token)
    while answer(actor, queue) is not None:
        pass
    frontiers.move_on(actor, queue_id=queue.pk)
    assert rater.get().rank > max(ranks(queue))
    asked = escalate(owner, queue, send)
    assert claims.claim_next(actor, queue=queue).case == asked
