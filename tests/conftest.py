"""What all tests share: projects to act in, a data folder each, a clean-up past triggers."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from django.conf import settings as django_settings
from django.test import TransactionTestCase, override_settings

from oversight.tenancy import services
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from review.models import ReviewQueue
from tests.emptying import empty_database
from tests.factories import (
    Api,
    equipped,
    make_api,
    make_member,
    make_project,
    make_record,
    owner_of,
    queue_of,
)
from tests.keeping import Kept
from tests.worlds import World

# A busy machine is no defect of what is tested. Made-up input is the same for the same commit in
# CI, which judges the commit, and new at every run elsewhere, where it is looked for.
hypothesis.settings.register_profile(
    "patient",
    deadline=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
    derandomize="CI" in os.environ,
    database=None if "CI" in os.environ else hypothesis.settings.default.database,
)
hypothesis.settings.load_profile("patient")


@pytest.fixture
def make_world(db: None) -> Callable[[str], World]:
    def make(slug: str) -> World:
        return World(equipped(services.create_project(slug=slug, name=slug.title())))

    return make


@pytest.fixture
def world(make_world: Callable[[str], World]) -> World:
    """A project with the starter policy, rubric and queue."""
    return make_world("acme")


@pytest.fixture
def other_world(make_world: Callable[[str], World]) -> World:
    """Another project: nothing of it may ever be seen from the first."""
    return make_world("globex")


@pytest.fixture(autouse=True)
def _own_data_folder(settings: Any, tmp_path: Path) -> None:
    settings.DATA_DIR = tmp_path / "data"


@pytest.fixture(autouse=True, scope="session")
def _quick_flush() -> Iterator[None]:
    """Tests that commit are cleaned up by deleting what they wrote, past append-only triggers."""
    flush = TransactionTestCase._fixture_teardown
    TransactionTestCase._fixture_teardown = lambda case: empty_database()
    yield
    TransactionTestCase._fixture_teardown = flush


@pytest.fixture(autouse=True, scope="session")
def _static_root() -> None:
    """WhiteNoise warns where its folder is missing; a test run has none to collect into."""
    Path(django_settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True, scope="session")
def _cheap_passwords() -> Iterator[None]:
    """Full strength takes a quarter of a second for each person that a test makes."""
    with override_settings(PASSWORD_HASHERS=["tests.hashing.CheapArgon2"]):
        yield


@pytest.fixture(scope="module")
def keep(
    django_db_setup: None, django_db_blocker: Any
) -> Iterator[Callable[[Callable[[], Project]], Kept]]:
    """`keep(build)`: the project that `build` makes, kept for the tests of a module."""
    kept = []

    def keep_built(build: Callable[[], Project]) -> Kept:
        with django_db_blocker.unblock():
            kept.append(Kept.of(build))
        return kept[-1]

    yield keep_built
    with django_db_blocker.unblock():
        for one in kept:
            one.drop()


@pytest.fixture
def project(db: None) -> Project:
    return make_project()


@pytest.fixture
def other_project(db: None) -> Project:
    return make_project()


@pytest.fixture
def owner(project: Project) -> Actor:
    return owner_of(project)


@pytest.fixture
def reviewer(project: Project) -> Actor:
    return make_member(project)


@pytest.fixture
def queue(project: Project) -> ReviewQueue:
    return queue_of(project)


@pytest.fixture
def api(project: Project) -> Api:
    return make_api(project)


@pytest.fixture
def send(api: Api) -> Callable[..., Any]:
    """Send `n` records, or the given ones, as one JSON batch; returns the answer's body."""

    def send_records(records: int | list[dict[str, Any]]) -> Any:
        batch = [make_record(i) for i in range(records)] if isinstance(records, int) else records
        return api.post("records", {"records": batch}).json()

    return send_records
