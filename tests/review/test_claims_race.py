"""Claims and answers at once, on real connections: no slot twice, none idle, no verdict twice."""

from functools import partial

import pytest

from oversight.audit.models import AuditEvent
from oversight.tenancy.models import Role
from review.models import CaseResolution, Slot, Verdict
from review.services import claims, rounds, verdicts
from tests.factories import make_api, make_member, make_record
from tests.sessions import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)

N_CASES, N_REVIEWERS, N_PLACES = 20, 20, 10


def test_two_hundred_claims_over_twenty_cases(project, owner, queue):
    queue.overlap = 9  # the most that a case may have
    queue.evaluation_budget = 0
    queue.save()
    project.held_out_share = 0
    project.save()
    make_api(project).post("records", {"records": [make_record(i) for i in range(N_CASES)]})
    rounds.run(owner, queue=queue, budget=N_CASES)
    places = Slot.objects.filter(queue=queue).count()
    assert places == N_CASES * 9
    reviewers = [make_member(project, Role.REVIEWER) for _ in range(N_REVIEWERS)]

    def claim_ten(reviewer):
        return [claims.claim_next(reviewer, queue=queue) for _ in range(N_PLACES)]

    batches = all_at_once(*[partial(claim_ten, reviewer) for reviewer in reviewers])
    got = [c for batch in batches for c in batch if c is not None]
    assert len(got) == places, "a slot stayed idle although reviewers asked for it"
    assert len({claim.slot.pk for claim in got}) == places, "a slot was given twice"
    assert len({(claim.case.pk, claim.slot.reviewer_id) for claim in got}) == places
    assert len({claim.token for claim in got}) == places


def test_one_reviewer_in_many_tabs_never_has_two_places_of_a_case(project, owner, queue):
    queue.overlap = 3
    queue.save()
    make_api(project).post("records", {"records": [make_record(i) for i in range(8)]})
    rounds.run(owner, queue=queue, budget=8)
    reviewer = make_member(project)
    claim_one = partial(claims.claim_next, reviewer, queue=queue)
    got = [claim for claim in all_at_once(*[claim_one] * 8) if claim is not None]
    assert len({claim.case.pk for claim in got}) == len(got)


def test_an_answer_sent_twice_at_once_is_one_verdict(project, owner, queue):
    make_api(project).post("records", {"records": [make_record(i) for i in range(8)]})
    rounds.run(owner, queue=queue, budget=8)
    reviewer = make_member(project)
    claim = claims.claim_next(reviewer, queue=queue)
    answer = partial(
        verdicts.submit,
        reviewer,
        case_id=claim.case.pk,
        claim_token=claim.token,
        answers={"violation": True},
        note="Says it outright.",
    )
    got = all_at_once(*[answer] * 4)
    assert len({verdict.pk for verdict in got}) == 1
    assert {verdict.note.note for verdict in got} == {"Says it outright."}
    assert Verdict.objects.filter(case=claim.case).count() == 1
    assert CaseResolution.objects.filter(case=claim.case).count() == 1
    told = AuditEvent.objects.filter(project=project, action="verdict.given")
    assert [event.object_id for event in told] == [str(got[0].pk)]
