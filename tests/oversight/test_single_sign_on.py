"""Signing in by OpenID Connect, against a provider that speaks the protocol over real HTTP."""

import json
import secrets
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

import jwt
import pytest
from allauth.mfa.totp.internal.auth import TOTP, generate_totp_secret
from django.test import Client

from oversight.tenancy.models import User

CLIENT_ID = "oversight"
SECRET = "a secret of the client, long enough for HS256"


class Provider(ThreadingHTTPServer):
    """Signs everybody in as `person`, whose claims the test sets."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.person = {}
        self.codes = set()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        url, provider = urlsplit(self.path), self.server
        if url.path == "/.well-known/openid-configuration":
            self._json(
                {
                    "issuer": provider.url,
                    "authorization_endpoint": f"{provider.url}/authorize",
                    "token_endpoint": f"{provider.url}/token",
                    "userinfo_endpoint": f"{provider.url}/userinfo",
                    "jwks_uri": f"{provider.url}/keys",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                }
            )
        elif url.path == "/authorize":
            asked = {name: values[0] for name, values in parse_qs(url.query).items()}
            code = secrets.token_hex(8)
            provider.codes.add(code)
            back = urlencode({"code": code, "state": asked["state"]})
            self.send_response(302)
            self.send_header("Location", f"{asked['redirect_uri']}?{back}")
            self.end_headers()
        elif self.headers["Authorization"] == "Bearer token-of-the-person":
            self._json(provider.person)
        else:
            self.send_error(401)

    def do_POST(self):
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if form["client_secret"] != [SECRET] or form["code"][0] not in self.server.codes:
            self.send_error(400)
            return
        claims = {"iss": self.server.url, "aud": CLIENT_ID, "exp": 4102444800, "iat": 1}
        self._json(
            {
                "access_token": "token-of-the-person",
                "token_type": "Bearer",
                "id_token": jwt.encode(claims | self.server.person, SECRET, algorithm="HS256"),
            }
        )

    def _json(self, told):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(told).encode())

    def log_message(self, *arguments):
        pass


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *arguments):
        return None


@pytest.fixture
def provider(settings):
    with Provider() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        app = {
            "provider_id": "oidc",
            "name": "Acme's accounts",
            "client_id": CLIENT_ID,
            "secret": SECRET,
            "settings": {"server_url": server.url},
        }
        settings.SOCIALACCOUNT_PROVIDERS = {"openid_connect": {"APPS": [app]}}
        yield server
        server.shutdown()


def sign_in(client, provider, **claims):
    """Go the whole way by redirects, from the login page's link; returns the last answer."""
    provider.person = claims
    page = client.get("/accounts/login/").content.decode()
    assert "Acme&#x27;s accounts" in page
    there = client.get("/accounts/oidc/oidc/login/")
    assert there.status_code == 302
    assert there["Location"].startswith(provider.url)
    try:
        urllib.request.build_opener(_Stay).open(there["Location"])
        raise AssertionError("the provider did not send us back")
    except urllib.error.HTTPError as answer:
        back = urlsplit(answer.headers["Location"])
    return client.get(f"{back.path}?{back.query}")


def who(client):
    return client.session.get("_auth_user_id")


def test_a_member_comes_in_and_is_known_again(world, provider):
    member, client = world.user("engineer"), Client()
    told = {"sub": "42", "email": member.email.upper(), "email_verified": True}
    answer = sign_in(client, provider, **told)
    assert answer.status_code == 302
    assert who(client) == str(member.pk)
    again = Client()  # by the provider's own number, whatever the address is now
    sign_in(again, provider, sub="42", email="new@name.example", email_verified=True)
    assert who(again) == str(member.pk)


def test_a_password_set_before_the_address_was_verified_ends(world, provider):
    member = world.user("engineer")
    member.set_password("whoever joined first knows this")
    member.save()
    sign_in(Client(), provider, sub="42", email=member.email, email_verified=True)
    assert not User.objects.get(pk=member.pk).has_usable_password()


def test_a_second_factor_is_asked_for_all_the_same(world, provider):
    member, client = world.user("engineer"), Client()
    TOTP.activate(member, generate_totp_secret())
    answer = sign_in(client, provider, sub="42", email=member.email, email_verified=True)
    assert answer["Location"] == "/accounts/2fa/authenticate/"
    assert who(client) is None


@pytest.mark.parametrize(
    "claims",
    [
        {"email": "stranger@acme.example", "email_verified": True},
        {"email": "engineer@acme.example", "email_verified": False},
        {"email": "engineer@acme.example"},
        {},
    ],
)
def test_nobody_else_does(world, provider, claims):
    world.user("engineer")
    n_people, client = User.objects.count(), Client()
    answer = sign_in(client, provider, sub="43", **claims)
    assert "There is no account for you yet" in answer.content.decode()
    assert who(client) is None
    assert User.objects.count() == n_people


def test_an_answer_that_nobody_asked_for_is_refused(world, provider):
    world.user("engineer")
    provider.person = {"sub": "42", "email": "engineer@acme.example", "email_verified": True}
    provider.codes.add("stolen")
    client = Client()
    client.get("/accounts/oidc/oidc/login/callback/?code=stolen&state=guessed")
    assert who(client) is None
