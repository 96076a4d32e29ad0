"""The reconciler: what has lost its next step is found, and mended where that can be done."""

from datetime import timedelta

import pytest
from django.db import connection
from django.utils import timezone

from oversight.audit import checkpoints, tree
from oversight.audit import services as audit
from oversight.celery import app
from oversight.jobs import services as jobs
from oversight.jobs.models import Job, Tick
from oversight.monitoring.state import RECONCILE
from review import tasks, ticks
from review.models import Case, CaseResolution, SamplingRound
from review.services import reconciliation, rounds
from scoring.models import IngestBatch, Window
from scoring.services import windows
from scoring.storage import partitions
from tests.judging import judge
from tests.sessions import without_triggers

LONG_AGO = timezone.now() - timedelta(hours=5)


@pytest.fixture
def judged(owner, queue, api, send):
    """A queue whose first two cases are answered."""
    send(12)
    rounds.run(owner, queue=queue, budget=4)
    judge(api, queue, n=2)
    return queue


def found():
    return {name: count for name, count in reconciliation.reconcile().items() if count}


def test_a_healthy_installation_has_no_findings(judged):
    partitions.ensure_ahead()
    assert found() == {}


def test_a_log_whose_checkpoint_is_missing_is_found_and_signed(judged, project):
    partitions.ensure_ahead()
    audit.sequence(project)  # its checkpoint follows the commit, which does not come
    assert found() == {"logs_without_checkpoint": 1}
    assert found() == {}
    assert checkpoints.find_last(project).size == tree.size_of(project)


def test_a_batch_that_no_window_claims_is_found(project, send):
    partitions.ensure_ahead()
    send(1)
    assert found() == {}
    IngestBatch.objects.update(created_at=LONG_AGO)
    assert found() == {"batches_without_window": 1}


def test_a_window_that_was_never_drawn_is_found_and_drawn_by_the_next_tick(owner, queue, send):
    partitions.ensure_ahead()
    send(3)
    windows.close_window(owner)
    type(queue).objects.filter(pk=queue.pk).update(created_at=LONG_AGO - timedelta(hours=1))
    Window.objects.update(closed_at=LONG_AGO)
    assert found() == {"windows_without_round": 1}
    tasks.draw_due_rounds()
    assert SamplingRound.objects.count() >= 1
    assert found() == {}


def test_an_answered_case_that_stands_open_is_resolved(judged):
    partitions.ensure_ahead()
    case = Case.objects.filter(state="resolved").first()
    with without_triggers():
        CaseResolution.objects.filter(case=case).delete()
    Case.objects.filter(pk=case.pk).update(state="open", resolved_at=None)
    assert found() == {"answered_without_resolution": 1}
    assert case.resolutions.count() == 1
    assert Case.objects.get(pk=case.pk).state == "resolved"
    assert found() == {}


def test_a_job_that_nobody_takes_is_found(owner):
    partitions.ensure_ahead()
    jobs.enqueue(owner, "some.task")
    assert found() == {}
    Job.objects.update(due_at=LONG_AGO)
    assert found() == {"jobs_without_worker": 1}


def test_missing_partitions_are_made(db):
    with connection.cursor() as cursor:
        for table in partitions.TABLES:
            name = f"{table}_p{partitions.start_of(timezone.now()):%Y%m%d}"
            cursor.execute(f"DROP TABLE IF EXISTS {name}")
    partitions.forget()
    assert found()["partitions_missing"] >= 2
    assert found() == {}


def test_the_schedule_keeps_what_was_found(owner):
    jobs.enqueue(owner, "some.task")
    Job.objects.update(due_at=LONG_AGO)
    app.tasks[ticks.reconcile.name].apply()
    assert Tick.objects.get(task=RECONCILE).result["jobs_without_worker"] == 1
