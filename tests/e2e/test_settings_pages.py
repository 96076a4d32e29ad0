"""The pages of settings, policies, rubrics, log and jobs in a real browser: axe, width, policy."""

import pytest

from oversight.audit import services as audit
from oversight.jobs.models import Job
from oversight.jobs.services import enqueue
from review.models import Rubric
from review.services import policies, rubrics

pytestmark = pytest.mark.django_db(transaction=True)

PAGES = [
    "settings/members",
    "settings/keys",
    "settings/queues",
    "settings/queues/new",
    "settings/queues/default",
    "policies/",
    "policies/conversations/",
    "policies/conversations/versions/2/edit",
    "policies/conversations/versions/2/publish",
    "policies/conversations/versions/2/diff",
    "rubrics/",
    "rubrics/conversations/",
    "rubrics/conversations/versions/2/edit",
    "rubrics/conversations/versions/2/publish",
    "audit/",
    "jobs/",
]


@pytest.fixture
def furnished(world):
    """A project with something on every page."""
    owner = world.actor("owner")
    world.user("reviewer")
    world.key("records:read")
    clauses = [{"key": "privacy", "title": "Privacy", "text": "New *words*.", "severity": "low"}]
    policies.draft_policy(owner, slug="conversations", clauses=clauses, introduction="Hello.")
    published = Rubric.objects.get(project=world.project).versions.get()
    rubrics.draft_rubric(owner, slug="conversations", questions=rubrics.as_plain(published))
    enqueue(owner, "review.tasks.draw_round", queue="default")
    Job.objects.update(status="running", done=30, total=100)
    audit.sequence(world.project)
    return world


def test_no_page_has_a_violation_in_light_or_dark_nor_scrolls_sideways(furnished, visit):
    visitor = visit(furnished.user("owner"))
    assert visitor.faults_of(f"/p/{furnished.slug}/{path}" for path in PAGES) == {}
