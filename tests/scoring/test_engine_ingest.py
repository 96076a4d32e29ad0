"""The engine in the product, at its HTTP surface: fitting, scoring at ingest, explained answers."""

import math
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command

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
