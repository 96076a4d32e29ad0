"""A project with people in it, made by the services that make them for real, and ways to act."""

from dataclasses import dataclass, field
from typing import Any

from django.test import Client

from oversight.lib import codec
from oversight.tenancy import services
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor, system_actor
from oversight.tenancy.models import Project, Role, Scope, User

BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@dataclass
class World:
    """One project, its members by role, and ways to act as them."""

    project: Project
    users: dict[str, User] = field(default_factory=dict)

    @property
    def slug(self) -> str:
        return self.project.slug

    @property
    def operator(self) -> Actor:
        return system_actor(self.project, "operator")

    def user(self, role: str, email: str = "") -> User:
        """The member of a role, made at first use; another one for another address."""
        email = email or f"{role}@{self.slug}.example"
        if email not in self.users:
            user = User.objects.create(email=email)
            user.set_unusable_password()
            user.save()
            services.add_member(self.operator, user=user, role=role)
            self.users[email] = user
        return self.users[email]

    def actor(self, role: str) -> Actor:
        return access_project(self.user(role), self.slug)

    def client(self, role: str) -> Client:
        client = Client()
        client.force_login(self.user(role), backend=BACKEND)
        return client

    def key(self, *scopes: str, **options: Any) -> str:
        """The text of a new key."""
        if Scope.REVIEW in scopes and not options:
            options = {"acts_as": self.user(Role.REVIEWER)}
        return services.create_key(self.operator, name="test", scopes=scopes, **options)[1]

    def api(self, *scopes: str, **options: Any) -> "Api":
        return Api(self.key(*scopes, **options))


class Api:
    """JSON calls with a key; answers are Django's responses."""

    def __init__(self, key: str | None) -> None:
        self.client = Client()
        self.headers = {"authorization": f"Bearer {key}"} if key else {}

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        return self.client.generic(
            method,
            f"/api/v1/{path}",
            "" if body is None else codec.encode(body),
            content_type="application/json",
            headers=self.headers,
        )
