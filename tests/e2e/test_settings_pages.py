"""The pages of settings, policies, rubrics, log and jobs in a real browser: axe, width, policy."""

import pytest

from oversight.audit import services as audit
from oversight.jobs.models import Job
from oversight.jobs.services import enqueue
from review.models import Rubric
from review.services import policies, rubrics
from tests.e2e.conftest import NARROW, WIDE

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


def test_a_form_sent_after_the_session_ended_is_shown_again(furnished, visit):
    visitor = visit(furnished.user("owner"))
    page = visitor.page
    visitor.open(f"/p/{furnished.slug}/policies/conversations/versions/2/edit")
    page.get_by_label("Introduction").fill("an hour of work " * 30)
    page.context.clear_cookies(name="sessionid")
    page.get_by_role("button", name="Save the draft").click()
    assert "an hour of work" in page.locator(".typed-text").first.inner_text()
    for size in (WIDE, NARROW):
        page.set_viewport_size(size)
        assert visitor.axe() == []
        assert visitor.overflow() <= 0
    assert visitor.complaints == []
