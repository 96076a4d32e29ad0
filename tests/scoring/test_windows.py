"""Windows: oldest batches first, never more than one draw can take, each batch in one of them."""

import threading
from functools import partial

import pytest
from django.db import transaction

from oversight.tenancy.actors import system_actor
from scoring.models import IngestBatch, Window
from scoring.services import windows
from tests.sessions import Sessions, all_at_once


def arrive(project, *sizes):
    """Batches of so many records, in this order."""
    return [
        IngestBatch.objects.create(project=project, n_records=size, merkle_root=b"").pk
        for size in sizes
    ]


def held(window):
    return list(window.batches.order_by("pk").values_list("pk", flat=True))


@pytest.mark.django_db
def test_a_backlog_becomes_as_many_windows_as_its_records_take(project, other_project):
    actor = system_actor(project)
    batches = arrive(project, 4, 4, 4, 25, 1, 0, 3)
    (foreign,) = arrive(other_project, 4)
    closed = windows.close_windows(actor, most_records=10)
    assert [held(window) for window in closed] == [batches[:3], batches[3:4], batches[4:]]
    assert [(window.number, window.n_records) for window in closed] == [(1, 12), (2, 25), (3, 4)]
    assert IngestBatch.objects.get(window=None).pk == foreign
    assert windows.close_windows(actor, most_records=10) == []


@pytest.mark.django_db(transaction=True)
def test_a_batch_that_commits_late_falls_into_a_later_window(project):
    started, seen = threading.Event(), threading.Event()
    late = []

    def ingest():
        with transaction.atomic():
            late.extend(arrive(project, 5))
            started.set()
            assert seen.wait(60)

    with Sessions(1) as threads:
        client = threads.submit(ingest)
        assert started.wait(60)
        visible = arrive(project, 5, 5)
        first = windows.close_window(system_actor(project), most_records=5)
        seen.set()
        client.result(60)
    assert late[0] < visible[0]
    assert held(first) == visible[:1]
    rest = windows.close_windows(system_actor(project), most_records=5)
    assert [held(window) for window in rest] == [late, visible[1:]]


@pytest.mark.django_db(transaction=True)
def test_two_beats_at_once_claim_every_batch_once(project):
    arrive(project, *[5] * 60)
    beat = partial(windows.close_windows, system_actor(project), most_records=10)
    closed = [window for made in all_at_once(beat, beat) for window in made]
    assert not IngestBatch.objects.filter(window=None).exists()
    found = Window.objects.filter(project=project).order_by("number")
    assert [window.number for window in found] == list(range(1, 31))
    assert {window.batches.count() for window in found} == {2}
    assert sorted(window.pk for window in closed) == [window.pk for window in found]
