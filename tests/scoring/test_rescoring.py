"""Scoring stored records again: beside their own scores, once, and past a worker's death."""

import os
import signal
import subprocess
import sys
import time
from io import StringIO

import numpy as np
import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import connection

from oversight.celery import app
from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.tenancy.actors import system_actor
from scoring import tasks
from scoring.models import InferenceRecord, RecordScore, Rescoring, ScorerVersion
from scoring.selectors import record_scores
from scoring.services import rescoring
from tests.factories import make_api, make_project
from tests.learning import stream
from tests.sessions import PATIENCE_SECONDS, others_ended

pytestmark = pytest.mark.django_db(transaction=True)

VERSIONS = "scorers/default/versions"
SLOW_WORKER = """
import sys, time
import django
django.setup()
from oversight.jobs import services as jobs
from scoring import tasks
from scoring.services import rescoring
rescoring.CHUNK = rescoring.CHUNK_WITH_CONTENT = 25
report = jobs.Progress.report
def slow(self, done, total=None):
    report(self, done, total)
    time.sleep(0.2 if done < 50 else 5.0)
jobs.Progress.report = slow
tasks.rescore(sys.argv[1])
"""


@pytest.fixture
def proposed(project, send):
    """400 records scored by the cold start, and a fitted version that scored none of them."""
    send(stream(400))
    call_command("fit-scorer", "--project", project.slug, stdout=StringIO())
    return ScorerVersion.objects.get(scorer__project=project, number=2)


def columns(rows):
    return sorted(rows.values_list("record_id", "raw", "score", "tier", "action", "held_out"))


def test_a_window_is_scored_beside_the_records_own_scores(project, api, proposed):
    before = list(InferenceRecord.objects.order_by("id").values())
    job = api.post(f"{VERSIONS}/2/scores").json()
    assert tasks.rescore(job["id"]) == "done"
    told = api.get(f"jobs/{job['id']}").json()
    n_held_out = InferenceRecord.objects.filter(held_out=True).count()
    assert told["result"] == {
        "scorer": "default", "version": 2, "records": 400, "held_out": n_held_out,
    }  # fmt: skip
    assert (told["done"], told["total"]) == (400, 400)
    assert list(InferenceRecord.objects.order_by("id").values()) == before
    assert RecordScore.objects.filter(held_out=True).count() == n_held_out > 0
    found = record_scores.scores_of(project, proposed, [row["id"] for row in before])
    assert found.found.all()
    assert np.isnan(found.p_violation).all()
    assert np.unique(found.score).size > 100


def test_a_later_score_is_what_ingest_gives(project, api, send, proposed):
    """The same record, sent to a project that has this version in use from the start."""
    api.post(f"{VERSIONS}/2/release")
    fresh = stream(50, first=1000, seed=9)
    send(fresh)
    rescored = rescoring.Rescoring.objects.create(project=project, scorer_version=proposed)
    rescoring.run(_operator(project), rescoring_id=rescored.pk, progress=_Silent())
    mine = InferenceRecord.objects.filter(scorer_version=proposed)
    own = sorted(mine.values_list("id", "raw", "score", "tier", "action", "held_out"))
    assert len(own) == 50
    assert columns(RecordScore.objects.filter(record_id__in=[row[0] for row in own])) == own


def test_invariants_look_at_what_was_said(project, api, send):
    send([{**record, "output": "card 4111 1111 1111 1111"} for record in stream(30)])
    api.post("scorers/default/invariants", {"invariants": "starter"})
    assert tasks.rescore(api.post(f"{VERSIONS}/2/scores").json()["id"]) == "done"
    assert set(RecordScore.objects.values_list("tier", flat=True)) - {0}


def test_a_killed_worker_loses_a_chunk_at_most_and_another_goes_on(project, api, proposed):
    job_id = api.post(f"{VERSIONS}/2/scores").json()["id"]
    with others_ended():
        worker = _worker(job_id)
        _wait(lambda: Rescoring.objects.get().n_scored >= 50)
        os.kill(worker.pid, signal.SIGKILL)
        worker.wait()
    left = Rescoring.objects.get()
    assert 50 <= left.n_scored < 400
    assert RecordScore.objects.count() == left.n_scored
    kept = columns(RecordScore.objects.all())
    Job.objects.update(due_at="2026-01-01T00:00Z")  # its lease runs out
    jobs.hand_over(lambda task, given: None)
    assert tasks.rescore(job_id) == "done"
    done = Rescoring.objects.get()
    assert (done.n_scored, RecordScore.objects.count()) == (400, 400)
    assert set(kept) <= set(columns(RecordScore.objects.all()))
    Job.objects.update(status="queued")  # delivered once more
    assert tasks.rescore(job_id) == "done"
    assert RecordScore.objects.count() == 400


def test_a_window_and_a_model_narrow_what_is_scored(project, api, send, proposed):
    rows = list(InferenceRecord.objects.order_by("id"))
    body = {
        "since": rows[100].occurred_at.isoformat(),
        "until": rows[250].occurred_at.isoformat(),
        "model": "assistant",
    }
    assert tasks.rescore(api.post(f"{VERSIONS}/2/scores", body).json()["id"]) == "done"
    scored = set(RecordScore.objects.values_list("record_id", flat=True))
    assert scored == {row.pk for row in rows[100:250]}
    wrong = api.post(f"{VERSIONS}/2/scores", {"model": "nobody's"})
    assert (wrong.status_code, wrong.json()["errors"][0]["path"]) == (400, "model")
    upside_down = api.post(f"{VERSIONS}/2/scores", {**body, "since": body["until"]})
    assert upside_down.status_code == 400


def test_erased_and_closed_records_are_not_scored(project, api, proposed):
    ids = list(InferenceRecord.objects.order_by("id").values_list("pk", flat=True))
    InferenceRecord.objects.filter(pk=ids[0]).update(erased_at="2026-01-01T00:00Z")
    InferenceRecord.objects.filter(pk=ids[1]).update(may_review=False)
    rescoring.score_records(project, proposed, ids[:10])
    rescoring.score_records(project, proposed, ids[:10])  # twice is once
    assert set(RecordScore.objects.values_list("record_id", flat=True)) == set(ids[2:10])
    found = record_scores.scores_of(project, proposed, ids[:3])
    assert found.found.tolist() == [False, False, True]


def test_a_foreign_key_scores_nothing(api, proposed):
    stranger = make_api(make_project())
    assert stranger.post(f"{VERSIONS}/2/scores").status_code == 404
    reader = make_api(proposed.scorer.project, scopes=["records:read"])
    assert reader.post(f"{VERSIONS}/2/scores").status_code == 403


def test_two_workers_do_not_count_a_chunk_twice(project, proposed):
    asked = Rescoring.objects.create(project=project, scorer_version=proposed)
    one, other = Rescoring.objects.get(pk=asked.pk), Rescoring.objects.get(pk=asked.pk)
    rows = rescoring._next_chunk(rescoring._window(one), one)
    rescoring._score_chunk(one, rows)
    rescoring._score_chunk(other, rows)  # whose lease it is, the next report tells
    assert (other.after, other.n_scored, other.n_held_out) == (
        one.after, one.n_scored, one.n_held_out,
    )  # fmt: skip
    assert Rescoring.objects.get(pk=asked.pk).n_scored == len(rows)


def test_a_long_window_is_scored_in_turns_that_use_up_no_tries(project, api, proposed, monkeypatch):
    monkeypatch.setattr(rescoring, "CHUNK", 50)
    monkeypatch.setattr(rescoring, "CHUNK_WITH_CONTENT", 50)
    monkeypatch.setattr(rescoring, "TURN_SECONDS", 0.0)  # over after one chunk
    job = Job.objects.get(pk=api.post(f"{VERSIONS}/2/scores").json()["id"])
    for turn in range(1, 9):
        assert tasks.rescore(str(job.pk)) == "handed back"
        job.refresh_from_db()
        assert (job.status, job.done, job.error) == ("queued", 50 * turn, "")
    assert tasks.rescore(str(job.pk)) == "done"
    job.refresh_from_db()
    assert (job.status, job.result["records"]) == ("done", 400)
    assert RecordScore.objects.count() == 400
    assert set(job.ledger.values_list("outcome", flat=True)) == {"paused", "done"}


def test_a_turn_ends_before_the_tasks_soft_limit():
    assert app.conf.task_soft_time_limit >= 2 * rescoring.TURN_SECONDS


class _Silent:
    def report(self, done, total=None):
        pass


def _operator(project):
    return system_actor(project)


def _worker(job_id):
    url = os.environ["DATABASE_URL"]
    head, _, options = url.partition("?")
    name = connection.settings_dict["NAME"]
    env = {
        **os.environ,
        "DATABASE_URL": f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{options}" if options else ""),
        "DJANGO_SETTINGS_MODULE": "oversight.settings",
        "OVERSIGHT_DATA": str(settings.DATA_DIR),
        "OVERSIGHT_SECRET_KEY": settings.SECRET_KEY,
    }
    return subprocess.Popen([sys.executable, "-c", SLOW_WORKER, job_id], env=env)


def _wait(condition, seconds=PATIENCE_SECONDS):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
