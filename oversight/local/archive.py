"""A whole installation in one folder: PostgreSQL's own dump, exported files, keys and checkpoints.

The dump is logical, so that it goes into another major version of PostgreSQL, and is one snapshot.
Checkpoints of the audit log are copied before it and exported files after it: whatever the dump
speaks of is then in the archive, and no checkpoint speaks of what the dump does not hold.
"""

import hashlib
import json
import os
import shutil
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import conninfo

FORMAT = 1
MANIFEST = "manifest.json"
_DUMP = "database"
_BEFORE, _AFTER = ("audit", "audit_key", "secret_key"), ("exports",)  # names in the data folder
_PARAMETERS = {
    "host": "PGHOST",
    "port": "PGPORT",
    "user": "PGUSER",
    "password": "PGPASSWORD",
    "sslmode": "PGSSLMODE",
    "sslrootcert": "PGSSLROOTCERT",
}


class ArchiveError(Exception):
    """An archive cannot be made or used; the message says why."""


def write(*, url: str, data: Path, out: Path, programs: Path, jobs: int = 2) -> dict[str, Any]:
    """Back an installation up into a new folder, complete or not there at all.

    Args:
        url: of the database.
        data: the data folder; what of it is missing (keys may come from the environment) is left.
        out: the folder to make.
        programs: where `pg_dump` is, of the server's major version or a later one.

    Returns:
        The manifest.

    Raises:
        ArchiveError: `out` exists, or a program fails.
    """
    if out.exists():
        raise ArchiveError(f"{out} exists already")
    part = out.with_name(f"{out.name}.{os.getpid()}.part")
    part.mkdir(mode=0o700, parents=True)
    try:
        _copy(data, part, _BEFORE)
        _run(
            programs / "pg_dump",
            ["--format=directory", f"--jobs={jobs}", "--file", str(part / _DUMP)],
            url,
        )
        _copy(data, part, _AFTER)
        manifest = {
            "format": FORMAT,
            "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
            **_facts(url),
            "files": {str(path.relative_to(part)): _sha256(path) for path in _files(part)},
        }
        (part / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True))
        part.rename(out)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    return manifest


def check(archive: Path) -> dict[str, Any]:
    """The manifest of an archive whose files are all there and unchanged.

    Raises:
        ArchiveError: it is none, is of a later format, or a file differs.
    """
    try:
        manifest: dict[str, Any] = json.loads((archive / MANIFEST).read_text())
        files: dict[str, str] = manifest["files"]
    except (OSError, ValueError, KeyError) as error:
        raise ArchiveError(f"{archive} is no backup: {error}") from error
    if manifest["format"] != FORMAT:
        raise ArchiveError(f"the backup is of format {manifest['format']}; this release knows 1")
    found = {str(path.relative_to(archive)): path for path in _files(archive)}
    found.pop(MANIFEST, None)
    for name in sorted(files.keys() | found.keys()):
        if name not in found:
            raise ArchiveError(f"{name} is missing from the backup")
        if name not in files or _sha256(found[name]) != files[name]:
            raise ArchiveError(f"{name} is not as it was when the backup was made")
    return manifest


def read(*, archive: Path, url: str, data: Path, programs: Path, jobs: int = 2) -> None:
    """Restore a checked archive into an empty database and a data folder.

    Raises:
        ArchiveError: the database holds tables, a file would be overwritten, or a program fails.
    """
    with psycopg.connect(url) as connection:
        tables = connection.execute(
            "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
        ).fetchone()
    if tables is not None and tables[0]:
        raise ArchiveError("the database is not empty; restore into a new one")
    names = [name for name in (*_BEFORE, *_AFTER) if (archive / name).exists()]
    for name in names:
        if (data / name).exists() and name != "secret_key":
            raise ArchiveError(f"{data / name} exists already; restore into a new data folder")
    _run(
        programs / "pg_restore",
        [f"--jobs={jobs}", "--exit-on-error", "--dbname", _database(url), str(archive / _DUMP)],
        url,
    )
    data.mkdir(mode=0o700, parents=True, exist_ok=True)
    _copy(archive, data, names)


def _run(program: Path, arguments: list[str], url: str) -> None:
    """Run one of PostgreSQL's programs; the password goes where no `ps` shows it."""
    parts = conninfo.conninfo_to_dict(url)
    env = {"PATH": os.environ.get("PATH", ""), "LC_ALL": "C", "PGDATABASE": _database(url)}
    env |= {variable: str(parts[key]) for key, variable in _PARAMETERS.items() if parts.get(key)}
    done = subprocess.run(  # noqa: S603  PostgreSQL's own programs, no shell
        [str(program), "--no-owner", "--no-privileges", *arguments],
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ArchiveError(f"{program.name} failed: {done.stderr.strip()[-2000:]}")


def _database(url: str) -> str:
    return str(conninfo.conninfo_to_dict(url)["dbname"])


def _facts(url: str) -> dict[str, Any]:
    with psycopg.connect(url) as connection:
        version = connection.execute("SHOW server_version").fetchone()
        latest = connection.execute(
            "SELECT app, max(name) FROM django_migrations GROUP BY app ORDER BY app"
        ).fetchall()
    return {
        "postgres": version[0] if version else "",
        "migrations": {str(app): str(name) for app, name in latest},
    }


def _copy(source: Path, target: Path, names: tuple[str, ...] | list[str]) -> None:
    for name in names:
        if (source / name).is_dir():
            # What is being written has another name, and will be a file of the next backup.
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("*.part"))
        elif (source / name).exists():
            shutil.copy2(source / name, target / name)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
