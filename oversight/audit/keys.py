"""Who signs checkpoints: one Ed25519 key an installation, under the name of each project's log.

The key is `OVERSIGHT_AUDIT_KEY`, else a file of the data folder that the first checkpoint makes. It
lies beside the checkpoints' folder, not in it: that folder is copied elsewhere.
"""

import base64
import hashlib
import hmac
import os
import secrets
from contextlib import suppress
from pathlib import Path

from django.conf import settings

from oversight.lib import notes
from oversight.lib.folders import sync_folder
from oversight.tenancy.models import Project

FILE = "audit_key"


class UnusableKey(Exception):
    """The file of the signing key does not hold one."""


def origin_of(project: Project) -> str:
    """The name of a project's log: the same for ever, and nobody else's.

    Slugs do not change; what follows sets logs of different installations apart.
    """
    tag = hmac.new(bytes(project.hash_key), b"oversight.audit.origin", hashlib.sha256)
    return f"oversight/{project.slug}/{tag.hexdigest()[:16]}"


def signer(project: Project) -> notes.Signer:
    """The key that signs the project's checkpoints, made now where there is none.

    Raises:
        OSError: the file cannot be read or made.
        UnusableKey: it holds no key.
    """
    seed = settings.OVERSIGHT_AUDIT_KEY or _read() or _make()
    return notes.Signer(origin_of(project), seed)


def find_verifier(project: Project) -> notes.Verifier | None:
    """The public half of the key that signs, or None where none was made yet."""
    seed = settings.OVERSIGHT_AUDIT_KEY or _read()
    return notes.Signer(origin_of(project), seed).verifier if seed else None


def verifiers(project: Project) -> list[notes.Verifier]:
    """The keys whose checkpoints count: the one that signs, and those that did before it."""
    own = find_verifier(project)
    retired = [notes.Verifier(origin_of(project), k) for k in settings.OVERSIGHT_AUDIT_RETIRED_KEYS]
    return [own, *retired] if own else retired


def _path() -> Path:
    return Path(settings.DATA_DIR) / FILE


def _read() -> bytes | None:
    try:
        text = _path().read_bytes()
    except FileNotFoundError:
        return None
    try:
        seed = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        seed = b""
    if len(seed) != notes.SEED_BYTES:
        raise UnusableKey(f"{_path()} is no base64 of {notes.SEED_BYTES} bytes")
    return seed


def _make() -> bytes:
    """Make the file whole or not at all; of several processes the first one's key stays."""
    path = _path()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{FILE}.{os.getpid()}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(notes.SEED_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):
            path.hardlink_to(part)
    finally:
        part.unlink()
    sync_folder(path.parent)  # what is signed with the key must not outlive it
    seed = _read()
    if seed is None:
        raise FileNotFoundError(f"{path} was removed as soon as it was made")
    return seed
