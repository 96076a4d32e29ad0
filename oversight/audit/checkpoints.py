"""Checkpoints of the log outside the database: what a database owner cannot rewrite unseen.

After every run the sequencer appends one line to a file in the data folder: project, sequence,
chain, time and an HMAC under the application's secret. A log that was cut, rolled back or computed
anew does not meet its checkpoints any more. Copies kept on another machine make this hold against
somebody who can write to this one.
"""

import hmac
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from django.conf import settings

from oversight.lib import clock, codec
from oversight.tenancy.models import Project

logger = logging.getLogger(__name__)

_PURPOSE = b"oversight.audit.checkpoint\x00"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The state of a project's log at one moment; `is_genuine` says whether its HMAC holds."""

    sequence: int
    chain: bytes
    at: str
    is_genuine: bool


def folder() -> Path:
    return Path(settings.DATA_DIR) / "audit"


def path_of(project: Project, directory: Path | None = None) -> Path:
    return (directory or folder()) / f"project-{project.pk}.jsonl"


def append(project: Project, sequence: int, chain: bytes) -> None:
    """Add a line and force it to disk. A full disk is logged and stops nothing: the links stand."""
    body = _body(project.pk, sequence, chain.hex(), clock.rfc3339(clock.now()))
    line = codec.canonical({**body, "mac": _mac(settings.SECRET_KEY, body)}) + b"\n"
    path = path_of(project)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, line if _ends_clean(descriptor) else b"\n" + line)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except OSError as error:
        logger.error("no checkpoint was written: %s", error.strerror, extra={"project": project.pk})


def read(project: Project, directory: Path | None = None) -> Iterator[Checkpoint]:
    """The project's checkpoints, oldest first.

    A line that was torn by a crash (it lacks its end) is passed over; any other line that cannot be
    read counts as a checkpoint that is not genuine.
    """
    path = path_of(project, directory)
    if not path.exists():
        return
    with path.open("rb") as lines:
        for line in lines:
            if not line.endswith(b"}\n"):
                continue
            yield _parsed(project, line)


def _parsed(project: Project, line: bytes) -> Checkpoint:
    try:
        given = json.loads(line)
        body = _body(given["project"], given["sequence"], given["chain"], given["at"])
        keys = [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]
        genuine = body["project"] == project.pk and any(
            hmac.compare_digest(_mac(key, body), str(given["mac"])) for key in keys
        )
        return Checkpoint(
            int(given["sequence"]), bytes.fromhex(given["chain"]), str(given["at"]), genuine
        )
    except (ValueError, KeyError, TypeError):
        return Checkpoint(0, b"", "", is_genuine=False)


def _body(project: int, sequence: int, chain: str, at: str) -> dict[str, int | str]:
    return {"project": project, "sequence": sequence, "chain": chain, "at": at}


def _mac(secret: str, body: dict[str, int | str]) -> str:
    key = sha256(_PURPOSE + secret.encode()).digest()
    return hmac.new(key, codec.canonical(body), sha256).hexdigest()


def _ends_clean(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 1, size - 1) == b"\n"
