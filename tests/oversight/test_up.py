"""`manage.py up`, whole: parts are killed, nothing acknowledged is lost, nothing is left."""

import os
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import psutil
import pytest
from installation import PATIENCE_SECONDS, Installation, wait_for

from oversight.web import listener


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    installation = Installation(tmp_path_factory.mktemp("up") / "data")
    try:
        yield installation
    finally:
        installation.end()
        for log in (installation.data / "logs").glob("*.log"):
            print(f"--- {log.name}\n{log.read_text()[-2000:]}")


@pytest.fixture
def up(running):
    """The installation, running; what a former test has struck is started again."""
    running.first_words = getattr(running, "first_words", None) or running.start()
    running.start()
    assert running.key
    return running


class Sender:
    """Sends records one after the other and remembers which were acknowledged."""

    def __init__(self, installation):
        self.installation = installation
        self._is_sending = True
        self.acknowledged = []
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        while self._is_sending:
            self.act()

    def act(self):
        record = self.installation.record()
        status, answer = self.installation.request("/api/v1/records", {"records": [record]})
        if status == 200 and answer["accepted"] == 1:
            self.acknowledged.append(record)

    def __enter__(self):
        self._thread.start()
        wait_for(lambda: len(self.acknowledged) > 2, what=f"work of {type(self).__name__}")
        return self

    def __exit__(self, *_):
        self._is_sending = False
        self._thread.join()


class Reviewer(Sender):
    """Asks for a look at a record, claims a case, answers it; remembers acknowledged verdicts."""

    def act(self):
        ask = self.installation.request
        status, answer = ask("/api/v1/records", {"records": [self.installation.record()]})
        if status != 200:
            return
        record = answer["results"][0]["id"]
        ask(f"/api/v1/records/{record}/review", {"queue": "default", "reason": "a test"})
        status, claimed = ask("/api/v1/queues/default/claim", {})
        if status != 200:
            return
        status, verdict = ask(
            f"/api/v1/cases/{claimed['case']['id']}/verdicts",
            {"claim_token": claimed["claim"]["token"], "answers": {"violation": False}},
        )
        if status == 201:
            self.acknowledged.append(verdict)


def assert_verdicts_kept(installation, given):
    """Every acknowledged verdict is there once, and no case was answered twice."""
    stored, cursor = [], ""
    while cursor is not None:
        status, page = installation.request(f"/api/v1/verdicts?limit=500&cursor={cursor}")
        assert status == 200
        stored += page["results"]
        cursor = page["next"]
    ids = [verdict["id"] for verdict in stored]
    assert {verdict["id"] for verdict in given} <= set(ids)
    assert len(ids) == len(set(ids)) == len({verdict["case"] for verdict in stored})


def assert_kept(installation, records):
    status, answer = installation.request("/api/v1/records", {"records": records})
    assert status == 200
    assert answer["duplicates"] == len(records)


@pytest.mark.parametrize("name", ["postgres", "valkey", "web", "worker", "ticks", "beat"])
def test_a_killed_part_comes_back_and_keeps_what_was_acknowledged(up, name):
    before = up.parts()
    with Sender(up) as sender, Reviewer(up) as reviewer:
        os.kill(before[name], signal.SIGKILL)
        wait_for(lambda: up.parts().get(name) not in (None, before[name]), what=f"a new {name}")
        wait_for(up.is_ready, what="the site")
        seen = len(sender.acknowledged)
        wait_for(lambda: len(sender.acknowledged) > seen + 2, what="records to be taken again")
        judged = len(reviewer.acknowledged)
        wait_for(lambda: len(reviewer.acknowledged) > judged, what="verdicts to be taken again")
    assert_kept(up, sender.acknowledged)
    assert_verdicts_kept(up, reviewer.acknowledged)
    untouched = {other for other in before if other != name}
    assert all(up.parts()[other] == before[other] for other in untouched)


def test_after_a_kill_of_the_supervisor_nothing_runs_and_a_new_start_has_everything(up):
    with Sender(up) as sender:
        left = up.processes()
        up.up.kill()
        up.up.wait()
        _, alive = psutil.wait_procs(left, timeout=PATIENCE_SECONDS)
    assert not alive
    assert "First login" not in up.start()
    assert_kept(up, sender.acknowledged)


def test_a_start_right_after_a_kill_of_everything_recovers(up):
    with Sender(up) as sender:
        for process in up.processes():
            with suppress(psutil.NoSuchProcess):  # it may end with one that was killed before it
                process.kill()
        up.up.wait()
    up.start()
    assert_kept(up, sender.acknowledged)


def test_a_second_start_says_who_runs_it(up):
    second = subprocess.run(up.up_command, env=up.env, capture_output=True, text=True)
    assert second.returncode != 0
    assert f"pid {up.up.pid} at http://127.0.0.1:{up.port}/" in second.stderr
    assert up.is_ready()


def test_requests_come_before_work_in_the_background(up):
    nice = {name: psutil.Process(pid).nice() for name, pid in up.parts().items()}
    assert nice["worker"] == nice["ticks"] > nice["web"] == nice["postgres"]


def test_a_stop_is_clean_and_leaves_nothing(up):
    before = up.processes()
    assert {process.pid for process in before} > set(up.parts().values())
    assert up.stop(signal.SIGINT) == 0
    assert not up.processes()
    log = (up.data / "logs" / "postgres.log").read_text()
    assert log.rstrip().endswith("database system is shut down")


def test_the_first_login_is_shown_once_and_opens_the_door(up):
    (line,) = [line for line in up.first_words.splitlines() if "First login" in line]
    email, password = line.split()[-2:]
    assert login_status(up, email, password + "x") == 200  # the form again
    assert login_status(up, email, password) == 302


def login_status(installation, email, password):
    jar = installation.data.with_name("cookies")
    url = f"http://127.0.0.1:{installation.port}/accounts/login/"
    curl = ["curl", "-s", "-o", "/dev/null", "-c", str(jar), "-b", str(jar)]
    subprocess.run([*curl, url], check=True)
    token = next(row.split()[-1] for row in jar.read_text().splitlines() if "csrftoken" in row)
    form = {"csrfmiddlewaretoken": token, "login": email, "password": password}
    fields = [
        part for name, value in form.items() for part in ("--data-urlencode", f"{name}={value}")
    ]
    told = subprocess.run(
        [*curl, "-w", "%{http_code}", *fields, url], check=True, capture_output=True, text=True
    )
    return int(told.stdout)


def test_a_taken_port_is_named(tmp_path):
    other = Installation(tmp_path / "data")
    with listener.listen("127.0.0.1", other.port):
        second = subprocess.run(other.up_command, env=other.env, capture_output=True, text=True)
    other.end()
    assert second.returncode != 0
    assert f"port {other.port} of 127.0.0.1 is taken" in second.stderr


def test_a_frozen_database_is_answered_by_503_and_recovers_alone(up):
    frozen = [process for process in up.processes() if process.name() == "postgres"]
    for process in frozen:
        process.suspend()
    try:
        with ThreadPoolExecutor(60) as clients:
            asked = [clients.submit(up.request, "/api/v1/records") for _ in range(60)]
            answers = [one.result() for one in asked]
        health = up.request("/healthz")
        page = up.request("/readyz")
    finally:
        for process in frozen:
            process.resume()
    assert [answer for answer in answers if answer[0] != 503] == []
    assert health[0] == 200, health
    assert page[0] == 503, page
    assert page[1]["status"] == 503
    wait_for(up.is_ready, what="the site")
    assert up.request("/api/v1/records")[0] == 200
