"""Settings as they are with HTTPS: what answers carry, what cookies look like, who is let in."""

import runpy

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver

from oversight.lib.headers import DATA_POLICY
from tests.test_architecture import ROOT

HOST = "oversight.example"
PASSWORD = "correct horse battery"


@pytest.fixture
def production(settings, monkeypatch):
    """All settings that differ once the operator has said that people come by HTTPS."""
    monkeypatch.setenv("OVERSIGHT_SECRET_KEY", "k" * 20 + "0123456789abcdefghijklmnopqrstuvwxyz")
    monkeypatch.setenv("OVERSIGHT_HOSTS", HOST)
    monkeypatch.delenv("DJANGO_ALLOW_ASYNC_UNSAFE", raising=False)  # set for browser tests
    monkeypatch.setenv("OVERSIGHT_HTTPS", "0")
    plain = runpy.run_path(str(ROOT / "oversight/settings.py"))
    monkeypatch.setenv("OVERSIGHT_HTTPS", "1")
    ours = runpy.run_path(str(ROOT / "oversight/settings.py"))
    differing = {name for name in ours if name.isupper() and ours[name] != plain[name]}
    assert {"SESSION_COOKIE_SECURE", "SECURE_SSL_REDIRECT"} <= differing
    for name in (*differing, "ALLOWED_HOSTS", "SECRET_KEY"):
        setattr(settings, name, ours[name])
    return Client(headers={"host": HOST})


@pytest.fixture
def member(world):
    user = world.user("owner")
    user.set_password(PASSWORD)
    user.save()
    return user


def sign_in(client, member):
    answer = client.post(
        "/accounts/login/", {"login": member.email, "password": PASSWORD}, secure=True
    )
    assert answer.status_code == 302
    return answer


def addresses():
    """One address of every route, whatever it leads to."""

    def walk(resolver, prefix=""):
        for entry in resolver.url_patterns:
            pattern = entry.pattern
            route = prefix + str(getattr(pattern, "_route", ""))
            if isinstance(entry, URLResolver):
                yield from walk(entry, route)
            elif isinstance(entry, URLPattern) and hasattr(pattern, "_route"):
                yield route

    for route in sorted(set(walk(get_resolver()))):
        parts = []
        for part in route.split("/"):
            kind = part.partition("<")[2].partition(":")[0] if "<" in part else None
            filled = {
                "int": "1",
                "uuid": "01890000-0000-7000-8000-000000000000",
                "slug": "acme",
                "str": "x",
            }
            parts.append(part if kind is None else filled.get(kind, "x"))
        yield "/" + "/".join(parts)


def test_nothing_is_left_for_a_deploy_check(production):
    call_command("check", deploy=True, fail_level="WARNING")


WANTED = {
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
}
DIRECTIVES = {
    "default-src 'none'",
    "object-src 'none'",
    "base-uri 'none'",
    "frame-ancestors 'none'",
    "form-action 'self'",
    "style-src 'self'",
    "require-trusted-types-for 'script'",
    "report-uri /csp-report",
}


def faults_of(answer):
    """What an answer lacks."""
    faults = {name for name, value in WANTED.items() if answer.headers.get(name) != value}
    policy = answer.headers.get("Content-Security-Policy", "")
    if policy not in ("default-src 'none'; sandbox", DATA_POLICY):  # no page: an image, or data
        faults |= DIRECTIVES - set(policy.split("; "))
    if "unsafe" in policy:
        faults.add("unsafe")
    if answer.headers.get("Referrer-Policy") not in ("same-origin", "no-referrer"):
        faults.add("Referrer-Policy")
    return faults | {name for name in answer.headers if name.startswith("Access-Control-")}


def test_every_route_carries_the_headers_and_is_kept_by_nobody(production, member, world):
    sign_in(production, member)
    strangers = Client(headers={"host": HOST, "origin": "https://attacker.example"})
    seen, wrong = set(), {}
    for path in addresses():
        for client in (production, strangers):
            for method in ("get", "post"):
                answer = getattr(client, method)(path, secure=True)
                seen.add(answer.status_code)
                faults = faults_of(answer)
                if "no-store" not in answer.headers.get("Cache-Control", ""):
                    faults.add("Cache-Control")
                if answer.status_code >= 500:
                    faults.add(str(answer.status_code))
                if faults:
                    wrong[method, path, answer.status_code] = faults
        if path == "/accounts/logout/":
            sign_in(production, member)
    assert wrong == {}
    assert {200, 302, 400, 401, 404, 405} <= seen


@pytest.mark.parametrize("path", ["/static/css/base.css", "/static/nothing.js", "/nowhere"])
def test_static_files_and_what_is_not_there_carry_them_too(production, db, path):
    answer = production.get(path, secure=True)
    answer.close()
    assert faults_of(answer) == set()


def test_whoever_comes_without_https_is_sent_to_it(production, db):
    answer = production.get("/accounts/login/")
    assert answer.status_code == 301
    assert answer["Location"] == f"https://{HOST}/accounts/login/"
    assert "default-src 'none'" in answer["Content-Security-Policy"]
    assert production.get("/healthz").status_code == 200


def test_another_host_is_refused(production, db):
    assert production.get("/", secure=True, headers={"host": "attacker.example"}).status_code == 400


def test_cookies_are_this_hosts_over_https_and_out_of_scripts_reach(production, member):
    sign_in(production, member)
    production.post("/theme", {"theme": "dark"}, secure=True)
    production.post("/theme", {"theme": "dark"}, secure=True)
    cookies = production.cookies
    assert set(cookies) == {"__Host-sessionid", "__Host-csrftoken", "__Host-theme"}
    for name, cookie in cookies.items():
        assert cookie["secure"], name
        assert cookie["httponly"], name
        assert cookie["samesite"] == "Lax", name
        assert cookie["path"] == "/", name
        assert not cookie["domain"], name
        assert len(name) + len(cookie.value) < 4096, name
    page = production.get("/accounts/2fa/", secure=True).content.decode()
    assert cookies["__Host-sessionid"].value not in page


def test_what_a_page_says_once_is_kept_from_cookies(production, member, world):
    sign_in(production, member)
    world.key("records:read")
    key = world.project.api_keys.get()
    page = f"/p/{world.slug}/settings/keys/{key.pk}/revoke"
    answer = production.post(page, {"key_prefix": key.prefix}, secure=True)
    assert answer.status_code == 302
    assert "messages" not in answer.cookies
    assert b"is revoked" in production.get(answer["Location"], secure=True).content


def test_a_script_tag_holds_a_number_that_is_used_once(production, db):
    nonces = set()
    for _ in range(2):
        answer = production.get("/accounts/login/", secure=True)
        (source,) = [
            part
            for part in answer["Content-Security-Policy"].split("; ")
            if part.startswith("script-src ")
        ]
        nonce = source.partition("'nonce-")[2].rstrip("'")
        assert f'nonce="{nonce}"' in answer.content.decode()
        nonces.add(nonce)
    assert len(nonces) == 2


def test_a_form_from_another_site_is_refused_with_and_without_a_token(production, member, world):
    strict = Client(enforce_csrf_checks=True, headers={"host": HOST})
    strict.force_login(member, backend="allauth.account.auth_backends.AuthenticationBackend")
    page = strict.get("/accounts/2fa/", secure=True).content.decode()
    token = page.partition('name="csrfmiddlewaretoken" value="')[2].partition('"')[0]
    fields = {"theme": "dark", "csrfmiddlewaretoken": token}
    own, foreign = f"https://{HOST}", "https://attacker.example"

    def send(fields, origin):
        return strict.post("/theme", fields, secure=True, headers={"origin": origin}).status_code

    assert send(fields, own) == 302
    assert send(fields, foreign) == 403
    assert send({"theme": "dark"}, own) == 403
    # A browser's session reaches the API under the same rule, whatever type the body says it has.
    for kind in ("application/json", "text/plain"):
        answer = strict.post(
            f"/api/v1/rounds?project={world.slug}",
            b"{}",
            content_type=kind,
            secure=True,
            headers={"origin": foreign},
        )
        assert answer.status_code == 403


def test_an_unexpected_error_tells_nothing_of_itself(production, member, world, monkeypatch):
    sign_in(production, member)
    production.raise_request_exception = False

    def fail(*args, **kwargs):
        raise RuntimeError("SELECT secret FROM somewhere")

    monkeypatch.setattr("oversight.home.memberships_of", fail)
    answer = production.get("/", secure=True)
    assert answer.status_code == 500
    assert "secret" not in answer.content.decode()
    assert "RuntimeError" not in answer.content.decode()
    assert faults_of(answer) == set()
