"""Hostile content at the desk: markup stays text, images are fetched on request, floods end."""

import base64

import pytest
from django.urls import reverse

from review.models import Verdict
from tests.e2e import desk_world
from tests.e2e.desk_steps import case_id, next_case, start

pytestmark = pytest.mark.django_db(transaction=True)


ATTACKS = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<div hx-get='/accounts/logout/' hx-trigger='load'>x</div>",
    "<div data-hx-get='/accounts/logout/' data-hx-trigger='load'>x</div>",
    "<form hx-post='/theme' hx-trigger='load'><input name=theme value=dark></form>",
    "<a href='javascript:alert(1)'>x</a>",
    "javascript:alert(1)",
    "<iframe srcdoc='<script>parent.alert(1)</script>'></iframe>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "</textarea><script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "'\" autofocus onfocus=alert(1) x='",
    "{{ 7|add:7 }}{% debug %}",
    "</p></li></ol></section><h1>Submit</h1>",
    "![x](http://attacker.example/x.png)",
    "<img src=http://attacker.example/y.png>",
    "<link rel=stylesheet href=http://attacker.example/z.css>",
    "<meta http-equiv=refresh content='0;url=http://attacker.example/'>",
    "<style>@import 'http://attacker.example/s.css'</style>",
    "<base href=http://attacker.example/>",
    "<hx-partial hx-target='#announcer'>owned</hx-partial>",
    "<template hx type=partial hx-target='#announcer'>owned</template>",
]


def test_hostile_text_stays_text_everywhere(visit):
    attack = "\n".join(ATTACKS)
    parts = [{"type": "text", "text": attack}]
    world = desk_world.build(
        [
            (attack, attack),
            ([{"role": "<img src=x onerror=alert(1)>", "content": parts}], attack),
        ],
        questions=desk_world.BINARY,
        external_id='"><script>alert(1)</script>',
    )
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    assert page.locator(".output .block").first.inner_text().count("<script>") >= 1
    page.locator("#note").fill("</textarea><script>alert(1)</script>")
    page.keyboard.press("Escape")
    next_case(page, case_id(page), "x")  # the second arrives as a swapped fragment
    page.wait_for_timeout(300)
    assert page.inner_text("#announcer") == "Case with 2 turns. 0 more waiting."
    for attribute in ("hx-get", "data-hx-get"):
        assert page.locator(f"[{attribute}]").count() == 0
    page.keyboard.press("v")
    page.wait_for_selector(".evidence")
    page.wait_for_timeout(300)
    assert "<script>" in page.inner_text(".evidence")
    assert visitor.dialogs == []
    assert visitor.foreign == []
    assert visitor.complaints == []


PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def test_images_are_shown_can_be_hidden_and_come_only_to_who_may_see_the_case(visit, client):
    image = {"type": "image", "media_type": "image/png", "data": base64.b64encode(PNG).decode()}
    fake = {**image, "data": base64.b64encode(b"<svg onload=alert(1)>").decode()}
    content = [{"role": "user", "content": [{"type": "text", "text": "see"}, image, fake]}]
    world = desk_world.build([(content, "1")])
    url = reverse("review:evidence_image", args=[world.project.slug, world.cases[0].pk, 1])
    visitor = visit(world.user)
    page = visitor.page
    with page.expect_response(f"**{url}") as answer:
        start(visitor, world)
    assert page.locator(".picture[open]").count() == 2
    page.keyboard.press("b")
    assert page.locator(".picture[open]").count() == 0
    headers = answer.value.headers
    assert answer.value.body() == PNG
    assert headers["content-type"] == "image/png"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert headers["x-content-type-options"] == "nosniff"
    assert page.locator("img[src^='data:']").count() == 0
    assert client.get(url.replace("/1", "/2")).status_code == 404  # not what it says it is
    assert client.get(url.replace("/1", "/9")).status_code == 404
    colleague = desk_world.User.objects.create_user("c@example.org", desk_world.PASSWORD)
    desk_world.Membership.objects.create(
        project=world.project, user=colleague, role=desk_world.Role.REVIEWER
    )
    client.force_login(colleague)
    assert client.get(url).status_code == 404


def test_a_megabyte_in_one_line_is_soon_interactive(visit):
    world = desk_world.build([("q", "x\u202e" * 500_000)], questions=desk_world.BINARY)
    visitor = visit(world.user)
    start(visitor, world)
    page = visitor.page
    page.locator(".output .fold summary").click()
    assert visitor.overflow() == 0
    next_case(page, case_id(page), "x")
    assert Verdict.objects.count() == 1
