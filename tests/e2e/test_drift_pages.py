"""The pages of drift in a real browser, and its answers over the API: axe, themes, 320 px."""

import pytest
from playwright.sync_api import expect

from scoring.models import DriftReport
from tests.drifting import made_records, report, window_of
from tests.factories import make_api

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def found(world):
    """A project with a quiet report and one with alarms; the newest first."""
    world.user("owner")
    api = make_api(world.project)
    window_of(api, world.project, made_records(0, 240))
    report(world.project)
    window_of(api, world.project, made_records(240, 150))
    window_of(api, world.project, made_records(390, 150), hours=2)
    report(world.project)
    later = list(made_records(540, 200, shift=1.5))
    for record in later[::4]:
        record["context"]["region"] = "apac"
        del record["signals"]["length"]
    window_of(api, world.project, later, hours=24)
    report(world.project)
    return list(DriftReport.objects.filter(project=world.project).order_by("-pk"))


def test_what_moved_is_read_by_everybody_who_may_read_figures(world, visit, found):
    moved, quiet = found
    assert (moved.n_alarms > 0, quiet.n_alarms) == (True, 0)
    visitor = visit(world.user("owner"))
    base = f"/p/{world.slug}/drift/"
    assert visitor.faults_of([base, f"{base}{moved.pk}/", f"{base}{quiet.pk}/"]) == {}

    plain = visit(world.user("auditor"), java_script_enabled=False)
    plain.open(f"/p/{world.slug}/")
    plain.page.get_by_role("link", name="Drift", exact=True).click()
    assert "language = de" in plain.page.inner_text("section[aria-labelledby=moving]")
    expect(plain.page.locator(".drift-entry")).to_have_count(2)
    plain.page.get_by_role("link", name="Show only those with alarms").click()
    expect(plain.page.locator(".drift-entry")).to_have_count(1)
    plain.page.get_by_role("link", name=f"Report {moved.pk}", exact=True).last.click()
    sentence = next(a["sentence"] for a in moved.alarms if a["name"] == "refusal")
    assert sentence[:1].upper() + sentence[1:] in plain.page.inner_text("main")


def test_reports_over_the_api_and_across_projects(world, other_world, found):
    moved, quiet = found
    api = world.api("records:read")
    listed = api("get", "drift").json()
    assert [row["id"] for row in listed["results"]] == [moved.pk, quiet.pk]
    assert listed["next"] is None
    first = api("get", "drift?limit=1").json()
    assert [row["id"] for row in first["results"]] == [moved.pk]
    second = api("get", f"drift?limit=1&cursor={first['next']}").json()
    assert [row["id"] for row in second["results"]] == [quiet.pk]
    alarmed = api("get", "drift?alarms=1").json()["results"]
    assert [row["id"] for row in alarmed] == [moved.pk]
    told = alarmed[0]["alarms"][0]
    assert told["sentence"] == moved.alarms[0]["sentence"]
    assert "chart" not in told
    one = api("get", f"drift/{moved.pk}").json()
    assert len(one["tests"]) == one["n_tests"] == moved.n_tests
    assert one["scores"]["n"] == 200

    stranger = other_world.api("records:read")
    assert stranger("get", f"drift/{moved.pk}").status_code == 404
    assert stranger("get", "drift").json()["results"] == []
    assert world.api("records:write")("get", "drift").status_code == 403
    assert world.client("reviewer").get(f"/p/{world.slug}/drift/").status_code == 403
    assert other_world.client("owner").get(f"/p/{world.slug}/drift/").status_code == 404
    owner = other_world.client("owner")
    assert owner.get(f"/p/{other_world.slug}/drift/{moved.pk}/").status_code == 404
