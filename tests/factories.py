"""Making what most tests stand on: a project with its starter kit, people, keys and records."""

import hashlib
import itertools
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.test import Client

from oversight.tenancy.actors import Actor, member_actor, system_actor
from oversight.tenancy.models import Membership, Project, Role, Scope, User
from oversight.tenancy.services.keys import create_key
from oversight.tenancy.services.projects import create_project
from review.models import ReviewQueue
from review.services.starter import equip_project

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Api:
    """An API client with a key; JSON in and out."""

    key: str
    client: Client

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"HTTP_AUTHORIZATION": f"Bearer {self.key}", **headers}
        call = getattr(self.client, method)
        if body is None:
            return call(f"/api/v1/{path}", **sent)
        data = body if isinstance(body, bytes) else json.dumps(body)
        sent.setdefault("content_type", "application/json")
        return call(f"/api/v1/{path}", data=data, **sent)

    def get(self, path: str) -> Any:
        return self("get", path)

    def post(self, path: str, body: Any = None, **headers: str) -> Any:
        return self("post", path, body if body is not None else {}, **headers)


def make_user(email: str | None = None) -> User:
    return User.objects.create_user(email or f"person{next(_numbers)}@example.org", "a long secret")


def make_project(slug: str | None = None) -> Project:
    return equipped(
        create_project(
            slug=slug or f"project-{next(_numbers)}", name="A project", owner=make_user()
        )
    )


def equipped(project: Project) -> Project:
    """The project with its starter kit; the same texts are held out of it in every run.

    What is held out hangs on the project's key, which the product draws by chance.
    """
    project.hash_key = hashlib.sha256(b"project %d" % Project.objects.count()).digest()
    project.save(update_fields=["hash_key"])
    equip_project(system_actor(project, "operator"))
    return project


def make_member(project: Project, role: str = Role.REVIEWER) -> Actor:
    membership = Membership.objects.create(project=project, user=make_user(), role=role)
    return member_actor(membership)


def owner_of(project: Project) -> Actor:
    return member_actor(
        Membership.objects.select_related("project", "user").get(project=project, role=Role.OWNER)
    )


def queue_of(project: Project) -> ReviewQueue:
    return ReviewQueue.objects.select_related("project", "rubric").get(project=project)


def make_api(project: Project, *, scopes: list[str] | None = None, user: User | None = None) -> Api:
    acts_as = user or Membership.objects.filter(project=project, role=Role.OWNER).get().user
    wanted = list(Scope.values) if scopes is None else scopes
    _, text = create_key(
        system_actor(project),
        name="test",
        scopes=wanted,
        acts_as=acts_as if "review" in wanted else None,
    )
    return Api(text, Client())


def make_record(index: int = 0, **changes: Any) -> dict[str, Any]:
    """A record as a client sends it; `changes` replace whole fields."""
    moment = datetime.now(UTC) - timedelta(days=1) + timedelta(seconds=index)
    return {
        "external_id": f"r-{index}",
        "occurred_at": moment.isoformat(timespec="milliseconds"),
        "model": {"name": "assistant", "version": "1"},
        "input": f"question number {index}",
        "output": f"answer number {index}",
        "signals": {"toxicity": (index * 37 % 100) / 100},
        **changes,
    }
