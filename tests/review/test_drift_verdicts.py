"""Drift of the verdict rate: from answered rounds of one queue to a report."""

from copy import copy
from datetime import timedelta

import numpy as np
import pytest
from django.db import connection
from django.db.models.base import ModelState
from django.db.models.functions import Now
from django.test.utils import CaptureQueriesContext

from oversight.tenancy.actors import system_actor
from review.models import SamplingRound
from review.selectors import judged_windows
from review.services import drift, rounds
from scoring.models import DriftReport, Window, WindowShare
from scoring.services.drift import verdict_rates
from scoring.services.drift.verdict_rates import Verdicts
from tests.factories import make_record
from tests.judging import judge
from tests.sessions import without_triggers

pytestmark = pytest.mark.django_db


@pytest.fixture
def judged_window(project, api, queue, send):
    """A window of records that were all drawn and answered; every third violates, or all do."""
    project.held_out_share = 0  # what is held out is drawn up to a budget of its own
    project.save()
    sent = 0

    def make(count, *, all_violate=False, hours=24, version="1"):
        nonlocal sent
        numbers = [3 * i if all_violate else i for i in range(sent, sent + count)]
        model = {"name": "assistant", "version": version}
        send([make_record(n, external_id=f"w{sent}-{n}", model=model) for n in numbers])
        sent += count
        last = Window.objects.filter(project=project).order_by("-number").first()
        actor = system_actor(project)
        window = rounds.run(actor, queue=queue, budget=count)[0].window
        if last is not None:
            at = last.closed_at + timedelta(hours=hours)
            Window.objects.filter(pk=window.pk).update(closed_at=at)
        judge(api, queue)
        return window

    return make


@pytest.fixture
def few_suffice(monkeypatch):
    monkeypatch.setattr(drift, "MIN_REFERENCE", 40)
    monkeypatch.setattr(drift, "MIN_COMPARED", 30)


def leave_empty(queue, number):
    """So many windows more whose rounds had nothing to draw."""
    last = SamplingRound.objects.filter(queue=queue).order_by("-window__number").first()
    windows = Window.objects.bulk_create(
        Window(project=queue.project, number=last.window.number + 1 + i) for i in range(number)
    )
    WindowShare.objects.bulk_create(WindowShare(window=one, n_records=0) for one in windows)
    empty = []
    for window in windows:
        made = copy(last)
        made.pk, made.window, made.n_selected, made._state = None, window, 0, ModelState()
        empty.append(made)
    SamplingRound.objects.bulk_create(empty)


@pytest.mark.usefixtures("few_suffice")
def test_a_risen_share_of_violations_is_told_once(project, judged_window, queue):
    actor = system_actor(project, "schedule")
    judged_window(45)
    assert drift.run(actor) == []
    judged_window(36)
    (quiet,) = drift.run(actor)
    assert quiet.n_alarms == 0
    judged_window(36, all_violate=True)
    (made,) = drift.run(actor)
    assert (made.kind, made.queue, made.first_window) == (DriftReport.Kind.VERDICTS, queue.slug, 3)
    (alarm,) = made.alarms
    assert alarm["before"] == pytest.approx(1 / 3, abs=0.05)
    assert alarm["after"] == 1.0
    assert 0.4 < alarm["low"] < alarm["change"] < alarm["high"] < 0.9
    assert alarm["sentence"].startswith(
        f"share of violations of assistant 1 in queue {queue.slug} rose by 6"
    )
    assert drift.run(actor) == []


@pytest.mark.usefixtures("few_suffice")
def test_a_version_follows_another_that_is_judged_no_more(project, queue, judged_window):
    """Beyond hundreds of windows; a look at nothing new costs the same however many they are."""
    actor = system_actor(project, "schedule")
    judged_window(45)
    judged_window(36)
    (retired,) = drift.run(actor)
    with CaptureQueriesContext(connection) as few:
        assert drift.run(actor) == []
    leave_empty(queue, 510)
    with CaptureQueriesContext(connection) as many:
        assert drift.run(actor) == []
    assert len(many) == len(few)
    judged_window(45, version="2")
    assert drift.run(actor) == []  # its reference
    last = judged_window(36, version="2")
    (made,) = drift.run(actor)
    assert (retired.model_version.version, made.model_version.version) == ("1", "2")
    assert (made.window, made.first_window) == (last, last.number)
    assert (made.n_reference, made.n_compared) == (45, 36)


@pytest.mark.usefixtures("few_suffice")
def test_the_level_is_shared_with_every_version_judged_of_late(project, judged_window):
    actor = system_actor(project, "schedule")
    judged_window(45)
    judged_window(36)
    (alone,) = drift.run(actor)
    judged_window(45, version="2")
    judged_window(36, version="2")
    (beside,) = drift.run(actor)
    assert beside.level == pytest.approx(alone.level / 2)


@pytest.mark.usefixtures("few_suffice")
def test_an_unfinished_draw_waits(project, api, queue, send, judged_window):
    actor = system_actor(project, "schedule")
    judged_window(45)
    send([make_record(n, external_id=f"late-{n}") for n in range(50)])
    waiting = rounds.run(actor, queue=queue, budget=50)
    judge(api, queue, 40)
    assert drift.run(actor) == []
    with without_triggers():
        SamplingRound.objects.filter(pk__in=[made.pk for made in waiting]).update(
            created_at=Now() - judged_windows.GIVEN_UP
        )
    (made,) = drift.run(actor)  # the rest will hardly come
    assert made.n_compared == 40


def test_confirmed_violations_are_known_by_record(project, queue, judged_window):
    judged_window(9)
    case = queue.cases.get(evidence__external_id="w0-3")
    other = queue.cases.get(evidence__external_id="w0-4")
    ids = [case.evidence.record_id, other.evidence.record_id]
    assert drift.confirmed_violations(project, ids) == {case.evidence.record_id}


def test_adjusted_p_values_are_holms():
    p = np.array([0.01, 0.04, 0.03, 0.5])
    assert verdict_rates._holm(p).tolist() == pytest.approx([0.04, 0.09, 0.09, 0.5])


def test_equal_rates_alarm_no_more_often_than_the_level():
    rng = np.random.default_rng(5)
    alarmed = 0
    for _ in range(200):
        sides = []
        for n in (120, 80):
            weight = rng.uniform(1, 8, n)
            language = rng.choice(["de", "en"], n)
            y = (rng.uniform(size=n) < 0.15).astype(float)
            sides.append(Verdicts(y, weight, np.arange(n, dtype=float), {"language": language}))
        tests = verdict_rates._tests(*sides, "assistant 1", "default")
        assert 2 <= len(tests) <= 3  # a language may fall short of the verdicts it needs
        alarmed += tests[0]["p_adjusted"] <= 0.05
    assert alarmed <= 18  # of 10 expected at most, plus 2.6 standard errors
