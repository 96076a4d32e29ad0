"""Drift of stored records: what is compared, what is told, and that nothing is taken twice."""

from datetime import datetime, timedelta
from functools import partial

import numpy as np
import pytest
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from oversight.audit.models import AuditEvent
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from scoring.core.state import from_bytes
from scoring.models import (
    BaselineCheckpoint,
    DriftReference,
    DriftReport,
    InferenceRecord,
    IngestBatch,
    ModelVersion,
    Window,
    WindowShare,
)
from scoring.selectors.drift import CALM_AFTER, active_shifts
from scoring.services import fitting, retention, scorers
from scoring.services.drift import runs, spans
from tests.drifting import made_records, report, window_of
from tests.sessions import all_at_once


@pytest.fixture
def stream(project, api):
    """`stream(count, shift)`: the next records in a window of their own."""
    sent = 0

    def send(count, shift=0.0, **options):
        nonlocal sent
        window = window_of(api, project, made_records(sent, count, shift=shift), **options)
        sent += count
        return window

    return send


@pytest.mark.django_db
def test_an_alarm_says_what_moved_where_by_how_much_and_since_when(project, stream):
    stream(240)
    assert report(project) == []  # the reference
    stream(240, shift=1.5)
    (made,) = report(project)
    assert (made.n_reference, made.n_compared, made.first_window) == (240, 240, 2)
    assert made.reference.source == DriftReference.Source.OLDEST
    told = {
        (alarm["name"], alarm["segment"] and alarm["segment"]["value"]): alarm
        for alarm in made.alarms
        if alarm["kind"] == "signal"
    }
    assert set(told) >= {("refusal", None), ("refusal", "de")}
    assert not any(name == "length" or value == "en" for name, value in told)
    alarm = told["refusal", "de"]
    assert 1.1 < alarm["low"] < 1.5 < alarm["high"] < 1.9
    assert alarm["p_adjusted"] <= made.level
    assert alarm["sentence"].startswith("signal refusal of assistant 3 in language=de rose by 1.")
    assert " since about " in alarm["sentence"]
    assert alarm["sentence"].endswith(f" after correction for {made.n_tests} tests.")
    assert len(alarm["chart"]["histogram"]["before"]) == 20
    assert AuditEvent.objects.filter(action="drift.reported", object_id=str(made.pk)).exists()


@pytest.mark.django_db
def test_a_segment_that_moved_is_active_until_it_has_calmed_down(project, stream):
    stream(240)
    report(project)
    assert active_shifts(project) == []
    stream(200, shift=1.5)
    (first,) = report(project)
    shifts = {(shift.name, shift.value): shift for shift in active_shifts(project)}
    german = shifts["language", "de"]
    assert ("language", "en") not in shifts
    assert 0.3 < german.severity <= 1
    assert (german.report, german.model_version) == (first.pk, first.model_version_id)
    assert active_shifts(project, at=german.since) == []  # nobody knew then
    for _ in range(CALM_AFTER):
        assert ("language", "de") in {(shift.name, shift.value) for shift in active_shifts(project)}
        stream(200)
        assert [alarm["sentence"] for alarm in report(project)[0].alarms] == []
    assert active_shifts(project) == []


@pytest.mark.django_db
def test_a_run_that_dies_halfway_leaves_nothing_and_nothing_is_absorbed_twice(
    project, stream, monkeypatch
):
    stream(240)
    report(project)
    stream(200)
    stream(100)

    class Killed(BaseException):
        pass

    def die(*args, **details):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("scoring.services.drift.runs.audit.record", die)
        with pytest.raises(Killed):
            report(project)
    assert not DriftReport.objects.exists()
    assert not BaselineCheckpoint.objects.exists()

    (made,) = report(project)
    assert (made.first_window, made.window.number, made.n_compared) == (2, 3, 300)
    whole = BaselineCheckpoint.objects.get(name="")
    assert whole.n_absorbed + whole.n_refused == 300
    assert whole.window == made.window
    assert from_bytes(bytes(whole.state)).config["names"] == ["length", "refusal"]
    by_language = BaselineCheckpoint.objects.filter(name="language")
    assert sum(row.n_absorbed + row.n_refused for row in by_language) == 300
    assert report(project) == []
    assert BaselineCheckpoint.objects.get(name="").n_absorbed == whole.n_absorbed

    stream(150)
    report(project)
    later = BaselineCheckpoint.objects.get(name="")
    assert later.n_absorbed + later.n_refused == 450


@pytest.mark.django_db
def test_erased_records_and_those_closed_to_review_are_no_part_of_it(project, api):
    before = list(made_records(0, 240))
    window_of(api, project, before)
    report(project)
    after = list(made_records(240, 200))
    for record in after[:50]:
        record["consent"] = {"review": False}
        record["signals"]["refusal"] = 1e6
    window_of(api, project, after)
    gone = InferenceRecord.objects.of(project).filter(external_id="made-310")
    gone.update(erased_at="2026-01-01T00:00Z")
    erased = InferenceRecord.objects.of(project).filter(external_id="made-7")
    erased.update(erased_at="2026-01-01T00:00Z")
    (made,) = report(project)
    assert (made.n_reference, made.n_compared, made.n_records) == (239, 149, 149)
    assert [alarm["sentence"] for alarm in made.alarms] == []
    whole = BaselineCheckpoint.objects.get(name="")
    assert whole.n_absorbed == 149


@pytest.mark.django_db
def test_too_few_records_wait_and_reports_keep_their_distance_in_time(project, stream):
    stream(240)
    report(project)
    stream(60)
    assert report(project) == []
    stream(60)
    (made,) = report(project)
    assert (made.first_window, made.n_compared) == (2, 120)
    stream(150, hours=0.25)
    assert report(project) == []
    stream(150, hours=2.75)
    (later,) = report(project)
    assert (later.first_window, later.n_compared) == (4, 300)
    assert later.level == pytest.approx(3 / (30 * 24), rel=1e-6)
    assert WindowShare.objects.filter(window__project=project).count() == 5


@pytest.mark.django_db
def test_what_was_confirmed_as_a_violation_teaches_no_baseline(project, stream):
    stream(240)
    report(project)
    stream(200)
    report(project, confirmed=lambda project, ids: set(ids[:80]))
    whole = BaselineCheckpoint.objects.get(name="")
    assert (whole.n_absorbed, whole.n_refused) == (120, 80)


@pytest.mark.django_db
def test_a_large_span_is_drawn_by_chance_and_the_same_at_every_call(project, stream, monkeypatch):
    """Of a span whose latter half has moved, what is drawn has moved by half as much."""
    stream(240)
    report(project)
    stream(450)
    stream(450, shift=8.0)
    monkeypatch.setattr(runs, "MAX_RECORDS", 150)
    (made,) = report(project)
    assert (made.n_compared, made.n_records) == (150, 900)
    german = next(
        alarm
        for alarm in made.alarms
        if alarm["name"] == "refusal" and alarm["segment"] and alarm["segment"]["value"] == "de"
    )
    assert 1.0 < german["change"] < 7.0  # 4, and six standard errors of some 75 German records
    assert np.isclose(sum(made.scores["counts"]), 150)


@pytest.mark.django_db(transaction=True)
def test_two_workers_at_once_make_one_report(project, stream):
    stream(240)
    report(project)
    stream(200)
    work = partial(runs.run, system_actor(project, "schedule"))
    made = [one for reports in all_at_once(work, work) for one in reports]
    assert len(made) == DriftReport.objects.count() == 1
    whole = BaselineCheckpoint.objects.get(name="")
    assert whole.n_absorbed + whole.n_refused == 200


def leave_behind(project, number):
    """Windows of long ago whose records retention has removed: what is left of each."""
    ago = timezone.now() - timedelta(days=50)
    model = ModelVersion.objects.get(project=project)
    first = Window.objects.filter(project=project).count() + 1
    left = Window.objects.bulk_create(
        Window(project=project, number=first + i, closed_at=ago + timedelta(hours=i), n_records=900)
        for i in range(number)
    )
    IngestBatch.objects.bulk_create(
        IngestBatch(project=project, window=window, n_records=900, merkle_root=b"")
        for window in left
    )
    WindowShare.objects.bulk_create(
        WindowShare(window=window, model_version=model, n_records=900) for window in left
    )


def plan_of(statement):
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN {statement}")
        return "\n".join(line for (line,) in cursor.fetchall())


@pytest.mark.django_db
@pytest.mark.parametrize("is_fitted", [False, True])
def test_a_reference_that_has_expired_is_renewed_from_what_lives_alone(project, api, is_fitted):
    """At a price that does not grow with what has expired, and without reading what came later."""
    ago = timedelta(days=60)
    old = list(made_records(0, 400))
    for record in old:
        moment = datetime.fromisoformat(record["occurred_at"]) - ago
        record["occurred_at"] = moment.isoformat()
    window_of(api, project, old)
    actor = system_actor(project)
    if is_fitted:
        scorers.release(actor, version=fitting.fit(actor, kind="percentile"))
    report(project)
    source = DriftReference.Source.BASELINE if is_fitted else DriftReference.Source.OLDEST
    assert DriftReference.objects.get().source == source
    Window.objects.update(closed_at=timezone.now() - ago)
    Project.objects.update(retention_days=30)
    project.refresh_from_db()
    assert retention.enforce().n_partitions > 0
    leave_behind(project, 4)
    window_of(api, project, made_records(400, 240), hours=50 * 24)
    window_of(api, project, made_records(640, 150))

    def renewed():
        with transaction.atomic(), CaptureQueriesContext(connection) as asked:
            assert report(project) == []
            made = DriftReference.objects.get(through__gt=1)
            transaction.set_rollback(True)
        return made, [query["sql"] for query in asked]

    spans.count_new_windows(project)
    made, few = renewed()
    assert (made.source, made.n_records) == (DriftReference.Source.OLDEST, 240)
    of_baseline = [statement for statement in few if '"ingested_at" <=' in statement]
    assert len(of_baseline) == is_fitted
    for statement in of_baseline:
        assert "scoring_record_p" not in plan_of(statement)
    Window.objects.filter(number__gt=5).update(number=F("number") + 100)
    leave_behind(project, 40)
    again, many = renewed()
    assert (again.n_records, len(many)) == (240, len(few))
    assert report(project) == []
    (compared,) = report(project)
    assert (compared.n_reference, compared.n_compared, compared.n_records) == (240, 150, 150)


@pytest.mark.django_db
def test_a_reference_is_taken_from_what_will_live_for_long_where_enough_does(project, stream):
    old, young = stream(240), stream(240)
    Window.objects.filter(pk=old.pk).update(closed_at=timezone.now() - timedelta(days=20))
    Window.objects.filter(pk=young.pk).update(closed_at=timezone.now() - timedelta(days=10))
    Project.objects.update(retention_days=30)
    project.refresh_from_db()
    assert report(project) == []
    assert DriftReference.objects.get().through == young.number
    stream(150)
    (made,) = report(project)
    assert (made.n_reference, made.n_compared) == (240, 150)


@pytest.mark.django_db
def test_a_reference_is_taken_from_what_is_there_where_little_is(project, stream):
    alone = stream(240)
    Window.objects.filter(pk=alone.pk).update(closed_at=timezone.now() - timedelta(days=20))
    stream(60)
    Project.objects.update(retention_days=30)
    project.refresh_from_db()
    assert report(project) == []
    assert DriftReference.objects.get().through == alone.number
