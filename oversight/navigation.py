"""Where a member may go in a project: one row per place, shown by permission alone."""

from dataclasses import dataclass

from django.urls import reverse

from oversight.tenancy.actors import Actor


@dataclass(frozen=True, slots=True)
class Place:
    label: str
    url_name: str
    permissions: frozenset[str]  # any of them opens it


@dataclass(frozen=True, slots=True)
class Link:
    label: str
    href: str
    is_current: bool


def _place(label: str, url_name: str, *permissions: str) -> Place:
    return Place(label, url_name, frozenset(permissions))


PLACES = (
    _place("Review", "review:queue_list", "review"),
    _place("Records", "review:record_list", "records:read"),
    _place("Rounds", "review:round_list", "figures:read"),
    _place("Estimates", "review:estimates", "figures:read"),
    _place("Policies", "review:policy_list", "policies:write"),
    _place("Rubrics", "review:rubric_list", "policies:write"),
    _place("Scorers", "scoring:scorer_list", "figures:read"),
    _place("Learning", "review:learning", "figures:read"),
    _place("Drift", "scoring:drift_list", "figures:read"),
    _place("Datasets", "review:dataset_list", "datasets:read"),
    _place("Audit log", "audit:event_list", "audit:read"),
    _place("Settings", "project_settings", "members:write", "keys:write", "queues:write"),
)

# Within the settings, as tabs.
SETTINGS_PLACES = (
    _place("Members", "tenancy:members", "members:write"),
    _place("API keys", "tenancy:keys", "keys:write"),
    _place("Queues", "review:queue_settings", "queues:write"),
    _place("Retention", "tenancy:retention", "project:write"),
    _place("Jobs", "jobs:job_list", "jobs:read"),
    _place("Health", "health", "project:write"),
)


def project_links(actor: Actor, path: str, places: tuple[Place, ...] = PLACES) -> list[Link]:
    """The links an actor may follow, in order; `path` marks the current one."""
    links = []
    for place in places:
        if place.permissions & actor.permissions:
            href = reverse(place.url_name, args=[actor.project.slug])
            links.append(Link(place.label, href, path.startswith(href)))
    return links
