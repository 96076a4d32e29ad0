"""How a request to the API says who it is: a key as bearer token, or a browser session.

Both end as one `Actor` in `request.user`: views and services never look at keys or cookies.
"""

from typing import Any

from django.conf import settings
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from rest_framework.authentication import BaseAuthentication, SessionAuthentication
from rest_framework.permissions import BasePermission
from rest_framework.request import Request

from oversight.lib import errors
from oversight.tenancy import access
from oversight.tenancy.actors import Actor, member_actor
from oversight.tenancy.models import Membership


class ActorRequest(Request):
    """A request as API views get it: its user is the actor."""

    user: Actor  # type: ignore[assignment]  # the stubs know Django's users only


class KeyAuthentication(BaseAuthentication):
    """`Authorization: Bearer <key>`."""

    def authenticate(self, request: Request) -> tuple[Actor, str] | None:
        header = request.headers.get("Authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        return access.access_key(token.strip()), "key"

    def authenticate_header(self, request: Request) -> str:
        return "Bearer"


class ProjectSessionAuthentication(SessionAuthentication):
    """A logged-in browser; `?project=slug` says which project unless the member has just one."""

    def authenticate(self, request: Request) -> tuple[Actor, str] | None:
        found = super().authenticate(request)
        if found is None:
            return None
        user = found[0]
        slug = request.query_params.get("project")
        if slug:
            return access.access_project(user, slug), "session"
        memberships = list(
            Membership.objects.select_related("project", "user").filter(user=user)[:2]
        )
        if len(memberships) != 1:
            raise errors.InvalidInput.at("project", "say which project: ?project=slug", "required")
        return member_actor(memberships[0]), "session"


class KeyScheme(OpenApiAuthenticationExtension):
    """How the schema names the key."""

    target_class = KeyAuthentication
    name = "key"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "http", "scheme": "bearer", "bearerFormat": "ov_…"}


class SessionScheme(OpenApiAuthenticationExtension):
    """How the schema names a browser's session."""

    target_class = ProjectSessionAuthentication
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME}


class ScopePermission(BasePermission):
    """The permission that a view names per method, or any one of several: denied where none."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if not isinstance(request.user, Actor):
            raise errors.NotAuthenticated("an API key or a login is needed")
        method = str(request.method)
        needed = view.permissions.get("GET" if method == "HEAD" else method)
        if needed is None:
            # A method that the view does not have is answered with 405, OPTIONS with its name.
            return method == "OPTIONS" or not hasattr(view, method.lower())
        access.require_any(request.user, (needed,) if isinstance(needed, str) else needed)
        return True
