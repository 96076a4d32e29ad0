"""Run by test_web_server.py: our web server over an application that tells what reached it."""

import hashlib
import json
import os
import sys
import time
from pathlib import Path
from urllib.parse import parse_qs

from oversight.web import listener as listening
from oversight.web import prefork
from oversight.web.limits import Limits

_TOLD = ("CONTENT_LENGTH", "REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "HTTP_X_FORWARDED_FOR")


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    body = environ["wsgi.input"].read()
    for path in query.get("begun", []):
        Path(path).touch()
    time.sleep(float(query.get("sleep", ["0"])[0]))
    size = int(query.get("bytes", ["0"])[0])
    if size:
        start_response("200 OK", [("Content-Type", "application/octet-stream")])
        return (b"x" * 65536 for _ in range(size // 65536))
    told = {name: environ.get(name) for name in _TOLD} | {
        "body_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "underscored": environ.get("HTTP_X_API_KEY"),
        "is_forwarded": environ["oversight.is_forwarded"],
        "waited": time.monotonic() - environ["oversight.received_at"],
        "pid": os.getpid(),
    }
    answer = json.dumps(told).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [answer]


def main(ready: Path, workers: int, options: dict[str, object]) -> None:
    listener = listening.listen("127.0.0.1", 0)

    def on_ready() -> None:
        fresh = ready.with_suffix(".new")
        fresh.write_text(str(listener.getsockname()[1]))
        fresh.rename(ready)

    prefork.Prefork(application, listener, workers=workers, limits=Limits(**options)).run(on_ready)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), json.loads(sys.argv[3]))
