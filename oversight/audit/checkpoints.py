"""Checkpoints of the log outside the database: what a database owner cannot rewrite unseen.

After every batch of the sequencer a signed note (c2sp.org/tlog-checkpoint) of the log's name, size
and root is appended to a file in the data folder. A log that was cut, rolled back or computed anew
does not meet its checkpoints any more. Whoever has the public key can check them without us; copies
kept on another machine make this hold against somebody who can write to this one.
"""

import base64
import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from oversight.audit import keys, tree
from oversight.lib import merkle, notes
from oversight.lib.folders import sync_folder
from oversight.tenancy.models import Project

logger = logging.getLogger(__name__)

_TAIL_BYTES = 64 * 1024
_SIGNATURE = "\N{EM DASH} "
_SIZE = re.compile("0|[1-9][0-9]{0,18}")
# Ends what a crash has left without an end: no line of a note looks so.
_TORN = b"\n(torn)\n\n"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A project's log at one moment: its size, its root, and the note that says so."""

    size: int
    root: bytes
    note: str


class _Contradiction(Exception):
    """The log does not continue what a checkpoint says of it."""


def folder() -> Path:
    return Path(settings.DATA_DIR) / "audit"


def path_of(project: Project, directory: Path | None = None) -> Path:
    return (directory or folder()) / f"project-{project.pk}.checkpoints"


def publish(project: Project) -> bool:
    """Sign the tree as it is and append the checkpoint, unless its newest one says that already.

    Nothing is signed that contradicts the newest checkpoint: a log that was cut or rewritten since
    gets no new ones. That, and a disk that is full, is logged and stops nothing: the links stand.

    Returns:
        Whether there was something to sign: the newest checkpoint did not speak of the whole tree.
    """
    try:
        # In this order: what another process's checkpoint speaks of is then in the tree.
        last = find_last(project)
        size = tree.size_of(project)
        if size == (last.size if last else 0):
            return False
        root = _root_after(project, last, size)
        _append(path_of(project), keys.signer(project).sign(_text(project, size, root)))
    except (OSError, keys.UnusableKey, tree.DamagedTree, _Contradiction) as error:
        logger.error("no checkpoint was written: %s", error, extra={"project": project.pk})
    return True


def find_last(project: Project) -> Checkpoint | None:
    """The newest checkpoint in the project's file that is genuine.

    Raises:
        OSError: the file cannot be read.
        UnusableKey: the signing key cannot be.
    """
    try:
        with path_of(project).open("rb") as file:
            start = max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0)
            file.seek(start)
            tail = list(_notes(file))  # whose first may lack its beginning
    except FileNotFoundError:
        return None
    verifiers = keys.verifiers(project)
    for note in reversed(tail):
        try:
            return opened(project, note, verifiers)
        except notes.NotGenuine:
            continue
    return None


def read(project: Project, directory: Path | None = None) -> Iterator[str]:
    """The notes that are in the project's file now, oldest first, genuine or not.

    What a crash has torn is passed over, and so is what is appended after this call.
    """
    path = path_of(project, directory)
    return _notes(_lines(path, path.stat().st_size if path.exists() else 0))


def opened(project: Project, note: str, verifiers: Sequence[notes.Verifier]) -> Checkpoint:
    """The checkpoint that a note is.

    Raises:
        NotGenuine: no key of `verifiers` has signed it, or it speaks of another log.
    """
    origin, *rest = notes.open_note(note, verifiers).split("\n")
    if origin != keys.origin_of(project):
        raise notes.NotGenuine("it speaks of another log")
    try:
        size, encoded = rest[:2]
        root = base64.b64decode(encoded, validate=True)
    except ValueError:
        size, root = "", b""
    if not _SIZE.fullmatch(size) or len(root) != merkle.HASH_BYTES:
        raise notes.NotGenuine("it is signed, and no checkpoint")
    return Checkpoint(int(size), root, note)


def _root_after(project: Project, last: Checkpoint | None, size: int) -> bytes:
    """The root of the tree, which must have grown from the last checkpoint's."""
    if last is None:
        return tree.roots(project, [size])[size]
    if last.size > size:
        raise _Contradiction(f"the log ends at {size}, and a checkpoint knows {last.size}")
    roots = tree.roots(project, [last.size, size])
    if roots[last.size] != last.root:
        raise _Contradiction(f"the log is not what the checkpoint at {last.size} says")
    return roots[size]


def _text(project: Project, size: int, root: bytes) -> str:
    return f"{keys.origin_of(project)}\n{size}\n{base64.b64encode(root).decode()}\n"


def _append(path: Path, note: str) -> None:
    """Add a note and an empty line after it, and force them to disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, (b"" if _ends_clean(descriptor) else _TORN) + f"{note}\n".encode())
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(path.parent)  # the file may be new


def _ends_clean(descriptor: int) -> bool:
    size = os.fstat(descriptor).st_size
    return size == 0 or os.pread(descriptor, 2, max(size - 2, 0)) == b"\n\n"


def _notes(lines: Iterable[bytes]) -> Iterator[str]:
    """The notes of a file: a block of text, an empty line, a block of signatures, an empty line."""
    text = ""
    for block in _blocks(lines):
        if not block.startswith(_SIGNATURE):
            text = block
        elif text:
            if block.splitlines()[-1].startswith(_SIGNATURE):
                yield f"{text}\n{block}"
            text = ""


def _lines(path: Path, n_bytes: int) -> Iterator[bytes]:
    """The lines of the first so many bytes of a file."""
    if n_bytes:
        with path.open("rb") as file:
            while line := file.readline(n_bytes):
                n_bytes -= len(line)
                yield line


def _blocks(lines: Iterable[bytes]) -> Iterator[str]:
    """Lines up to an empty one, or to the end; a last line that lacks its end is no line."""
    block: list[bytes] = []
    for line in lines:
        if line == b"\n" and block:
            yield b"".join(block).decode(errors="replace")
            block = []
        elif line != b"\n" and line.endswith(b"\n"):
            block.append(line)
        elif line != b"\n":
            return
    if block:
        yield b"".join(block).decode(errors="replace")
