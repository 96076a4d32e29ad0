"""The pages of records, rounds and scorers in a real browser: axe, both themes, 320 px."""

import pytest
from playwright.sync_api import expect

from review.services import rounds
from scoring.services import fitting, scorers
from tests.factories import make_api, make_record

pytestmark = pytest.mark.django_db(transaction=True)

_LONG = "a very long name without any space in it".replace(" ", "-") * 4


@pytest.fixture
def pages(world):
    """A project with something on every page; the paths of its pages."""
    world.user("owner")
    lead, queue = world.actor("lead"), world.project.queues.get()
    api = make_api(world.project)
    signals = [
        {"toxicity": (i * 37 % 100) / 100, "pii": (i * 17 % 50) / 50, "length": float(i)}
        for i in range(120)
    ]
    api.post("records", {"records": [make_record(i, signals=signals[i]) for i in range(60)]})
    config = {"minimum_records": 40, "tier_rates": [0.3, 0.2, 0.1, 0.05], "review_from_tier": 2}
    engineer = world.actor("engineer")
    scorers.release(engineer, version=fitting.fit(engineer, config=config))
    fitting.fit(engineer, config=config)
    late = [make_record(i, signals=signals[i]) for i in range(60, 119)]
    hostile = make_record(
        119,
        external_id=_LONG[:200],
        signals={"toxicity": 3.0},
        input=[{"role": "user", "content": "Say \u202ehi\u202c to\n\nme."}],
        context={"region": "eu", "tier": "gold"},
        consent={"basis": "contract"},
    )
    results = api.post("records", {"records": [*late, hostile]}).json()["results"]
    made = rounds.run(lead, queue=queue, budget=12)[0]
    record = results[-1]["id"]
    api.post(f"records/{record}/review", {"queue": queue.slug, "reason": "a complaint"})
    return [
        "records/",
        f"records/{record}/",
        "rounds/",
        f"rounds/{made.pk}/",
        "scorers/",
        "scorers/default/versions/2/",
        "scorers/default/versions/3/release",
    ]


def test_no_page_has_a_violation_in_light_or_dark_nor_scrolls_sideways(world, visit, pages):
    visitor = visit(world.user("owner"))
    assert visitor.faults_of(f"/p/{world.slug}/{path}" for path in pages) == {}


def test_a_record_is_found_and_handed_to_a_person_without_scripts(world, visit, pages):
    visitor = visit(world.user("lead"), java_script_enabled=False)
    visitor.open(f"/p/{world.slug}/")
    visitor.page.get_by_role("link", name="Records", exact=True).click()
    visitor.page.get_by_label("Region").fill("eu")
    visitor.page.get_by_role("button", name="Narrow").click()
    expect(visitor.page.locator("tbody tr")).to_have_count(1)
    visitor.open(f"/p/{world.slug}/records/")
    visitor.page.get_by_role("link", name="r-70", exact=True).click()
    visitor.page.get_by_label("Reason").fill("A customer complained.")
    visitor.page.get_by_role("button", name="Ask", exact=True).click()
    assert "is given this record first" in visitor.page.inner_text(".messages")
    assert "escalated" in visitor.page.inner_text("section[aria-labelledby=cases]").lower()
