"""The pages of settings, policies, rubrics, log and jobs in a real browser: axe, width, policy."""

import json
from pathlib import Path

import axe_playwright_python
import pytest

from oversight.audit import services as audit
from oversight.jobs.models import Job
from oversight.jobs.services import enqueue
from review.models import Rubric
from review.services import policies, rubrics

pytestmark = pytest.mark.django_db(transaction=True)

AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
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


def violations(page, **options):
    page.evaluate(AXE + ";0")
    run = page.evaluate("options => axe.run(document, options)", options)
    return [
        (found["id"], [node["html"][:160] for node in found["nodes"]])
        for found in run["violations"]
    ]


def test_no_page_has_a_violation_in_light_or_dark_nor_scrolls_sideways(furnished, visit):
    visitor = visit(furnished.user("owner"))
    page, wrong = visitor.page, {}
    for path in PAGES:
        page.emulate_media(color_scheme="light")
        answer = page.goto(f"{visitor.base}/p/{furnished.slug}/{path}")
        assert answer.status == 200, path
        if found := violations(page, runOnly={"type": "tag", "values": TAGS}):
            wrong[path] = found
        page.emulate_media(color_scheme="dark")  # which changes colours and nothing else
        if found := violations(page, runOnly=["color-contrast"]):
            wrong[f"{path}, dark"] = found
        page.set_viewport_size({"width": 320, "height": 700})
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        if wide > 0:
            wrong[f"{path}, 320 px"] = wide
        page.set_viewport_size({"width": 1280, "height": 900})
    assert wrong == {}, json.dumps(wrong, indent=1)
    assert visitor.complaints == []
    assert visitor.foreign == []
