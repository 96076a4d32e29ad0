"""The engine in the product, at its HTTP surface: fitting, scoring at ingest, explained answers."""

import math
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import ProgrammingError, transaction

from scoring.core.monitor import Monitor
from scoring.models import ScorerVersion
from tests.factories import make_record

D = 6


def window(n, first=0, seed=1):
    rng = np.random.default_rng(seed)
    return [
        make_record(
            first + i,
            signals={"toxicity": float(rng.beta(1, 9)), "perplexity": float(rng.lognormal(3, 1))},
            fingerprint=rng.normal(size=D).tolist(),
            context={"region": "EU"},
        )
        for i in range(n)
    ]


def fit(project, *options):
    said = StringIO()
    call_command("fit-scorer", "--project", project.slug, "--release", *options, stdout=said)
    return said.getvalue()


def current(project):
    return ScorerVersion.objects.get(scorer__project=project, status=ScorerVersion.Status.RELEASED)


def adds_up(answer):
    total = sum(reason["contribution"] for reason in answer["reasons"])
    return math.isclose(total, answer["raw"], rel_tol=0, abs_tol=1e-9)


@pytest.fixture
def baseline(send):
    """Enough records for the ensemble's calibration, held-out ones apart."""
    assert send(window(800))["accepted"] == 800


def test_a_large_window_is_fitted_as_an_ensemble_and_scores_what_comes_in(
    project, api, send, baseline
):
    assert "ensemble_v1" in fit(project)
    far = make_record(
        5000,
        signals={"toxicity": 0.99, "perplexity": 5000.0},
        fingerprint=[9.0] * D,
        context={"region": "EU"},
    )
    answers = send([far, *window(50, first=6000, seed=2)])["results"]
    # Scores are ranks in the calibration window and may tie at its end; raw tells them apart.
    assert answers[0]["score"] >= max(answer["score"] for answer in answers[1:])
    assert answers[0]["raw"] > max(answer["raw"] for answer in answers[1:])
    assert answers[0]["tier"] > 0
    assert {reason["kind"] for reason in answers[0]["reasons"]} == {"signal", "detector"}
    assert all(adds_up(answer) for answer in answers)
    assert len({answer["score"] for answer in answers}) > 25


def test_a_small_window_is_fitted_by_percentiles_and_a_smaller_one_refused(project, send):
    send(window(200))
    with pytest.raises(CommandError, match=r"ensemble: .*percentile: .*at least 300"):
        fit(project)
    send(window(200, first=200, seed=2))
    assert "percentile_v1" in fit(project)


def test_a_kind_asked_for_is_not_replaced_by_another(project, send):
    send(window(400))
    with pytest.raises(CommandError, match="at least 600"):
        fit(project, "--kind", "ensemble")
    with pytest.raises(CommandError, match="at least 600"):
        fit(project, "--profile", "full")


def test_the_full_profile_brings_its_detectors(project, baseline):
    fit(project, "--profile", "full")
    (model,) = current(project).config["models"]
    assert {part["name"] for part in model["detectors"]} == {
        "mahalanobis",
        "isolation_forest",
        "knn",
    }


def test_what_may_not_be_seen_is_not_fitted_to(project, api, send):
    closed = [{**record, "consent": {"review": False}} for record in window(50, first=900, seed=3)]
    answers = send([*window(400), *closed])["results"]
    fit(project)
    told = [api.get(f"records/{answer['id']}").json() for answer in answers]
    open_to_fitting = sum(not r["held_out"] and r["consent"]["review"] for r in told)
    assert current(project).baseline["n_records"] == open_to_fitting < 450


# Invariants

KEY = "".join(["AKIA", "IOSFODNN7", "ABCDEFG"])


def document(*invariants):
    return {"language": 1, "invariants": list(invariants)}


def forbids(term, severity="low", **more):
    return {
        "key": f"no-{term}",
        "title": f"Never says {term}",
        "clause": "words",
        "severity": severity,
        "condition": {"none": [{"check": "terms", "terms": [term]}]},
        **more,
    }


def guard(api, invariants):
    """Put invariants in use over the API."""
    proposed = api.post("scorers/default/invariants", {"invariants": invariants})
    assert proposed.status_code == 201, proposed.content
    number = proposed.json()["number"]
    assert api.post(f"scorers/default/versions/{number}/release").status_code == 200
    return number


def named(answer):
    return [reason["name"] for reason in answer["reasons"] if reason["kind"] == "invariant"]


def test_the_starter_pack_guards_a_project_before_it_has_a_baseline(project, api, send):
    assert "cold_start_v1) from 0 records, 71 inv" in fit(
        project, "--keep-fit", "--invariants", "starter"
    )
    leak, calm = send(
        [make_record(0, output=f"Sure, the key is {KEY}."), make_record(1, output="Good morning.")]
    )["results"]
    assert leak["action"] == "intervene"
    assert leak["intervention"]["kind"] in {"block", "replace"}
    assert leak["tier"] >= 3
    assert any("key" in name or "secret" in name or "credential" in name for name in named(leak))
    assert adds_up(leak)
    assert leak["raw"] > 0 == leak["score"]
    assert (calm["action"], named(calm), calm["raw"]) == ("pass", [], 0)


def test_effects_decide_the_action_and_reading_back_tells_the_same(project, api, send):
    send(1)
    replacing = {"kind": "replace", "text": "Let us talk of something else."}
    guard(
        api,
        document(
            forbids("alpha", weight=0.5),
            forbids("beta", severity="high", effect=replacing),
            forbids("gamma", severity="critical", effect={"kind": "block"}),
        ),
    )
    records = [
        make_record(1, output="alpha"),
        make_record(2, output=[{"role": "assistant", "content": "alpha, then beta"}]),
        make_record(3, output="beta and gamma"),
    ]
    answers = send(records)["results"]
    assert [(a["action"], a["tier"], a["raw"]) for a in answers] == [
        ("review", 1, 0.5),
        ("intervene", 3, 1.5),
        ("intervene", 4, 2.0),
    ]
    assert [a.get("intervention") for a in answers] == [
        None,
        {"kind": "replace", "replacement": "Let us talk of something else."},
        {"kind": "block"},
    ]
    assert [named(a) for a in answers] == [
        ["no-alpha"],
        ["no-alpha", "no-beta"],
        ["no-beta", "no-gamma"],
    ]
    for answer in answers:
        told = api.get(f"records/{answer['id']}").json()
        assert told["reasons"] == answer["reasons"]
        assert told["intervention"] == answer.get("intervention")
        assert (told["raw"], told["tier"]) == (answer["raw"], answer["tier"])
    for answer, again in zip(answers, send(records)["results"], strict=True):
        assert again == {**answer, "status": "duplicate"}


def test_invariants_see_signals_and_context_too(project, api, send):
    send(1)
    numeric = {
        "key": "calm",
        "title": "Toxicity stays low in the EU",
        "clause": "tone",
        "severity": "medium",
        "regions": ["EU"],
        "condition": {"check": "number", "name": "toxicity", "max": 0.5},
    }
    guard(api, document(numeric))
    answers = send(
        [
            make_record(1, signals={"toxicity": 0.9}, context={"region": "EU"}),
            make_record(2, signals={"toxicity": 0.9}, context={"region": "US"}),
            make_record(3, signals={"toxicity": 0.1}, context={"region": "EU"}),
        ]
    )["results"]
    assert [named(answer) for answer in answers] == [["calm"], [], []]


def test_malformed_invariants_are_refused_by_path_and_nothing_is_proposed(project, api, send):
    send(1)
    pattern = {"none": [{"check": "pattern", "pattern": "(unclosed"}]}
    answer = api.post(
        "scorers/default/invariants",
        {
            "invariants": document(
                forbids("alpha", severity="dire"), {**forbids("beta"), "clause": ""}
            )
        },
    )
    assert answer.status_code == 400
    assert [error["path"] for error in answer.json()["errors"]] == [
        "invariants.invariants.0.severity",
        "invariants.invariants.1.clause",
    ]
    answer = api.post(
        "scorers/default/invariants",
        {"invariants": document({**forbids("alpha"), "condition": pattern})},
    )
    assert answer.status_code == 400
    assert ScorerVersion.objects.count() == 1


def test_a_fit_keeps_the_invariants_in_use_until_told_otherwise(project, api, send):
    send(window(400))
    guard(api, document(forbids("alpha")))
    assert "percentile_v1) from" in (said := fit(project))
    assert "1 invariants" in said
    (answer,) = send([make_record(5000, output="alpha")])["results"]
    assert named(answer) == ["no-alpha"]
    assert {"signal", "invariant"} <= {reason["kind"] for reason in answer["reasons"]}
    assert adds_up(answer)
    assert "0 invariants" in fit(project, "--invariants", "none")
    (answer,) = send([make_record(5001, output="alpha")])["results"]
    assert named(answer) == []


def test_the_monitor_decides_as_the_server_did(project, api, send, tmp_path, baseline):
    fit(project, "--invariants", "starter", "--config", '{"review_from_tier": 1}')
    stream = window(60, first=7000, seed=5)
    stream[3] |= {"output": f"Use {KEY} to log in."}
    stream[4] |= {"input": [{"role": "user", "content": "My card is 4111 1111 1111 1111"}]}
    stream[5] |= {"fingerprint": [8.0] * D, "signals": {"toxicity": 1.0}}
    answers = send(stream)["results"]
    path = tmp_path / "scorer"
    released = current(project)
    file = api.get(f"scorers/{released.scorer.slug}/versions/{released.number}/state")
    path.write_bytes(file.content)
    monitor = Monitor.load(path)
    assert file["ETag"] == f'"{monitor.scorer_digest}"'
    actions = set()
    for record, answer in zip(stream, answers, strict=True):
        seen = monitor.check(record)
        assert (seen.action.name.lower(), seen.tier) == (answer["action"], answer["tier"])
        assert seen.score == pytest.approx(answer["score"], abs=1e-12)
        assert seen.raw == pytest.approx(answer["raw"], abs=1e-9)
        assert [(r.kind, r.name) for r in seen.reasons] == [
            (r["kind"], r["name"]) for r in answer["reasons"]
        ]
        asked = answer.get("intervention")
        assert (seen.intervention is None) == (asked is None)
        if asked is not None:
            assert (seen.intervention.kind, seen.intervention.replacement) == (
                asked["kind"],
                asked.get("replacement"),
            )
        actions.add(answer["action"])
    assert actions == {"pass", "review", "intervene"}


def test_a_released_versions_invariants_are_frozen(project, api, send):
    send(1)
    guard(api, document(forbids("alpha")))
    version = current(project)
    version.config = {**version.config, "invariants": document()}
    with pytest.raises(ProgrammingError, match="Cannot update rows"), transaction.atomic():
        version.save()


def test_fingerprints_of_another_length_are_scored_without_and_reviewed(project, send, baseline):
    fit(project)
    changed = make_record(
        8000, model={"name": "assistant", "version": "2"}, fingerprint=[0.5] * (D + 2)
    )
    (answer,) = send([changed])["results"]
    assert (answer["status"], answer["action"]) == ("accepted", "review")
    assert answer["reasons"][-1]["kind"] == "unscorable"
    assert adds_up(answer)
