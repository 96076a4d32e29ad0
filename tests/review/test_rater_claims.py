"""AI raters beside each other: each has a place of its own, whatever the others give back."""

import time
from dataclasses import replace
from queue import Queue

import pytest
from django.db import connection, transaction

from oversight.lib import errors
from review.models import Slot
from review.services import claims, rounds
from tests.sessions import PATIENCE_SECONDS, Sessions

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def rater(owner, queue, send):
    """An actor for a named AI rater, in a queue with one case."""
    queue.evaluation_budget = 0
    queue.save()
    send(8)
    rounds.run(owner, queue=queue, budget=1)
    return lambda name: replace(owner, kind="key", user=None, ai_rater=name)


def release(actor, claim):
    claims.release(actor, case_id=claim.case.pk, token=claim.token)


@pytest.mark.parametrize("give_back", ["release", "skip"])
def test_a_place_given_back_stands_in_nobodys_way(rater, queue, give_back):
    first, second, third = rater("a"), rater("b"), rater("c")
    held = claims.claim_next(first, queue=queue)
    claims.claim_next(second, queue=queue)
    if give_back == "release":
        release(first, held)
        assert claims.claim_next(first, queue=queue).case == held.case
    else:
        claims.skip(first, case_id=held.case.pk, token=held.token, reason="cannot tell")
        assert claims.claim_next(first, queue=queue) is None
    assert claims.claim_next(third, queue=queue).case == held.case
    numbers = list(Slot.objects.exclude(ai_rater="").values_list("number", flat=True))
    assert len(set(numbers)) == len(numbers)
    assert min(numbers) >= 1_000


def waits_for_a_lock(pid):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s", [pid]
        )
        return cursor.fetchone() == (True,)


def claim_while_another_claims(first, second, queue):
    """The second rater's claim, made while that of the first waits to be committed."""
    begun = Queue()

    def claim():
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            begun.put(cursor.fetchone()[0])
        return claims.claim_next(second, queue=queue)

    with Sessions(1) as pool, transaction.atomic():
        claims.claim_next(first, queue=queue)
        waiting = pool.submit(claim)
        pid = begun.get(timeout=PATIENCE_SECONDS)
        until = time.monotonic() + PATIENCE_SECONDS
        while not waits_for_a_lock(pid):
            assert time.monotonic() < until, "the second claim did not meet the first"
            time.sleep(0.01)
    return waiting


def test_a_number_taken_at_the_same_moment_is_followed_by_the_next(rater, queue):
    claim = claim_while_another_claims(rater("a"), rater("b"), queue).result()
    assert claim.slot.number == 1_001


def test_a_claim_that_never_gets_through_says_so(rater, queue, monkeypatch):
    monkeypatch.setattr(claims, "_ATTEMPTS", 1)
    refused = claim_while_another_claims(rater("a"), rater("b"), queue).exception()
    assert isinstance(refused, errors.Unavailable)
    assert refused.retry_after_seconds == 1
