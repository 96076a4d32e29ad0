"""`/api/v1/queues`: settings that are read back as written, and refusals at their path."""

import pytest


def paths(answer):
    return [error["path"] for error in answer.json()["errors"]]


class TestQueues:
    def test_what_is_written_is_read_back(self, world):
        api = world.api("admin")
        body = {
            "slug": "grave",
            "name": "Grave",
            "rubric": "conversations",
            "filter": {"tier_min": 3, "context": {"language": ["en", "de"], "minor": True}},
            "strategy": "hybrid_v1",
            "tau": 2.5,
            "floor": 0.5,
            "budget": 20,
            "evaluation_budget": 0,
            "intervened_budget": 3,
            "overlap": 2.0,
            "gold_share": 0.1,
            "evidence": "always",
            "lease_seconds": 60,
            "is_paused": True,
        }
        made = api("POST", "queues", body)
        assert made.status_code == 201
        read = api("GET", "queues/grave").json()
        assert {name: read[name] for name in body} == body
        assert api("PATCH", "queues/grave", {"tau": "auto"}).json()["tau"] == "auto"
        assert api("PATCH", "queues/grave", {}).json()["budget"] == 20

    @pytest.mark.parametrize(
        ("body", "path"),
        [
            ({"budget": 0}, "budget"),
            ({"budget": "many"}, "budget"),
            ({"floor": 0}, "floor"),
            ({"floor": 1.5}, "floor"),
            ({"tau": -1}, "tau"),
            ({"tau": "hot"}, "tau"),
            ({"tau": True}, "tau"),
            ({"overlap": 1.5}, "overlap"),
            ({"gold_share": 0.9}, "gold_share"),
            ({"evidence": "never"}, "evidence"),
            ({"strategy": "best_v9"}, "strategy"),
            ({"lease_seconds": 1}, "lease_seconds"),
            ({"rubric": "nope"}, "rubric"),
            ({"filter": []}, "filter"),
            ({"filter": {"user__password": "x"}}, "filter.user__password"),
            ({"filter": {"project": 1}}, "filter.project"),
            ({"filter": {"tier_min": 5}}, "filter.tier_min"),
            ({"filter": {"model": ["a", 3]}}, "filter.model[1]"),
            ({"filter": {"action": "erase"}}, "filter.action"),
            ({"filter": {"region": []}}, "filter.region"),
            ({"filter": {"score_min": 0.9, "score_max": 0.1}}, "filter.score_max"),
            ({"filter": {"context": {"x": {"y": 1}}}}, "filter.context.x"),
        ],
    )
    def test_a_wrong_setting_is_refused_at_its_path(self, world, body, path):
        answer = world.api("admin")("PATCH", "queues/default", body)
        assert (answer.status_code, paths(answer)) == (400, [path])

    def test_a_slug_is_taken_once_in_a_project(self, world, other_world):
        body = {"slug": "default", "rubric": "conversations"}
        assert world.api("admin")("POST", "queues", body).status_code == 409
        for kind in ("policies", "rubrics"):
            assert world.api("admin")("POST", kind, {"slug": "conversations"}).status_code == 409
