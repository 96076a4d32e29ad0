"""Where the embedded servers keep their files, as root and as an ordinary user.

PostgreSQL refuses to run as root, so there the servers run as an unprivileged system user, who
must reach data, sockets and binaries. What lies below a closed home goes to /var/lib/oversight,
and a link in the data folder says so.
"""

import hashlib
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from oversight.local.processes import Account

ROOT_BASE = Path("/var/lib/oversight")
_ACCOUNTS = ("oversight", "nobody", "daemon")
# A Unix socket's path may have 107 bytes (103 on macOS); PostgreSQL appends up to 20.
_LONGEST_RUN_DIR = 80


@dataclass(frozen=True, slots=True)
class Places:
    """Folders of one installation.

    Attributes:
        data: the data folder that was asked for: logs, exports, keys.
        servers: where database and broker keep their files.
        run: where sockets are; its path is short.
        account: who the servers run as, None for ourselves.
    """

    data: Path
    servers: Path
    run: Path
    account: Account | None

    @property
    def logs(self) -> Path:
        return self.data / "logs"


def prepare(data: Path) -> Places:
    """Make the folders of an installation; what exists is kept.

    Raises:
        OSError: a folder cannot be made or used.
    """
    data = data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    account = _account(data / "servers") if os.geteuid() == 0 else None
    _close(data, account)
    (data / "logs").mkdir(mode=0o700, exist_ok=True)
    servers = _servers_folder(data, account)
    run = servers / "run"
    if len(os.fsencode(run)) > _LONGEST_RUN_DIR:
        run = _short_folder(servers)
    for folder in (servers, run):
        _make_private(folder, account)
    return Places(data=data, servers=servers, run=run, account=account)


def untouched(data: Path) -> Places:
    """The places where no server runs, since another's is used: nothing is made or changed."""
    data = data.absolute()
    servers = data / "servers"
    return Places(data=data, servers=servers, run=servers / "run", account=None)


def remove(places: Places) -> None:
    """Remove an installation's files, wherever they are; for tests."""
    for folder in (places.run, places.servers, places.data):
        shutil.rmtree(folder, ignore_errors=True)


def _close(data: Path, account: Account | None) -> None:
    """Ours alone; as root the servers' group may pass through, to what is theirs below."""
    if account is None:
        data.chmod(0o700)
    else:
        os.chown(data, 0, account.gid)
        data.chmod(0o710)


def _account(servers: Path) -> Account:
    """The user that servers run as: whoever owns the existing files, else a system user."""
    if servers.exists() and (owner := servers.stat()).st_uid != 0:
        return Account(uid=owner.st_uid, gid=owner.st_gid)
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise OSError(f"none of the system users {_ACCOUNTS} exists, and PostgreSQL refuses root")


def _servers_folder(data: Path, account: Account | None) -> Path:
    link = data / "servers"
    if link.is_symlink() or link.exists() or account is None or can_enter(data, account):
        return link.resolve()
    ROOT_BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
    target = ROOT_BASE / f"data-{os.urandom(6).hex()}"
    link.symlink_to(target)
    return target


def _short_folder(servers: Path) -> Path:
    mark = hashlib.sha256(os.fsencode(servers)).hexdigest()[:12]
    if os.geteuid() == 0:
        ROOT_BASE.mkdir(mode=0o755, parents=True, exist_ok=True)
        return ROOT_BASE / f"run-{mark}"
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    if not os.path.isdir(base) or len(os.fsencode(base)) > _LONGEST_RUN_DIR - 24:
        base = tempfile.gettempdir()
    return Path(base) / f"oversight-{mark}"


def _make_private(folder: Path, account: Account | None) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        # In a folder that others may write to, somebody may have been there first.
        found = folder.lstat()
        owners = {os.geteuid(), *([account.uid] if account is not None else [])}
        if not stat.S_ISDIR(found.st_mode) or found.st_uid not in owners:
            raise PermissionError(f"{folder} belongs to another user") from None
    folder.chmod(0o700)
    if account is not None:
        os.chown(folder, account.uid, account.gid)


def can_enter(folder: Path, account: Account) -> bool:
    return can_run(["/bin/sh", "-c", 'cd "$0"', str(folder)], account)


def can_run(command: list[str], account: Account) -> bool:
    """Whether the account can run a command: asked by trying, which honours ACLs and mounts."""
    try:
        tried = subprocess.run(  # noqa: S603  our own programs, no shell expansion
            command,
            user=account.uid,
            group=account.gid,
            extra_groups=[],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except OSError:
        return False
    return tried.returncode == 0
