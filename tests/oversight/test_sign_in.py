"""Signing in and staying so: what ends it, what holds guesses back, what the log says of it."""

import json
import logging
import time
from functools import partial

import pytest
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.hashers import identify_hasher, make_password
from django.contrib.sessions.models import Session
from django.test import Client

from oversight import settings as delivered
from oversight.lib.logs import JsonFormatter
from oversight.tenancy.models import User
from tests.second_factor import present_code
from tests.sessions import all_at_once

PASSWORD = "correct horse battery"
LOGIN = "/accounts/login/"
SECOND = "/accounts/2fa/authenticate/"


@pytest.fixture
def member(world):
    user = world.user("reviewer")
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(client, email, password=PASSWORD, **more):
    return client.post(LOGIN, {"login": email, "password": password}, **more)


def is_in(client, world):
    return client.get(f"/p/{world.slug}/policies/").status_code == 200


@pytest.fixture
def signed_in(member):
    client = Client()
    assert sign_in(client, member.email).status_code == 302
    return client


class TestSessions:
    def test_signing_in_gives_another_session(self, member, world):
        client = Client()
        client.post("/theme", {"theme": "dark"})
        session = client.session  # one that somebody has planted
        session["planted"] = 1
        session.save()
        before = session.session_key
        client.cookies["sessionid"] = before
        assert sign_in(client, member.email).status_code == 302
        after = client.cookies["sessionid"].value
        assert after != before
        assert len(after) == 32  # of 36 characters: 165 bits
        assert not Session.objects.filter(session_key=before).exists()

    def test_signing_out_ends_it_for_whoever_kept_the_cookie(self, signed_in, world):
        page = signed_in.get(f"/p/{world.slug}/policies/").content.decode()
        assert 'action="/accounts/logout/"' in page
        kept = signed_in.cookies["sessionid"].value
        assert signed_in.get("/accounts/logout/").status_code == 200
        assert is_in(signed_in, world)  # following a link signs nobody out
        signed_in.post("/accounts/logout/")
        thief = Client()
        thief.cookies["sessionid"] = kept
        assert not is_in(thief, world)
        assert not Session.objects.filter(session_key=kept).exists()

    def test_a_changed_password_ends_every_session(self, signed_in, member, world):
        other = Client()
        sign_in(other, member.email)
        fields = {"oldpassword": PASSWORD, "password1": "another long one"}
        changed = signed_in.post(
            "/accounts/password/change/", {**fields, "password2": fields["password1"]}
        )
        assert changed.status_code == 302
        assert not is_in(other, world)
        assert not is_in(signed_in, world)

    def test_a_changed_password_needs_the_old_one(self, signed_in, member):
        fields = {"oldpassword": "guessed", "password1": "another long one"}
        signed_in.post("/accounts/password/change/", {**fields, "password2": fields["password1"]})
        member.refresh_from_db()
        assert member.check_password(PASSWORD)

    def test_a_deactivated_person_is_out_at_once(self, signed_in, member, world):
        api = world.api("review", acts_as=member)
        assert is_in(signed_in, world)
        User.objects.filter(pk=member.pk).update(is_active=False)
        assert not is_in(signed_in, world)
        assert api("GET", "policies").status_code == 401
        client = Client()
        sign_in(client, member.email)
        assert SESSION_KEY not in client.session

    @pytest.mark.parametrize(
        ("began_ago", "used_ago", "stays"),
        [(3600, 3600, True), (3600, 13 * 3600, False), (15 * 86_400, 60, False)],
    )
    def test_it_ends_when_unused_or_old(self, signed_in, world, began_ago, used_ago, stays):
        assert is_in(signed_in, world)
        session, now = signed_in.session, int(time.time())
        session["began"], session["used"] = now - began_ago, now - used_ago
        session.save()
        assert is_in(signed_in, world) == stays
        if stays:
            assert signed_in.session["began"] == now - began_ago
            assert signed_in.session["used"] >= now
        else:
            assert not Session.objects.filter(session_key=session.session_key).exists()


class TestGuesses:
    def test_five_wrong_passwords_hold_an_address_back(self, member):
        client = Client()
        for _ in range(5):
            sign_in(client, member.email, "wrong")
        sign_in(client, member.email)
        assert SESSION_KEY not in client.session

    def test_a_header_that_anybody_can_send_makes_no_new_client(self, member):
        client = Client()
        for number in range(12):
            fields = {"REMOTE_ADDR": "203.0.113.5", "HTTP_X_FORWARDED_FOR": f"198.51.100.{number}"}
            sign_in(client, f"person{number}@acme.example", "wrong", **fields)
        sign_in(client, member.email, REMOTE_ADDR="203.0.113.5")
        assert SESSION_KEY not in client.session
        elsewhere = Client()
        sign_in(elsewhere, member.email, REMOTE_ADDR="203.0.113.6")
        assert SESSION_KEY in elsewhere.session

    def test_a_wrong_answer_does_not_tell_whether_there_is_an_account(self, member):
        EmailAddress.objects.create(user=member, email=member.email, verified=True, primary=True)
        told = []
        for email in (member.email, "nobody@acme.example"):
            page = sign_in(Client(), email, "wrong")
            told.append((page.status_code, str(page.context["form"].errors)))
        assert told[0] == told[1]

    @pytest.mark.parametrize("is_known", [True, False])
    def test_nor_does_its_time(self, member, settings, is_known, monkeypatch):
        """A password is hashed once, whoever is named: that is what takes the time."""
        hashed = []
        hasher = "django.contrib.auth.hashers.Argon2PasswordHasher"
        settings.PASSWORD_HASHERS = [hasher]
        real = User.set_password, User.check_password
        monkeypatch.setattr(User, "set_password", lambda *a: hashed.append(1) or real[0](*a))
        monkeypatch.setattr(User, "check_password", lambda *a: hashed.append(1) or real[1](*a))
        sign_in(Client(), member.email if is_known else "nobody@acme.example", "wrong")
        assert len(hashed) == 1

    def test_passwords_are_hashed_at_full_strength(self, settings):
        """By the settings as they are delivered; other tests hash with less work."""
        settings.PASSWORD_HASHERS = delivered.PASSWORD_HASHERS
        encoded = make_password(PASSWORD)
        told = identify_hasher(encoded).decode(encoded)
        assert told["variety"] == "argon2id"
        assert told["memory_cost"] >= 19_456  # KiB; this and two passes are what OWASP asks for
        assert told["time_cost"] >= 2


class TestSecondFactor:
    @pytest.fixture
    def code(self, member, settings):
        """Makes the present code of a second factor that the member has set up.

        A step lasts an hour, so that next to no test begins at the end of one.
        """
        settings.MFA_TOTP_PERIOD = 3600
        secret = generate_totp_secret()
        TOTP.activate(member, secret)
        return lambda: present_code(secret)

    def test_a_password_alone_lets_nobody_in_who_has_one(self, member, code):
        client = Client()
        answer = sign_in(client, member.email)
        assert answer["Location"] == SECOND
        assert SESSION_KEY not in client.session
        wrong = "000000" if code() != "000000" else "000001"
        assert client.post(SECOND, {"code": wrong}).status_code == 200
        assert SESSION_KEY not in client.session
        right = code()
        assert client.post(SECOND, {"code": right}).status_code == 302
        assert client.session[SESSION_KEY] == str(member.pk)
        again = Client()  # whoever has looked over a shoulder
        sign_in(again, member.email)
        again.post(SECOND, {"code": right})
        assert SESSION_KEY not in again.session

    def test_codes_cannot_be_guessed(self, member, code):
        client = Client()
        sign_in(client, member.email)
        for _ in range(6):
            client.post(SECOND, {"code": "wrong"})
        assert client.post(SECOND, {"code": code()}).status_code != 302
        assert SESSION_KEY not in client.session


@pytest.mark.django_db(transaction=True)
def test_of_many_guesses_at_once_no_more_are_looked_at(make_world, caplog):
    email = make_world("race").user("reviewer").email
    guesses = [partial(sign_in, Client(), email, f"guess {number}") for number in range(20)]
    answers = all_at_once(*guesses)
    assert {answer.status_code for answer in answers} <= {200, 429}
    looked_at = [record for record in caplog.records if record.message == "a sign-in was refused"]
    assert 1 <= len(looked_at) <= 5


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/email/",
        "/accounts/confirm-email/",
        "/accounts/confirm-email/abc/",
        "/accounts/login/code/confirm/",
        "/accounts/password/reset/done/",
        "/accounts/password/reset/key/1-abc/",
    ],
)
def test_there_is_no_way_in_by_mail(signed_in, path):
    for client in (signed_in, Client()):
        assert client.get(path).status_code == 404
        assert client.post(path, {"email": "new@acme.example", "action_add": ""}).status_code == 404


def test_a_forgotten_password_is_an_owners_matter(member, mailoutbox):
    assert b"Ask an owner" in Client().get("/accounts/password/reset/").content
    assert Client().post("/accounts/password/reset/", {"email": member.email}).status_code == 405
    assert mailoutbox == []


def test_nobody_signs_up(db):
    fields = {"email": "new@acme.example", "password1": PASSWORD, "password2": PASSWORD}
    Client().post("/accounts/signup/", fields)
    assert not User.objects.exists()


class TestLog:
    @pytest.fixture
    def lines(self, caplog):
        caplog.set_level(logging.INFO)

        def read():
            texts = [JsonFormatter().format(record) for record in caplog.records]
            assert not any("\n" in text for text in texts)
            return [json.loads(text) for text in texts]

        return read

    def test_it_says_who_came_in_and_went(self, member, lines):
        client = Client()
        sign_in(client, member.email, "wrong\nforged", REMOTE_ADDR="203.0.113.5")
        sign_in(client, member.email, REMOTE_ADDR="203.0.113.5")
        client.post("/accounts/logout/")
        told = [line for line in lines() if line["logger"] == "oversight.tenancy.adapter"]
        assert [line["message"] for line in told] == [
            "a sign-in was refused",
            "signed in",
            "signed out",
        ]
        assert told[0]["address"] == told[1]["address"] == "203.0.113.5"
        assert told[1]["actor"] == f"user {member.pk}"
        assert told[1]["at"].endswith("+00:00")
        whole = json.dumps(lines())
        assert member.email not in whole
        assert "forged" not in whole
        assert PASSWORD not in whole

    def test_it_says_when_guesses_are_held_back(self, member, lines):
        for _ in range(6):
            sign_in(Client(), member.email, "wrong")
        assert "too many sign-ins were tried" in [line["message"] for line in lines()]

    def test_it_says_who_was_kept_out_of_what(self, world, other_world, lines):
        world.client("reviewer").get(f"/p/{world.slug}/settings/members")
        other_world.client("owner").get(f"/p/{world.slug}/policies/")
        key = world.key("records:write")
        Client().get("/api/v1/policies", headers={"authorization": f"Bearer {key}"})
        Client().get("/api/v1/policies", headers={"authorization": f"Bearer {key}x"})
        Client().get("/password-links/a-secret-token")
        Client(enforce_csrf_checks=True).post("/password-links/a-secret-token")
        told = [line for line in lines() if line["message"] == "refused"]
        assert [(line["status"], line["view"], line.get("actor", "").split()) for line in told] == [
            (403, "tenancy:members", ["user", str(world.user("reviewer").pk)]),
            (404, "review:policy_list", ["user", str(other_world.user("owner").pk)]),
            (403, "api:policies", ["key", told[2]["actor"].split()[1]]),
            (401, "api:policies", []),
            (410, "tenancy:reset_password", []),
            (403, "tenancy:reset_password", []),
        ]
        assert "a-secret-token" not in json.dumps(lines())
        assert key not in json.dumps(lines())
