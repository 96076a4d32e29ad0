"""The account's pages in the browser: signing in, and switching two-factor authentication on."""

import pytest
from django.urls import reverse
from playwright.sync_api import expect

from tests.e2e import desk_world
from tests.e2e.desk_steps import start
from tests.second_factor import present_code

pytestmark = pytest.mark.django_db(transaction=True)


def test_signing_in_and_switching_two_factor_on(visit, settings):
    settings.MFA_TOTP_PERIOD = 3600  # next to no test begins at the end of a step
    world = desk_world.build([("q", "a")])
    visitor = visit()
    page = visitor.page
    visitor.open("/")
    assert visitor.axe() == []
    page.get_by_label("Email").fill(world.user.email)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("alert")).to_have_count(1)
    page.get_by_label("Password").fill(desk_world.PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/queues/")  # one project: straight to where its work is
    visitor.open(reverse("mfa_index"))
    assert visitor.axe() == []
    visitor.open(reverse("mfa_activate_totp"))
    if "/reauthenticate/" in page.url:  # allauth asks again before what guards the account
        assert visitor.axe() == []
        page.get_by_label("Password").fill(desk_world.PASSWORD)
        page.get_by_role("button", name="Confirm").click()
    page.wait_for_selector("svg.qr path")
    assert visitor.axe() == []
    secret = page.input_value("#authenticator_secret")
    page.locator("[name=code]").fill(present_code(secret))
    page.get_by_role("button", name="Activate").click()
    page.wait_for_url("**/recovery-codes/**")
    assert visitor.axe() == []
    visitor.open(reverse("mfa_add_webauthn"))
    assert visitor.axe() == []
    assert visitor.complaints == []


def test_signing_out_leaves_nothing_in_the_browser(visit):
    world = desk_world.build([("q", "a")], questions=desk_world.BINARY)
    visitor = visit(world.user)
    page = visitor.page
    start(visitor, world)
    page.keyboard.press("n")
    page.locator("#note").fill("what I think of this person")
    kept = "() => Object.values(sessionStorage).join()"
    page.wait_for_function("() => Object.values(sessionStorage).join().includes('this person')")
    page.get_by_role("button", name="Account").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/accounts/login/**")
    assert page.evaluate(kept) == ""
    assert page.evaluate("() => Object.keys(localStorage)") in ([], ["oversight.keys"])
    page.go_back()
    assert "this person" not in page.content()
    assert visitor.complaints == []
