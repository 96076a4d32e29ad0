"""The web server as clients meet it: real processes, real sockets, clients that misbehave."""

import hashlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from oversight.web import listener as listening
from oversight.web.channel import Channel
from oversight.web.limits import Limits
from oversight.web.server import Server
from tests.oversight.echo_server import application

ROOT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0
SILENT_SECONDS = 4.0  # longer than a busy machine keeps a client of ours waiting


@contextmanager
def serving(folder, *, workers=1, **limits):
    """A server with these limits; yields its process and port."""
    ready = folder / "port"
    with (folder / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [
                *(sys.executable, str(Path(__file__).with_name("echo_server.py"))),
                *(str(ready), str(workers), json.dumps(limits)),
            ],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(ready.exists)
        yield server, int(ready.read_text())
    finally:
        children = psutil.Process(server.pid).children() if server.poll() is None else []
        server.kill()
        server.wait()
        psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        print((folder / "server.log").read_text())


def wait_for(condition):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def port(tmp_path_factory):
    with serving(
        tmp_path_factory.mktemp("web"),
        body_bytes=1 << 20,
        silent_seconds=SILENT_SECONDS,
        threads=2,
    ) as (_, port):
        yield port


def ask(port, path="/", *, method="GET", body=None, headers=(), timeout=PATIENCE_SECONDS):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request(method, path, body=body, headers=dict(headers))
        answer = connection.getresponse()
        return answer.status, dict(answer.getheaders()), answer.read()
    finally:
        connection.close()


def told(port, *args, **kwargs):
    status, _, body = ask(port, *args, **kwargs)
    assert status == 200
    return json.loads(body)


def open_socket(port, data=b"", timeout=PATIENCE_SECONDS):
    client = socket.create_connection(("127.0.0.1", port), timeout=timeout)
    client.sendall(data)
    return client


def read_all(client):
    parts = []
    while part := client.recv(65536):
        parts.append(part)
    return b"".join(parts)


STALLED = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nonly the beginning"


def test_a_chunked_body_arrives_whole(port):
    parts = [os.urandom(size) for size in (1, 70_000, 3, 200_000)]
    whole = b"".join(parts)
    seen = told(port, method="POST", body=iter(parts))  # of no known length: sent in chunks
    assert seen["sha256"] == hashlib.sha256(whole).hexdigest()
    assert seen["CONTENT_LENGTH"] == str(len(whole))


def test_a_compressed_body_arrives_as_it_was_sent(port):
    body = os.urandom(5_000)
    seen = told(port, method="POST", body=body, headers={"Content-Encoding": "gzip"})
    assert seen["sha256"] == hashlib.sha256(body).hexdigest()


def test_a_truncated_body_never_becomes_a_request(port):
    with open_socket(port, STALLED) as client:
        client.shutdown(socket.SHUT_WR)
        assert read_all(client) == b""


@pytest.mark.parametrize("make", [b"".join, iter], ids=["announced", "chunked"])
def test_a_body_that_is_too_large_is_refused_and_the_refusal_can_be_read(port, make):
    # More than any socket buffer: a client that gets no chance to send it all must not see a reset.
    status, headers, answer = ask(port, method="POST", body=make([b"x" * 65536] * 400))
    assert status == 413
    assert headers["Content-Type"] == "application/problem+json"
    assert json.loads(answer)["code"] == "too_large"


def test_what_is_no_http_gets_a_problem(port):
    with open_socket(port, b"GET / HTTP/1.1\r\nHost: x\r\nbad header\r\n\r\n") as client:
        answer = read_all(client)
    assert b" 400 Bad Request" in answer.split(b"\r\n", 1)[0]
    assert b"application/problem+json" in answer


def test_stalled_requests_hold_nobody_up_and_are_ended(port):
    with ExitStack() as stack:
        stalled = [stack.enter_context(open_socket(port, STALLED)) for _ in range(200)]
        assert told(port, method="POST", body=b"quick")["body_bytes"] == 5
        answers = [read_all(client) for client in stalled]
    assert {answer.split(b"\r\n", 1)[0] for answer in answers} == {b"HTTP/1.1 408 Request Timeout"}


def test_a_trickling_request_is_ended(tmp_path):
    with (
        serving(tmp_path, head_seconds=1.0, bytes_per_second=1e9) as (_, port),
        open_socket(port, STALLED, timeout=0.1) as client,
    ):
        for _ in range(600):
            client.sendall(b".")
            try:
                answer = client.recv(65536)
            except TimeoutError:
                continue
            break
    assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_client_that_does_not_read_frees_the_thread(port):
    with ExitStack() as stack:
        for _ in range(2):  # as many as there are threads
            client = stack.enter_context(open_socket(port))
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.sendall(b"GET /?bytes=500000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        assert told(port)["body_bytes"] == 0


class ReviewedAtTheWorstMoment(Channel):
    """The main loop looks at it just when the answer is there and nothing of it has been sent."""

    def _flush_some(self, do_close=True):
        self.review(time.monotonic())
        return super()._flush_some(do_close)


def test_a_client_that_waited_long_for_its_answer_was_not_silent():
    limits = Limits(silent_seconds=0.2, idle_seconds=0.2)
    with listening.listen("127.0.0.1", 0) as listener:
        server = Server(application, listener, limits)
        server.channel_class = ReviewedAtTheWorstMoment
        port = listener.getsockname()[1]
        serving = threading.Thread(target=server.serve)
        serving.start()
        try:
            assert told(port, "/?sleep=0.6")["body_bytes"] == 0
        finally:
            server.stop()
            serving.join(PATIENCE_SECONDS)
    assert not serving.is_alive()


def test_processes_share_the_connections(tmp_path):
    with serving(tmp_path, workers=2, yield_seconds=5.0) as (_, port), ExitStack() as stack:
        pids = Counter()
        for _ in range(6):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
            stack.callback(connection.close)
            connection.request("GET", "/")
            pids[json.loads(connection.getresponse().read())["pid"]] += 1
    assert sorted(pids.values()) == [3, 3]


def test_a_process_that_stands_still_keeps_no_client_waiting_for_long(tmp_path):
    with serving(tmp_path, workers=2) as (server, port), ExitStack() as stack:
        still, _ = psutil.Process(server.pid).children()
        still.suspend()
        stack.callback(still.resume)
        for _ in range(4):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
            stack.callback(connection.close)
            connection.request("GET", "/")
            assert json.loads(connection.getresponse().read())["pid"] != still.pid


def test_header_names_with_underscores_are_dropped(port):
    assert told(port, headers={"X_Api_Key": "sneaked in"})["underscored"] is None


FORWARDED = {
    "X-Forwarded-For": "203.0.113.9",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "oversight.example",
}


def test_forwarded_headers_of_strangers_are_removed(port):
    seen = told(port, headers=FORWARDED)
    assert seen["REMOTE_ADDR"] == "127.0.0.1"
    assert seen["wsgi.url_scheme"] == "http"
    assert seen["HTTP_HOST"] == f"127.0.0.1:{port}"
    assert seen["HTTP_X_FORWARDED_FOR"] is None
    assert seen["is_forwarded"]  # which is still known
    assert not told(port)["is_forwarded"]


def test_forwarded_headers_of_the_trusted_proxy_count(tmp_path):
    with serving(tmp_path, trusted_proxy="127.0.0.1") as (_, port):
        seen = told(port, headers=FORWARDED)
    assert seen["REMOTE_ADDR"] == "203.0.113.9"
    assert seen["wsgi.url_scheme"] == "https"
    assert seen["HTTP_HOST"] == "oversight.example"


def test_a_request_that_waits_for_a_thread_knows_how_long(tmp_path):
    with serving(tmp_path, threads=1) as (_, port):
        begun = tmp_path / "begun"
        slow = threading.Thread(target=ask, args=(port, f"/?sleep=3&begun={begun}"))
        slow.start()
        wait_for(begun.exists)
        waited = told(port)["waited"]
        slow.join()
    assert waited > 0.3


def test_stopping_finishes_what_has_begun(tmp_path):
    with serving(tmp_path, workers=2) as (server, port):
        answers, begun = [], tmp_path / "begun"
        path = f"/?sleep=5&begun={begun}"
        in_flight = threading.Thread(target=lambda: answers.append(ask(port, path)))
        with open_socket(port, STALLED[:-5]) as arriving:
            in_flight.start()
            wait_for(begun.exists)
            time.sleep(1.0)  # for what is arriving, which cannot tell that it has begun
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            arriving.sendall(b"x" * 987)
            assert read_all(arriving).startswith(b"HTTP/1.1 200 ")
        in_flight.join()
        assert server.wait(PATIENCE_SECONDS) == 0
    status, headers, _ = answers[0]
    assert status == 200
    assert headers["Connection"] == "close"


def test_a_killed_process_is_replaced_and_nobody_is_refused(tmp_path):
    with serving(tmp_path, workers=2) as (server, port):
        first = {child.pid for child in psutil.Process(server.pid).children()}
        for pid in first:
            os.kill(pid, signal.SIGKILL)
        assert told(port)["pid"] not in first
        wait_for(lambda: len(psutil.Process(server.pid).children()) == 2)


def test_a_hung_process_is_replaced(tmp_path):
    with serving(tmp_path, workers=1, hung_seconds=2.0) as (server, port):
        (child,) = psutil.Process(server.pid).children()
        child.suspend()
        assert told(port)["pid"] != child.pid


def test_killing_the_parent_ends_the_children(tmp_path):
    with serving(tmp_path, workers=2) as (server, port):
        children = psutil.Process(server.pid).children()
        server.kill()
        gone, alive = psutil.wait_procs(children, timeout=PATIENCE_SECONDS)
        assert len(gone) == 2
        assert not alive
        with pytest.raises(ConnectionRefusedError):
            open_socket(port)


def web_process(server):
    wait_for(psutil.Process(server.pid).children)
    return psutil.Process(server.pid).children()[0]


def test_a_process_that_stood_still_does_not_blame_its_clients(tmp_path):
    limits = {"silent_seconds": SILENT_SECONDS, "head_seconds": 2 * SILENT_SECONDS}
    with serving(tmp_path, **limits) as (server, port):
        child = web_process(server)
        with open_socket(
            port, b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab"
        ) as client:
            time.sleep(0.3)
            child.suspend()
            time.sleep(2.5 * SILENT_SECONDS)
            child.resume()
            time.sleep(0.5)
            client.sendall(b"cd")
            assert client.recv(4096).startswith(b"HTTP/1.1 200")


def test_a_machine_that_stood_still_kills_no_process(tmp_path):
    with serving(tmp_path, workers=1, hung_seconds=5.0) as (server, port):
        child, parent = web_process(server), psutil.Process(server.pid)
        child.suspend()
        parent.suspend()
        time.sleep(8.0)
        parent.resume()
        time.sleep(0.3)
        child.resume()
        time.sleep(6.0)
        assert ask(port)[0] == 200
        assert web_process(server).pid == child.pid
