"""A small client of the API: standard library only, one file to copy.

client = Client("http://127.0.0.1:8000", "ov_…")
for result in client.send(records):
    print(result["status"], result["score"])
"""

import gzip
import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

_RETRIED = {429, 502, 503, 504}


class ApiError(Exception):
    """An answer that is neither success nor a call to come again; `problem` is its body."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status}: {problem.get('detail', problem)}")
        self.status = status
        self.problem = problem


class Client:
    """Speaks for one key; sends again what was not answered.

    Args:
        address: where the server is, without `/api`.
        key: an API key.
        attempts: how often a request is tried while the server is away or asks to wait. Sending
            the same records twice is harmless: they are known by their identity.
        timeout_seconds: of one try.
    """

    def __init__(
        self, address: str, key: str, *, attempts: int = 6, timeout_seconds: float = 30.0
    ) -> None:
        self.base = address.rstrip("/") + "/api/v1/"
        self.key = key
        self.attempts = attempts
        self.timeout_seconds = timeout_seconds

    def send(self, records: Iterable[dict[str, Any]], *, batch: int = 500) -> Iterator[Any]:
        """Send records in batches; yields one result per record, in order.

        A rejected record is a result with `errors`, not an exception.
        """
        waiting = iter(records)
        while chunk := list(islice(waiting, batch)):
            body = b"\n".join(json.dumps(record).encode() for record in chunk)
            answer = self.request(
                "POST",
                "records",
                gzip.compress(body, 1),
                {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"},
                accept=(200, 422),
            )
            yield from answer["results"]

    def get(self, path: str) -> Any:
        return self.request("GET", path)

    def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON body; None where the answer has none."""
        data = json.dumps({} if body is None else body).encode()
        return self.request("POST", path, data, {"Content-Type": "application/json"})

    def wait(self, job: dict[str, Any], *, seconds: float = 600.0) -> Any:
        """Wait for a job to end and return its result.

        Raises:
            ApiError: it failed or was cancelled.
            TimeoutError: it did not end in time.
        """
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            told = self.get(f"jobs/{job['id']}")
            if told["status"] == "done":
                return told["result"]
            if told["status"] in ("failed", "cancelled"):
                raise ApiError(500, {"detail": told["error"] or told["status"]})
            time.sleep(0.3)
        raise TimeoutError(f"job {job['id']} did not end in {seconds} s")

    def request(
        self,
        method: str,
        path: str,
        data: bytes | None = None,
        headers: dict[str, str] | None = None,
        *,
        accept: tuple[int, ...] = (200, 201, 202, 204),
    ) -> Any:
        """One request, tried again while the server is away or asks to wait.

        Raises:
            ApiError: any other answer than those in `accept`.
        """
        request = urllib.request.Request(  # noqa: S310  the address is the caller's own
            self.base + path,
            data=data,
            method=method,
            headers={"Authorization": f"Bearer {self.key}", **(headers or {})},
        )
        for attempt in range(1, self.attempts + 1):
            try:
                with urllib.request.urlopen(request, timeout=self.timeout_seconds) as answer:  # noqa: S310
                    return _body(answer.read())
            except urllib.error.HTTPError as error:
                body = error.read()
                if error.code in accept:
                    return _body(body)
                if error.code not in _RETRIED or attempt == self.attempts:
                    raise ApiError(error.code, _problem(body)) from None
                pause = float(error.headers.get("Retry-After") or attempt)
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if attempt == self.attempts:
                    raise
                pause = float(attempt)
            time.sleep(pause)
        raise AssertionError("unreachable")


def _body(data: bytes) -> Any:
    return json.loads(data) if data else None


def _problem(data: bytes) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"detail": data[:200].decode("utf-8", "replace")}
