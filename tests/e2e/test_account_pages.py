"""The account's pages in the browser: signing in, and switching two-factor authentication on."""

import time

import pytest
from allauth.mfa.totp.internal.auth import format_hotp_value, hotp_value
from django.urls import reverse

from tests.e2e import desk_world

pytestmark = pytest.mark.django_db(transaction=True)


def test_signing_in_and_switching_two_factor_on(visit):
    world = desk_world.build([("q", "a")])
    visitor = visit()
    page = visitor.page
    visitor.open("/")
    assert visitor.axe() == []
    page.get_by_label("Email").fill(world.user.email)
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    assert page.get_by_role("alert").count() == 1
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
    code = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
    page.locator("[name=code]").fill(code)
    page.get_by_role("button", name="Activate").click()
    page.wait_for_url("**/recovery-codes/**")
    assert visitor.axe() == []
    visitor.open(reverse("mfa_add_webauthn"))
    assert visitor.axe() == []
    assert visitor.complaints == []
