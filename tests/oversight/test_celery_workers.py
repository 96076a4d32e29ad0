"""Real Celery workers: what runs outlives its broker connection, short ticks wait for nothing."""

import os
import subprocess
import sys
from contextlib import suppress

import psutil
import pytest
from django.conf import settings
from django.db import connection
from installation import ROOT, wait_for

from oversight.celery import app, ticks
from oversight.jobs import services as jobs
from oversight.jobs.models import Job, Tick
from tests.sessions import others_ended

RELAY = "oversight.jobs.ticks.relay"
TICKS = {
    "oversight.audit.ticks.sequence",
    RELAY,
    "review.ticks.reconcile",
    "scoring.ticks.prepare_partitions",
}
WORKER = """
import sys, time
from pathlib import Path
import django
django.setup()
from oversight import celery
from oversight.jobs import services as jobs

@celery.app.task(name="test.work_until_told")
def work_until_told(job_id):
    def work(job, progress):
        done = 0
        while not Path(job.arguments["file"]).exists():
            done += 1
            progress.report(done)
            time.sleep(0.05)
        return {}
    return jobs.run(job_id, work)

alone = ["--concurrency", "1", "--without-mingle", "--without-gossip", "--loglevel", "WARNING"]
getattr(celery, sys.argv[1]).worker_main(["worker", "--hostname", sys.argv[1] + "@%h", *alone])
"""
LIGHT = """
from oversight import celery
celery.ticks.loader.init_worker()
celery.ticks.finalize()
import sys
print(*(name for name in celery.ticks.tasks if not name.startswith("celery.")))
print(*sorted({"scipy", "sklearn", "oversight.urls"} & set(sys.modules)))
"""


def environment():
    url = os.environ["DATABASE_URL"]
    head, _, options = url.partition("?")
    name = connection.settings_dict["NAME"]
    return {
        **os.environ,
        "DATABASE_URL": f"{head.rsplit('/', 1)[0]}/{name}" + (f"?{options}" if options else ""),
        "DJANGO_SETTINGS_MODULE": "oversight.settings",
        "OVERSIGHT_DATA": str(settings.DATA_DIR),
        "OVERSIGHT_SECRET_KEY": settings.SECRET_KEY,
    }


@pytest.fixture
def broker():
    with app.connection_for_write() as connected:
        client = connected.default_channel.client
        client.flushdb()
        yield client
        client.flushdb()


@pytest.fixture
def start(broker, transactional_db, tmp_path):
    """Starts a worker of an application by its name."""
    started = []

    def start(application):
        with (tmp_path / f"{application}.log").open("w") as log:
            command = [sys.executable, "-c", WORKER, application]
            child = subprocess.Popen(command, env=environment(), cwd=ROOT, stdout=log, stderr=log)
        started.append(child)

    with others_ended():
        yield start
        pools = [
            process
            for child in started
            for process in psutil.Process(child.pid).children(recursive=True)
        ]
        for process in (*started, *pools):
            with suppress(psutil.NoSuchProcess):  # it may end with its parent
                process.kill()
        for child in started:
            child.wait()
    for log in tmp_path.glob("*.log"):
        print(f"--- {log.name}\n{log.read_text()[-2000:]}")


@pytest.fixture
def work(world, tmp_path):
    """A job in a worker's hands, which ends once the file is there."""

    class Work:
        file = tmp_path / "end"

        def begin(self):
            self.job = jobs.enqueue(
                world.actor("lead"), "test.work_until_told", file=str(self.file)
            )
            jobs.hand_over(lambda task, job_id: app.send_task(task, args=[job_id]))
            self.goes_on()

        def goes_on(self):
            seen = Job.objects.get(pk=self.job.pk).done
            wait_for(lambda: Job.objects.get(pk=self.job.pk).done > seen + 5, what="progress")

        def end(self):
            self.file.touch()
            wait_for(lambda: Job.objects.get(pk=self.job.pk).status == "done", what="the end")
            assert list(self.job.ledger.values_list("number", "outcome")) == [(1, "done")]

    return Work()


def relayed():
    return sum(Tick.objects.filter(task=RELAY).values_list("n_runs", flat=True))


def test_work_outlives_its_workers_connection_to_the_broker(broker, start, work):
    start("app")
    work.begin()
    for kind in ("normal", "pubsub"):
        broker.execute_command("CLIENT", "KILL", "TYPE", kind, "SKIPME", "yes")
    work.goes_on()
    work.end()
    app.send_task(RELAY)
    wait_for(relayed, what="the worker to take tasks again")


def test_ticks_run_while_the_workers_are_busy(start, work):
    start("app")
    work.begin()
    start("ticks")
    for _ in range(3):
        seen = relayed()
        app.send_task(RELAY)
        wait_for(lambda seen=seen: relayed() > seen, what="the relay")
    work.goes_on()
    work.end()


def test_a_worker_of_the_ticks_leaves_jobs_to_the_others(start, work, world):
    start("ticks")
    jobs.enqueue(world.actor("lead"), "test.work_until_told", file=str(work.file))
    app.send_task(RELAY)  # hands it over
    wait_for(relayed, what="the relay")
    app.send_task(RELAY)
    wait_for(lambda: relayed() == 2, what="the relay again")
    assert Job.objects.get().attempts == 0
    work.file.touch()
    start("app")
    wait_for(lambda: Job.objects.get().status == "done", what="the job")


def test_one_worker_alone_takes_both_queues(start, work):
    assert set(app.amqp.queues.consume_from) == {"oversight", "ticks"}
    start("app")
    app.send_task(RELAY)
    wait_for(relayed, what="the relay")
    work.begin()
    work.end()


def test_the_schedule_names_known_tasks_and_short_ones_have_their_queue():
    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert scheduled <= set(app.tasks)
    router = ticks.amqp.router
    routed = {name for name in scheduled if router.route({}, name)["queue"].name == "ticks"}
    assert routed == TICKS


def test_beat_and_ticks_know_short_tasks_alone_and_import_nothing_heavy():
    told = subprocess.run(
        [sys.executable, "-c", LIGHT], cwd=ROOT, capture_output=True, text=True, check=True
    )
    names, heavy = told.stdout.splitlines()
    assert set(names.split()) == TICKS
    assert not heavy
