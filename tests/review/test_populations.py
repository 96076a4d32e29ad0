"""Populations are counted after the draw, and are the draw's whenever they are counted."""

from datetime import UTC, datetime

import pytest
from django.db import connection

from review.models import CountedWindow, PopulationCount, SamplingRound
from review.models.populations import WITHHELD
from review.services import populations, rounds, schedule
from scoring.models import InferenceRecord
from scoring.services import windows
from tests.factories import make_record


class KilledError(BaseException):
    """What a process meets that ends here."""


def counted(made):
    rows = PopulationCount.objects.filter(
        queue=made.queue, window=made.window, stratum=made.stratum, segment=""
    )
    return sum(row.n for row in rows)


@pytest.mark.django_db(transaction=True)
def test_a_process_killed_between_draw_and_count_mends_at_the_next_tick(
    owner, queue, send, monkeypatch
):
    """The round stands, and what is counted later is what it was drawn from."""
    places = ("north", "south")
    send([make_record(i, context={"place": places[i % 2]}) for i in range(60)])
    send([make_record(60, context={"place": "north"}, consent={"review": False})])
    window = windows.close_window(owner)

    def die(_):
        raise KilledError

    with monkeypatch.context() as killed:
        killed.setattr(populations, "_count", die)
        with pytest.raises(KilledError):
            rounds.draw_window(owner, queue=queue, window=window, budget=5)
    drawn = list(SamplingRound.objects.filter(queue=queue))
    assert drawn
    assert not PopulationCount.objects.exists()
    assert not CountedWindow.objects.exists()

    # Meanwhile the queue admits others, records arrive late, and one that was drawn is erased.
    queue.filter = {"context": {"place": ["south"]}}
    queue.save()
    send([make_record(i, context={"place": "north"}) for i in range(100, 120)])
    gone = drawn[0].selections.first().record_id
    InferenceRecord.objects.filter(pk=gone).update(erased_at=datetime.now(UTC))

    schedule.draw_missing(owner)
    assert {made.pk: counted(made) for made in drawn} == {
        made.pk: made.n_candidates for made in drawn
    }
    withheld = PopulationCount.objects.filter(window=window, stratum=WITHHELD, segment="")
    assert sum(row.n for row in withheld) == 1
    assert populations.count_missing(queue) == 0


@pytest.mark.django_db(transaction=True)
def test_the_count_runs_outside_the_draws_transaction(owner, queue, send, monkeypatch):
    send(20)
    seen = []
    count_drawn = populations.count_drawn

    def look(*given):
        seen.append(connection.in_atomic_block)
        return count_drawn(*given)

    monkeypatch.setattr(populations, "count_drawn", look)
    rounds.run(owner, queue=queue, budget=5)
    assert seen == [False]
    made = SamplingRound.objects.get(queue=queue, stratum="stream")
    assert counted(made) == made.n_candidates


def test_a_window_that_holds_nothing_for_the_queue_is_counted_once(owner, queue, send):
    queue.filter = {"region": "nowhere"}
    queue.save()
    send(3)
    window = windows.close_window(owner)
    rounds.draw_window(owner, queue=queue, window=window)
    assert not PopulationCount.objects.exists()
    assert CountedWindow.objects.filter(window=window).count() == 1
    assert populations.count_missing(queue) == 0
