"""Who acts: a member, a key, or the system itself. Services take an actor first."""

from dataclasses import dataclass

from oversight.tenancy.models import ApiKey, Membership, Project, User


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody acting in one project, with the permissions that they have there.

    `user` is whose verdicts and claims the actor gives (a member, or the member a key acts as);
    `ai_rater` is set instead where a key acts as a named AI rater.
    """

    project: Project
    kind: str  # user | key | system
    id: str
    permissions: frozenset[str]
    user: User | None = None
    ai_rater: str = ""

    @property
    def can_review(self) -> bool:
        return self.user is not None or bool(self.ai_rater)


# What every member may read: what is judged by which rules, and where.
_EVERYBODY = frozenset({"policies:read", "queues:read", "jobs:read"})

# What a role may do beyond that, one plain row each. Owners may do everything.
ROLE_PERMISSIONS: dict[str, frozenset[str]] = {
    "reviewer": frozenset({"review"}),
    "lead": frozenset(
        {"review", "queues:write", "rounds:run", "records:read", "figures:read", "escalate"}
    ),
    "policy_admin": frozenset({"review", "policies:write", "records:read", "figures:read"}),
    "engineer": frozenset(
        {
            "records:read",
            "records:write",
            "datasets:read",
            "datasets:write",
            "scorers:write",
            "rounds:run",
            "figures:read",
            "queues:write",
            "escalate",
        }
    ),
    "auditor": frozenset({"audit:read", "records:read", "datasets:read", "figures:read"}),
}
ROLE_PERMISSIONS = {role: own | _EVERYBODY for role, own in ROLE_PERMISSIONS.items()}
ALL_PERMISSIONS = frozenset().union(
    *ROLE_PERMISSIONS.values(), {"members:write", "keys:write", "project:write"}
)
ROLE_PERMISSIONS["owner"] = ALL_PERMISSIONS

# What a key's scope allows; a scope never reaches people, keys or the audit log, save `admin`.
# A key that only sends records reads nothing but the jobs it asked for.
SCOPE_PERMISSIONS: dict[str, frozenset[str]] = {
    "records:write": frozenset({"jobs:read", "records:write", "escalate"}),
    "records:read": _EVERYBODY | {"records:read", "figures:read"},
    "review": _EVERYBODY | {"review", "escalate"},
    "policies:write": _EVERYBODY | {"policies:write", "queues:write", "figures:read"},
    "datasets:read": _EVERYBODY | {"datasets:read", "figures:read"},
    "datasets:write": _EVERYBODY | {"datasets:read", "datasets:write", "figures:read"},
    "admin": ALL_PERMISSIONS - {"review"},
}


def member_actor(membership: Membership) -> Actor:
    return Actor(
        project=membership.project,
        kind="user",
        id=str(membership.user_id),
        permissions=ROLE_PERMISSIONS[membership.role],
        user=membership.user,
    )


def key_actor(key: ApiKey) -> Actor:
    permissions = frozenset().union(*(SCOPE_PERMISSIONS[scope] for scope in key.scopes))
    return Actor(
        project=key.project,
        kind="key",
        id=str(key.pk),
        permissions=permissions,
        user=key.acts_as,
        ai_rater=key.ai_rater,
    )


def system_actor(project: Project, name: str = "system") -> Actor:
    """The product itself: schedules and commands run on the machine by its operator."""
    return Actor(project=project, kind="system", id=name, permissions=ALL_PERMISSIONS)
