"""Every page and state of the reviewer: accessible in both themes, never scrolling sideways."""

import pytest
from django.urls import reverse

from tests.e2e import desk_world
from tests.e2e.desk_steps import CASE, case_id, desk_url, next_case

pytestmark = pytest.mark.django_db(transaction=True)


def pages_of(world, visitor):
    """Each page and state of the reviewer, named."""
    page = visitor.page
    slug = world.project.slug
    yield "queues", lambda: visitor.open(reverse("review:queue_list", args=[slug]))
    yield "start", lambda: visitor.open(desk_url(world))

    def claim():
        page.keyboard.press("Enter")
        page.wait_for_selector(CASE)

    yield "case", claim

    def refuse():
        page.keyboard.press("Enter")
        page.wait_for_selector("#case-alert .notice")

    yield "refused", refuse

    def press(key, selector):
        page.keyboard.press(key)
        page.wait_for_selector(selector)

    yield "policy", lambda: press("r", "#policy:popover-open")
    yield "shortcuts", lambda: (page.keyboard.press("Escape"), press("?", "dialog[open]"))
    yield "skip", lambda: (page.keyboard.press("Escape"), press("s", "#skip:popover-open"))

    def submit():
        page.keyboard.press("Escape")
        before = case_id(page)
        page.locator("[name=q-violates][value=true]").check()
        page.locator("[name=q-cause][value=advice]").check()
        next_case(page, before, "Control+Enter")

    yield "next", submit
    yield "verdict", lambda: press("z", "[data-reveal]")
    yield "evidence", lambda: press("v", ".evidence")
    yield "missing", lambda: visitor.open(f"/p/{slug}/queues/none/review/")
    yield "home", lambda: visitor.open("/accounts/password/change/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_is_accessible(visit, scheme):
    conversation = [
        {"role": "system", "content": "be kind\n" * 12},
        {"role": "user", "content": "hidden \u202e words\n\n" + "line\n\n" * 90},
    ]
    world = desk_world.build([(conversation, "fine"), ("q", "a"), ("q", "b")])
    visitor = visit(world.user, color_scheme=scheme)
    for name, go in pages_of(world, visitor):
        go()
        assert visitor.axe() == [], name
    assert visitor.complaints == []


@pytest.mark.parametrize("width", [320, 640, 1024])
def test_no_page_scrolls_sideways(visit, width):
    word = "W" * 400
    world = desk_world.build(
        [([{"role": "r" * 60, "content": word}], word), ("q", word), ("q", "b")]
    )
    visitor = visit(world.user, viewport={"width": width, "height": 800})
    for name, go in pages_of(world, visitor):
        go()
        assert visitor.overflow() == 0, name


def test_the_checks_of_these_files_can_fail(visit):
    visitor = visit()
    visitor.open("/accounts/login/")
    assert visitor.axe() == []
    visitor.page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert any("image-alt" in one for one in visitor.axe())
    visitor.page.evaluate("() => { try { document.body.innerHTML = '<b>x</b>' } catch {} }")
    with visitor.page.expect_request("**/csp-report"):
        visitor.page.evaluate("document.body.setAttribute('style', 'width: 3000px')")
    assert any("report" in one for one in visitor.complaints)
