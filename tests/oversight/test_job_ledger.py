"""Jobs: every try is written down, a dead letter is seen and can be replayed."""

import threading
import time
from datetime import timedelta

import pytest
from celery import Celery
from django.db import connection
from django.utils import timezone

from oversight.jobs import lease
from oversight.jobs import services as jobs
from oversight.jobs.models import Job, Tick
from oversight.jobs.ticking import RecordedTask
from oversight.lib import errors
from tests.sessions import PATIENCE_SECONDS


class Broken(Exception):
    pass


def break_down(job, progress):
    raise Broken("no more disk")


def refuse(job, progress):
    raise errors.InvalidInput("nothing to export")


def succeed(job, progress):
    progress.report(1, 1)
    return {"rows": 7}


@pytest.fixture
def job(world):
    return jobs.enqueue(world.actor("lead"), "some.task")


def hand_over():
    """As the relay does when every lease has run out; returns what reached the broker."""
    Job.objects.filter(status__in=["queued", "running"]).update(
        due_at=timezone.now() - timedelta(seconds=1)
    )
    sent = []
    jobs.hand_over(lambda task, job_id: sent.append(job_id))
    return sent


def outcomes(job):
    return list(job.ledger.order_by("number").values_list("number", "outcome"))


class TestLedger:
    def test_a_job_that_breaks_down_is_tried_five_times_and_then_lies_dead(self, job):
        for _ in range(5):
            assert hand_over() == [str(job.pk)]
            with pytest.raises(Broken):
                jobs.run(job.pk, break_down)
        assert hand_over() == []
        job.refresh_from_db()
        assert (job.status, job.attempts) == ("failed", 5)
        assert job.error == "Broken: no more disk"
        assert outcomes(job) == [(n, "error") for n in range(1, 6)]

    def test_a_worker_that_died_is_written_down_as_lost(self, job):
        hand_over()
        with jobs._lease(job.pk):
            pass  # killed: neither result nor error
        assert outcomes(job) == [(1, "")]
        assert hand_over() == [str(job.pk)]
        assert outcomes(job) == [(1, "lost")]
        assert jobs.run(job.pk, succeed) == "done"
        assert outcomes(job) == [(1, "lost"), (2, "done")]

    def test_a_refusal_of_the_application_is_final(self, job):
        hand_over()
        assert jobs.run(job.pk, refuse) == "failed"
        assert hand_over() == []
        assert outcomes(job) == [(1, "refused")]

    def test_work_that_stops_at_its_mark_is_queued_again_and_uses_up_no_try(self, job):
        for _ in range(7):
            assert jobs.run(job.pk, lambda job, progress: None) == "handed back"
            assert jobs.hand_over(lambda task, job_id: None) == 1  # due at once
        for _ in range(5):
            with pytest.raises(Broken):
                jobs.run(job.pk, break_down)
            hand_over()
        job.refresh_from_db()
        assert (job.status, job.attempts) == ("failed", 12)
        tries = [outcome for _, outcome in outcomes(job)]
        assert tries == ["paused"] * 7 + ["error"] * 5

    def test_work_that_goes_on_well_after_an_error_tells_it_no_more(self, job):
        with pytest.raises(Broken):
            jobs.run(job.pk, break_down)
        hand_over()
        jobs.run(job.pk, lambda job, progress: None)
        job.refresh_from_db()
        assert (job.status, job.error) == ("queued", "")

    def test_a_second_delivery_leaves_no_trace(self, job):
        hand_over()
        assert jobs.run(job.pk, succeed) == "done"
        assert jobs.run(job.pk, break_down) == "not due"
        assert outcomes(job) == [(1, "done")]


class TestLostLease:
    """The worker of the first try finds that the job is queued again, for the second."""

    @pytest.fixture(params=["its lease ran out", "cancelled and replayed"])
    def lose(self, request, world):
        def lose(job):
            if request.param == "its lease ran out":
                hand_over()
            else:
                jobs.cancel(world.actor("lead"), job)
                jobs.replay(world.actor("lead"), job)

        return lose

    def test_it_stops_and_the_job_is_done_by_the_next(self, job, lose):
        def work(job, progress):
            lose(job)
            progress.report(1)
            raise AssertionError("went on without a lease")

        assert jobs.run(job.pk, work) == "lost"
        job.refresh_from_db()
        assert (job.status, job.error, job.finished_at) == ("queued", "", None)
        assert hand_over() == [str(job.pk)]
        assert jobs.run(job.pk, succeed) == "done"
        assert outcomes(job) == [(1, "lost"), (2, "done")]

    @pytest.mark.parametrize("end", [refuse, break_down, lambda job, progress: None])
    def test_whatever_else_ends_it_says_nothing_of_the_job(self, job, lose, end):
        def work(job, progress):
            lose(job)
            return end(job, progress)

        if end is break_down:
            with pytest.raises(Broken):
                jobs.run(job.pk, work)
        else:
            jobs.run(job.pk, work)
        job.refresh_from_db()
        assert (job.status, job.error, job.finished_at) == ("queued", "", None)
        assert jobs.run(job.pk, succeed) == "done"

    def test_what_it_has_done_all_the_same_is_done(self, job, lose):
        def work(job, progress):
            lose(job)
            return {"rows": 7}

        assert jobs.run(job.pk, work) == "done"
        assert jobs.run(job.pk, break_down) == "not due"
        job.refresh_from_db()
        assert (job.status, job.result) == ("done", {"rows": 7})

    def test_a_cancelled_job_stays_cancelled(self, world, job):
        def work(job, progress):
            jobs.cancel(world.actor("lead"), job)
            progress.report(1)

        assert jobs.run(job.pk, work) == "lost"
        assert hand_over() == []
        job.refresh_from_db()
        assert job.status == "cancelled"


class TestCancel:
    def test_only_who_asked_or_an_owner_cancels(self, world, job):
        page = f"/p/{world.slug}/jobs/{job.pk}/cancel"
        assert world.client("reviewer").post(page).status_code == 403
        assert world.api("datasets:write")("delete", f"jobs/{job.pk}").status_code == 403
        with pytest.raises(errors.NotAllowed):
            jobs.cancel(world.actor("reviewer"), job)
        job.refresh_from_db()
        assert job.status == "queued"
        assert world.client("lead").post(page).status_code == 302
        job.refresh_from_db()
        assert job.status == "cancelled"
        assert world.client("lead").post(page).status_code == 409

    def test_the_api_cancels_for_a_key_that_owns(self, world, job):
        assert world.api("admin")("delete", f"jobs/{job.pk}").status_code == 204
        job.refresh_from_db()
        assert job.status == "cancelled"


@pytest.mark.django_db(transaction=True)
def test_a_lease_is_kept_while_one_long_step_works(world, monkeypatch):
    monkeypatch.setattr(lease, "EVERY_SECONDS", 0.05)
    job = jobs.enqueue(world.actor("lead"), "some.task")
    hand_over()

    def work_long(job, progress):
        Job.objects.filter(pk=job.pk).update(due_at=timezone.now() - timedelta(seconds=1))
        deadline = time.monotonic() + PATIENCE_SECONDS
        while Job.objects.get(pk=job.pk).due_at < timezone.now() + timedelta(seconds=60):
            assert time.monotonic() < deadline, "nobody renewed the lease"
            time.sleep(0.02)
        return {}

    assert jobs.run(job.pk, work_long) == "done"
    assert outcomes(job) == [(1, "done")]


@pytest.mark.django_db(transaction=True)
def test_a_lease_is_kept_over_a_lost_connection(monkeypatch):
    monkeypatch.setattr(lease, "EVERY_SECONDS", 0.02)
    renewals, is_kept = [], threading.Event()

    def renew():
        renewals.append(1)
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_terminate_backend(pg_backend_pid())" * (len(renewals) == 1))
            cursor.execute("SELECT 1")
        is_kept.set()
        return True

    with lease.kept(renew):
        assert is_kept.wait(PATIENCE_SECONDS), "no renewal came through after the first"


class TestReplay:
    @pytest.fixture
    def dead(self, job):
        hand_over()
        jobs.run(job.pk, refuse)
        return job

    def path(self, world, job):
        return f"/p/{world.slug}/jobs/{job.pk}"

    def test_a_dead_letter_is_seen_with_its_tries_and_replayed_by_who_asked(self, world, dead):
        lead = world.client("lead")
        page = lead.get(self.path(world, dead)).content.decode()
        assert "refused: nothing to export" in page
        assert world.client("reviewer").post(self.path(world, dead) + "/replay").status_code == 403
        assert lead.post(self.path(world, dead) + "/replay").status_code == 302
        assert hand_over() == [str(dead.pk)]
        assert jobs.run(dead.pk, succeed) == "done"
        dead.refresh_from_db()
        assert (dead.status, dead.result, dead.error) == ("done", {"rows": 7}, "")
        assert outcomes(dead) == [(1, "refused"), (2, "done")]

    def test_a_replay_allows_as_many_tries_again(self, world, job):
        Job.objects.filter(pk=job.pk).update(status="failed", attempts=5)
        job.refresh_from_db()
        jobs.replay(world.actor("owner"), job)
        job.refresh_from_db()
        assert (job.status, job.attempts_allowed) == ("queued", 10)

    def test_what_went_well_or_still_runs_is_not_replayed(self, world, job):
        with pytest.raises(errors.Conflict):
            jobs.replay(world.actor("owner"), job)

    def test_the_api_replays_too(self, world, dead):
        assert world.api("datasets:write")("post", f"jobs/{dead.pk}/replay").status_code == 403
        admin = world.api("admin")
        answer = admin("post", f"jobs/{dead.pk}/replay")
        assert answer.status_code == 202
        assert answer.json()["status"] == "queued"
        assert admin("post", f"jobs/{dead.pk}/replay").status_code == 409


class TestTicks:
    @pytest.fixture
    def app(self):
        app = Celery("test", task_cls=RecordedTask, set_as_current=False)
        app.conf.update(task_always_eager=True, task_store_eager_result=False)
        return app

    def test_runs_and_failures_of_a_scheduled_task_are_counted(self, db, app):
        @app.task(name="test.tick")
        def tick(fails):
            if fails:
                raise Broken("for a while")
            return {"drawn": 3}

        tick.apply(args=[False])
        tick.apply(args=[True])
        row = Tick.objects.get(task="test.tick")
        assert (row.n_runs, row.n_failures) == (2, 1)
        assert row.error == "Broken: for a while"
        assert row.result == {"drawn": 3}
        assert row.succeeded_at < row.failed_at

    def test_what_is_no_json_is_counted_all_the_same(self, db, app):
        @app.task(name="test.odd")
        def odd():
            return object()

        odd.apply()
        assert Tick.objects.get(task="test.odd").result is None
