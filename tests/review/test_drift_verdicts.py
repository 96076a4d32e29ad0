"""Drift of the verdict rate: from answered rounds of one queue to a report."""

from datetime import timedelta

import numpy as np
import pytest

from oversight.tenancy.actors import system_actor
from review.services import drift, rounds
from scoring.models import DriftReport, Window
from scoring.services.drift import verdict_rates
from scoring.services.drift.verdict_rates import Verdicts
from tests.factories import make_record
from tests.judging import judge

pytestmark = pytest.mark.django_db


@pytest.fixture
def judged_window(project, api, queue, send):
    """A window of records that were all drawn and answered; every third violates, or all do."""
    sent = 0

    def make(count, *, all_violate=False, hours=24):
        nonlocal sent
        numbers = [3 * i if all_violate else i for i in range(sent, sent + count)]
        send([make_record(n, external_id=f"w{sent}-{n}") for n in numbers])
        sent += count
        last = Window.objects.filter(project=project).order_by("-number").first()
        actor = system_actor(project)
        window = rounds.run(actor, queue=queue, budget=count)[0].window
        if last is not None:
            at = last.closed_at + timedelta(hours=hours)
            Window.objects.filter(pk=window.pk).update(closed_at=at)
        judge(api, queue)

    return make


def test_a_risen_share_of_violations_is_told_once(project, queue, judged_window, monkeypatch):
    monkeypatch.setattr(drift, "MIN_REFERENCE", 40)
    monkeypatch.setattr(drift, "MIN_COMPARED", 30)
    actor = system_actor(project, "schedule")
    judged_window(45)
    assert drift.report_verdicts(actor, queue=queue) == []
    judged_window(36)
    (quiet,) = drift.report_verdicts(actor, queue=queue)
    assert quiet.n_alarms == 0
    judged_window(36, all_violate=True)
    (made,) = drift.report_verdicts(actor, queue=queue)
    assert (made.kind, made.queue, made.first_window) == (DriftReport.Kind.VERDICTS, queue.slug, 3)
    (alarm,) = made.alarms
    assert alarm["before"] == pytest.approx(1 / 3, abs=0.05)
    assert alarm["after"] == 1.0
    assert 0.4 < alarm["low"] < alarm["change"] < alarm["high"] < 0.9
    assert alarm["sentence"].startswith(
        f"share of violations of assistant 1 in queue {queue.slug} rose by 6"
    )
    assert drift.report_verdicts(actor, queue=queue) == []


def test_an_unfinished_draw_waits(project, api, queue, send):
    send(20)
    rounds.run(system_actor(project), queue=queue, budget=20)
    judge(api, queue, 5)
    assert drift.judged_windows.settled_rounds(queue) == []


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
