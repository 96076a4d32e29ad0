"""Scorer versions over the API and their pages: fit, release, score, roll back, freeze."""

import pytest
from django.db import ProgrammingError, transaction

from oversight.audit.models import AuditEvent
from oversight.tenancy.models import Role
from scoring import histograms, tasks
from scoring.models import Scorer, ScorerVersion
from tests.factories import make_api, make_project, make_record

VERSIONS = "scorers/default/versions"
CONFIG = {"minimum_records": 40, "tier_rates": [0.2, 0.1, 0.05, 0.03]}


@pytest.fixture
def fitted(api, send):
    """A project whose scorer has a second version, fitted and not in use."""
    send(60)
    job = api.post(VERSIONS, {"config": CONFIG}).json()
    assert tasks.fit_scorer(job["id"]) == "done"
    assert api.get(f"jobs/{job['id']}").json()["result"] == {
        "scorer": "default",
        "version": 2,
        "records": len(used_for_fitting(api)),
    }
    return api


def used_for_fitting(api):
    rows = api.get("records?limit=500").json()["results"]
    return [row for row in rows if not row["held_out"]]


def extreme(external_id):
    return make_record(900, external_id=external_id, signals={"toxicity": 50.0})


def test_records_are_scored_by_what_is_released_and_by_nothing_else(fitted, send):
    proposed = fitted.get(f"{VERSIONS}/2").json()
    assert (proposed["status"], proposed["is_current"]) == ("proposed", False)
    assert proposed["baseline"]["n_records"] == len(used_for_fitting(fitted))
    assert send([extreme("before")])["results"][0]["score"] == 0

    released = fitted.post(f"{VERSIONS}/2/release")
    assert released.status_code == 200, released.content
    assert released.json()["is_current"] is True
    result = send([extreme("during")])["results"][0]
    assert result["score"] > 0.95
    assert result["tier"] >= 3
    assert result["reasons"][0]["name"] == "toxicity"
    assert fitted.get(f"records/{result['id']}").json()["scorer_version"] == 2

    back = fitted.post(f"{VERSIONS}/2/rollback")
    assert (back.status_code, back.json()["number"]) == (200, 1)
    assert send([extreme("after")])["results"][0]["score"] == 0


def test_a_second_click_releases_or_rolls_back_nothing(fitted, project):
    assert fitted.post(f"{VERSIONS}/2/rollback").status_code == 409  # not in use
    assert fitted.post(f"{VERSIONS}/1/rollback").json()["code"] == "no_previous"
    assert fitted.post(f"{VERSIONS}/2/release").status_code == 200
    assert fitted.post(f"{VERSIONS}/2/release").status_code == 409
    assert fitted.post(f"{VERSIONS}/2/rollback").status_code == 200
    assert fitted.post(f"{VERSIONS}/2/rollback").status_code == 409
    told = AuditEvent.objects.filter(project=project, object_type="scorer_version")
    assert list(told.order_by("pk").values_list("action", flat=True)) == [
        "scorer.proposed",
        "scorer.released",
        "scorer.rolled_back",
    ]
    assert told.last().detail == {"scorer": "default", "before": 2, "after": 1}


def test_rolling_back_goes_further_back_each_time(fitted):
    for _ in range(2):
        job = fitted.post(VERSIONS, {"config": CONFIG}).json()
        assert tasks.fit_scorer(job["id"]) == "done"
    for number in (2, 4, 3):
        assert fitted.post(f"{VERSIONS}/{number}/release").status_code == 200
    seen, current = [], 3
    while (answer := fitted.post(f"{VERSIONS}/{current}/rollback")).status_code == 200:
        current = answer.json()["number"]
        seen.append(current)
    assert seen == [4, 2, 1]


@pytest.mark.parametrize(
    "change", [{"state": b"x"}, {"config": {}}, {"digest": "x"}, {"number": 9}, {"kind": "y"}]
)
def test_a_released_version_is_frozen_by_the_database(fitted, change):
    fitted.post(f"{VERSIONS}/2/release")
    version = ScorerVersion.objects.filter(number=2)
    with pytest.raises(ProgrammingError, match="Cannot update rows"), transaction.atomic():
        version.update(**change)


def test_a_released_version_stays(fitted):
    fitted.post(f"{VERSIONS}/2/release")
    fitted.post(f"{VERSIONS}/2/rollback")
    Scorer.objects.update(current=ScorerVersion.objects.get(number=1))
    with pytest.raises(ProgrammingError, match="Cannot delete rows"), transaction.atomic():
        ScorerVersion.objects.filter(number=2).delete()


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"config": {"tier_rates": [2, 1, 1, 1]}}, "config"),
        ({"config": {"nonsense": 1}}, "config"),
        ({"since": "2026-02-01T00:00:00Z", "until": "2026-01-01T00:00:00Z"}, "until"),
        ({"since": "yesterday"}, "since"),
    ],
)
def test_a_fit_that_cannot_be_is_refused_at_once(api, send, body, path):
    send(1)
    answer = api.post(VERSIONS, body)
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [path]


def test_a_fit_to_too_few_records_fails_and_says_how_many_it_takes(api, send):
    send(5)
    job = api.post(VERSIONS, {}).json()
    assert tasks.fit_scorer(job["id"]) == "failed"
    told = api.get(f"jobs/{job['id']}").json()
    assert told["status"] == "failed"
    assert "300" in told["error"]


def test_the_list_pages_and_tells_what_is_in_use(fitted):
    first = fitted.get(f"{VERSIONS}?limit=1").json()
    assert [row["number"] for row in first["results"]] == [2]
    second = fitted.get(f"{VERSIONS}?limit=1&cursor={first['next']}").json()
    assert [(row["number"], row["is_current"]) for row in second["results"]] == [(1, True)]
    assert second["next"] is None
    assert "state" not in first["results"][0]


def test_a_foreign_project_has_no_such_scorer(fitted, project):
    stranger = make_api(make_project())
    assert stranger.get(f"{VERSIONS}/2").status_code == 404
    assert stranger.post(f"{VERSIONS}/2/release").status_code == 404
    assert stranger.post(VERSIONS).status_code == 404
    assert not AuditEvent.objects.filter(project=project, action="scorer.released").exists()


def test_a_key_that_only_sends_records_sees_no_scorer(fitted, project):
    sender = make_api(project, scopes=["records:write"])
    reader = make_api(project, scopes=["records:read"])
    assert sender.get(VERSIONS).status_code == 403
    assert reader.get(VERSIONS).status_code == 200
    assert reader.post(f"{VERSIONS}/2/release").status_code == 403


class TestPages:
    READERS = {"lead", "policy_admin", "engineer", "auditor", "owner"}
    WRITERS = {"engineer", "owner"}

    @pytest.fixture
    def pages(self, world):
        api = make_api_of(world)
        api.post("records", {"records": [make_record(i) for i in range(60)]})
        return f"/p/{world.slug}/scorers/"

    @pytest.fixture
    def proposed(self, world, pages):
        engineer = world.client("engineer")
        asked = engineer.post(f"{pages}fit", {"config": '{"minimum_records": 40}'})
        assert tasks.fit_scorer(asked["Location"].rstrip("/").rsplit("/", 1)[1]) == "done"
        return f"{pages}default/versions/2/"

    @pytest.mark.parametrize("role", sorted(Role.values))
    def test_a_page_opens_to_its_roles(self, world, proposed, pages, role):
        client = world.client(role)
        for path in (pages, proposed):
            assert client.get(path).status_code == (200 if role in self.READERS else 403)
        writer = 200 if role in self.WRITERS else 403
        assert client.get(f"{proposed}release").status_code == writer
        fit = client.post(f"{pages}fit", {"config": "[]"})
        assert fit.status_code == (422 if role in self.WRITERS else 403)

    def test_a_stranger_finds_nothing(self, world, other_world, proposed, pages):
        stranger = other_world.client("owner")
        for path in (pages, proposed, f"{proposed}release", f"{proposed}rollback"):
            assert stranger.get(path).status_code == 404
        foreign = proposed.replace(world.slug, other_world.slug)
        assert stranger.post(f"{foreign}release").status_code == 404

    def test_release_and_roll_back_ask_first(self, world, proposed, pages):
        engineer = world.client("engineer")
        asked = engineer.get(f"{proposed}release").content.decode()
        assert "instead of version 1" in asked
        assert Scorer.objects.get(project=world.project).current.number == 1
        engineer.post(f"{proposed}release")
        assert Scorer.objects.get(project=world.project).current.number == 2
        released_by = ScorerVersion.objects.get(scorer__project=world.project, number=2).released_by
        assert released_by == world.user("engineer")
        assert "Roll back to version 1" in engineer.get(proposed).content.decode()
        assert "Roll back to version 1?" in engineer.get(f"{proposed}rollback").content.decode()
        assert Scorer.objects.get(project=world.project).current.number == 2
        engineer.post(f"{proposed}rollback")
        assert Scorer.objects.get(project=world.project).current.number == 1

    def test_the_chart_counts_what_the_version_scored(self, world, proposed, pages):
        engineer = world.client("engineer")
        first = engineer.get(f"{pages}default/versions/1/").context["scores"]
        assert (first.total, first.by_tier[0], first.bins[0].total) == (60, 60, 60)
        page = engineer.get(proposed)
        assert page.context["scores"].total == 0
        assert [row.reached for row in page.context["tiers"]] == [None] * 5
        assert [row.expected for row in page.context["tiers"]] == pytest.approx(
            [100, 10, 5, 1, 0.1]
        )

    def test_a_malformed_setting_is_told_at_its_field(self, world, pages):
        answer = world.client("engineer").post(f"{pages}fit", {"config": '{"nonsense": 1}'})
        assert answer.status_code == 422
        assert "nonsense" in answer.context["form"].errors["config"][0]


def make_api_of(world):
    world.user("owner")
    return make_api(world.project)


def test_bars_are_stacked_within_the_drawing_and_share_its_height():
    drawn = histograms.of_scores([(0.0, 0)] * 900 + [(0.99, 3), (1.0, 4), (0.97, 4)])
    assert drawn.by_tier == (900, 0, 0, 1, 2)
    assert drawn.bins[-1].counts == (0, 0, 0, 1, 2)
    low, *stack = drawn.bars()
    assert low.height == pytest.approx(histograms.HEIGHT - 5 * 1.5)
    assert [bar.tier for bar in stack] == [3, 4]
    assert stack[1].y + stack[1].height == pytest.approx(stack[0].y)
    assert all(bar.y >= 0 and bar.height >= 1.5 for bar in drawn.bars())
