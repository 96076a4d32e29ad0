"""Real servers for a test run: one PostgreSQL and one Valkey, started before settings load.

DATABASE_URL and REDIS_URL are respected where they are set. The servers die with the run, by
kernel signal even when it is killed; only they may be non-durable, since nobody needs their data.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from oversight.local import places
from oversight.local.postgres import Postgres
from oversight.local.valkey import Valkey


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    if early_config.known_args_namespace.help:
        return (yield)
    folder = Path(tempfile.mkdtemp(prefix="ov-test-"))
    os.environ.setdefault("OVERSIGHT_DATA", str(folder / "data"))
    os.environ.setdefault("OVERSIGHT_SECRET_KEY", "only for this test run")
    os.environ.setdefault("OVERSIGHT_PLAIN_STATIC", "1")
    # Playwright runs an event loop in the thread that tests use the database from.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    (folder / "data" / "static").mkdir(parents=True)  # WhiteNoise warns where there is none
    where = places.prepare(folder)
    # Cleanups run last in, first out: the folders go when the servers have stopped.
    early_config.add_cleanup(lambda: _remove(where))
    if "DATABASE_URL" not in os.environ:
        postgres = Postgres(where, is_durable=False)
        postgres.start()
        early_config.add_cleanup(postgres.stop)
        os.environ["DATABASE_URL"] = postgres.url
    if "REDIS_URL" not in os.environ:
        valkey = Valkey(where)
        valkey.start()
        early_config.add_cleanup(valkey.stop)
        os.environ["REDIS_URL"] = valkey.url
    return (yield)


def _remove(where: places.Places) -> None:
    for folder in {where.data, where.servers, where.run}:
        shutil.rmtree(folder, ignore_errors=True)
