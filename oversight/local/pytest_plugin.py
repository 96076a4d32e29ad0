"""Real servers for a test run: one PostgreSQL and one Valkey, started before settings load.

DATABASE_URL and REDIS_URL are respected where they are set. The servers die with the run, by
kernel signal even when it is killed, and the next run removes their files. They are non-durable,
since nobody needs their data, unless OVERSIGHT_TEST_DURABLE is set. Each worker of pytest-xdist has
servers of its own, since tests stop, freeze and flush them; the controller has none.
"""

import os
import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import psutil
import pytest

from oversight.local import places
from oversight.local.postgres import Postgres
from oversight.local.valkey import Valkey

_PREFIX = "ov-test-"


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> Generator[None, object, object]:
    if early_config.known_args_namespace.help:
        return (yield)
    _sweep()
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{os.getpid()}-"))
    os.environ.setdefault("OVERSIGHT_DATA", str(folder / "data"))
    os.environ.setdefault("OVERSIGHT_SECRET_KEY", "only for this test run")
    os.environ.setdefault("OVERSIGHT_PLAIN_STATIC", "1")
    # Tests change keys and projects behind the back of what a process remembers of them.
    os.environ.setdefault("OVERSIGHT_KEY_MEMORY_SECONDS", "0")
    # A loaded machine is slow, and its tests are about what happens, not when.
    os.environ.setdefault("OVERSIGHT_REQUEST_DEADLINE_SECONDS", "60")
    # Playwright runs an event loop in the thread that tests use the database from.
    os.environ.setdefault("DJANGO_ALLOW_ASYNC_UNSAFE", "1")
    # Cleanups run last in, first out: the folders go when the servers have stopped.
    early_config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    if not _is_controller(early_config):
        _start_servers(early_config, folder)
    return (yield)


def _is_controller(config: pytest.Config) -> bool:
    """Whether other processes run the tests of this one."""
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    return bool(getattr(config.known_args_namespace, "numprocesses", None)) and not is_worker


def _start_servers(config: pytest.Config, folder: Path) -> None:
    if "DATABASE_URL" in os.environ and "REDIS_URL" in os.environ:
        return
    where = places.prepare(folder)
    config.add_cleanup(lambda: places.remove(where))
    if "DATABASE_URL" not in os.environ:
        postgres = Postgres(where, is_durable=bool(os.environ.get("OVERSIGHT_TEST_DURABLE")))
        config.add_cleanup(postgres.stop)
        postgres.start()
        os.environ["DATABASE_URL"] = postgres.url
    if "REDIS_URL" not in os.environ:
        valkey = Valkey(where)
        config.add_cleanup(valkey.stop)
        valkey.start()
        os.environ["REDIS_URL"] = valkey.url


def _sweep() -> None:
    """Remove what runs that were killed have left."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).split("-", 1)[0]
        if pid.isdigit() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)
