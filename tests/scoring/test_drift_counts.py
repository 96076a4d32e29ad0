"""Why a drift report rests on fewer records than there were, in a sentence that a reader sees."""

import pytest
from django.test import Client

from scoring.models import InferenceRecord
from scoring.services.drift import comparing, runs
from scoring.services.drift.counts import why_fewer
from tests.drifting import made_records, report, window_of
from tests.worlds import BACKEND

pytestmark = pytest.mark.django_db


@pytest.fixture
def send(project, api):
    """`send(count, hours)`: the next records in a window closed so long after the one before."""
    sent = 0

    def next_window(count, *, hours=1.0):
        nonlocal sent
        window_of(api, project, made_records(sent, count), hours=hours)
        sent += count

    return next_window


def largest(made):
    """The largest counts of a test about all records."""
    tests = [test for test in made.tests if not test["segment"]]
    return max(t["n_reference"] for t in tests), max(t["n_compared"] for t in tests)


def test_nothing_is_said_where_every_record_counts(project, send):
    send(240)
    report(project)
    send(240)
    (made,) = report(project)
    assert largest(made) == (240, 240)
    assert why_fewer(made) == []


def test_what_a_small_level_thins_is_accounted_for(project, send, owner):
    """An hour after the last report the level is small: many shuffles, so of fewer records."""
    send(240)
    report(project)
    send(150)
    report(project)
    send(1_100)
    (made,) = report(project)
    assert made.n_compared == made.n_records == 1_100
    n_shuffles, n_rows = comparing.effort(made.level / 2)  # two families: everything, and scores
    assert largest(made) == (240, n_rows)
    assert n_shuffles > 4 / made.level
    (why,) = why_fewer(made)
    assert why.startswith(f"Each test rests on at most {n_rows:,} records of either side")
    assert f"a level of {made.level:.2g} takes {n_shuffles:,} shuffles" in why
    client = Client()
    client.force_login(owner.user, backend=BACKEND)
    page = client.get(f"/p/{project.slug}/drift/{made.pk}/").content.decode()
    assert f"<p>{why}</p>" in page


def test_a_span_too_long_to_be_read_is_said_to_be_drawn(project, send, monkeypatch):
    send(240)
    report(project)
    send(900)
    monkeypatch.setattr(runs, "MAX_RECORDS", 150)
    (made,) = report(project)
    (why,) = why_fewer(made)
    assert why.startswith("150 of the 900 records were drawn by chance")


def test_records_that_went_after_they_were_counted_are_counted_apart(project, send, monkeypatch):
    send(240)
    report(project)
    send(200)
    # Counted, then erased, and only then compared.
    original = runs.spans.find_due

    def erase_after(*args, **options):
        span = original(*args, **options)
        gone = InferenceRecord.objects.of(project).filter(external_id__in=["made-300", "made-301"])
        gone.update(erased_at="2026-01-01T00:00Z")
        return span

    monkeypatch.setattr(runs.spans, "find_due", erase_after)
    (made,) = report(project)
    (why,) = why_fewer(made)
    assert why.startswith("2 of the 200 records were erased or closed to review")
