"""Every page of settings and rules x every role, and a foreign project: one table, one truth."""

import uuid

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from oversight.navigation import project_links
from oversight.tenancy.models import Role
from tests.worlds import BACKEND

ALL = set(Role.values)
OWNER = {"owner"}
WRITERS = {"policy_admin", "owner"}
LEADERS = {"lead", "engineer", "owner"}
LEARNERS = {"engineer", "owner"}
AUDITORS = {"auditor", "owner"}

# Name, its arguments besides the project, method, the roles that it opens to.
_POLICY = ["conversations"]
_VERSION = ["conversations", 1]
TABLE = [
    ("project_settings", [], "GET", ALL),
    ("tenancy:members", [], "GET", OWNER),
    ("tenancy:invite", [], "POST", OWNER),
    ("tenancy:withdraw_invitation", [1], "POST", OWNER),
    ("change_role", [1], "POST", OWNER),
    ("remove_member", [1], "GET", OWNER),
    ("tenancy:password_link", [1], "POST", OWNER),
    ("tenancy:keys", [], "GET", OWNER),
    ("tenancy:revoke_key", [1], "GET", OWNER),
    ("tenancy:retention", [], "GET", OWNER),
    ("tenancy:place_hold", [], "POST", OWNER),
    ("tenancy:lift_hold", [1], "POST", OWNER),
    ("health", [], "GET", OWNER),
    ("review:policy_list", [], "GET", ALL),
    ("review:policy_list", [], "POST", WRITERS),
    ("review:policy_detail", _POLICY, "GET", ALL),
    ("review:policy_draft", _POLICY, "POST", WRITERS),
    ("review:policy_edit", _VERSION, "GET", WRITERS),
    ("review:policy_publish", _VERSION, "GET", WRITERS),
    ("review:policy_diff", _VERSION, "GET", ALL),
    ("review:rubric_list", [], "GET", ALL),
    ("review:rubric_list", [], "POST", WRITERS),
    ("review:rubric_detail", _POLICY, "GET", ALL),
    ("review:rubric_draft", _POLICY, "POST", WRITERS),
    ("review:rubric_edit", _VERSION, "GET", WRITERS),
    ("review:rubric_publish", _VERSION, "GET", WRITERS),
    ("review:queue_settings", [], "GET", LEADERS),
    ("review:queue_new", [], "GET", LEADERS),
    ("review:queue_edit", ["default"], "GET", LEADERS),
    ("review:posterior_list", ["default"], "GET", ALL - {"reviewer"}),
    ("review:posterior_use", ["default", 1], "POST", LEADERS),
    ("review:learning", [], "GET", ALL - {"reviewer"}),
    ("review:learning_change", [], "POST", LEARNERS),
    ("review:learning_start", [], "POST", LEARNERS),
    ("review:proxy_gap", [], "GET", ALL - {"reviewer"}),
    ("review:estimates", [], "GET", ALL - {"reviewer"}),
    ("review:estimate_hours", [], "GET", ALL - {"reviewer"}),
    ("audit:event_list", [], "GET", AUDITORS),
    ("audit:event_proof", [1], "GET", AUDITORS),
    ("audit:checkpoint", [], "GET", AUDITORS),
    ("audit:consistency", [], "GET", AUDITORS),
    ("jobs:job_list", [], "GET", ALL),
    ("jobs:job_detail", [uuid.uuid4()], "GET", ALL),
    ("jobs:job_cancel", [uuid.uuid4()], "POST", ALL),
    ("jobs:job_replay", [uuid.uuid4()], "POST", ALL),
]


def call(client, world, row):
    name, args, method, _ = row
    path = reverse(name, args=[world.slug, *args])
    body = {"slug": "new"} if method == "POST" else {}
    return client.generic(method, path, "") if not body else client.post(path, body)


@pytest.mark.parametrize("role", sorted(ALL))
def test_a_page_opens_to_the_roles_of_its_row_alone(world, role):
    client = world.client(role)
    wrong = [
        (row[0], row[2], status)
        for row in TABLE
        if ((status := call(client, world, row).status_code) == 403) != (role not in row[3])
        or status >= 500
    ]
    assert wrong == []


@pytest.mark.parametrize("role", sorted(ALL))
def test_everybody_gets_somewhere(world, role):
    """From the root to the first page of their own, and to all that their navigation offers."""
    client = world.client(role)
    answer = client.get("/", follow=True)
    assert answer.status_code == 200
    links = project_links(world.actor(role), "/")
    assert links
    for link in links:
        assert client.get(link.href, follow=True).status_code == 200, link


def test_nobody_is_sent_to_the_login_and_a_stranger_finds_nothing(world, other_world):
    stranger, anonymous = other_world.client("owner"), Client()
    for row in TABLE:
        assert call(stranger, world, row).status_code == 404, row
        answer = call(anonymous, world, row)
        assert answer.status_code == 302, row
        assert answer["Location"].startswith("/accounts/login/")


def test_no_page_is_forgotten():
    """Each page of these namespaces below a project stands in the table."""
    mine = {"tenancy", "audit", "jobs"}
    rules = {"review": "review.rule_urls"}
    known = {row[0] for row in TABLE}
    public = {"tenancy:accept_invitation", "tenancy:reset_password"}
    names = set()
    for namespace, entry in _named(get_resolver()):
        in_rules = entry.callback.__module__.startswith(
            (
                *("review.views.policies", "review.views.rubrics"),
                *("review.views.queue_settings", "review.views.estimates"),
                *("review.views.posteriors", "review.views.learning"),
            )
        )
        if namespace in mine or (namespace in rules and in_rules):
            names.add(f"{namespace}:{entry.name}")
    assert names - public == known - {"project_settings", "health", "change_role", "remove_member"}


def _named(resolver, namespace=None):
    for entry in resolver.url_patterns:
        if isinstance(entry, URLResolver):
            yield from _named(entry, entry.namespace or namespace)
        elif isinstance(entry, URLPattern):
            yield namespace, entry


@pytest.mark.parametrize("row", [row for row in TABLE if row[2] == "POST"], ids=lambda row: row[0])
def test_what_changes_something_needs_the_token_of_its_form(world, row):
    client = Client(enforce_csrf_checks=True)
    client.force_login(world.user("owner"), backend=BACKEND)
    assert call(client, world, row).status_code == 403


@pytest.mark.parametrize(
    "name",
    ["tenancy:invite", "tenancy:withdraw_invitation", "change_role", "tenancy:password_link"],
)
def test_nothing_is_changed_by_following_a_link(world, name):
    args = [] if name == "tenancy:invite" else [1]
    path = reverse(name, args=[world.slug, *args])
    assert world.client("owner").get(path).status_code == 405
