"""A scorer version against the one in use, on what people said: API, job, stored report, pages."""

import json

import numpy as np
import pytest
from django.db import ProgrammingError, transaction
from django.test import Client

from oversight.audit.models import AuditEvent
from oversight.jobs.models import Job
from review import tasks
from review.selectors.learning_labels import labels_of
from review.services import rounds, verified
from scoring import tasks as scoring_tasks
from scoring.models import Backtest, InferenceRecord, RecordScore, ScorerVersion
from tests.factories import make_api, make_member, make_project, owner_of, queue_of
from tests.learning import judge_at_once, stream
from tests.worlds import BACKEND

pytestmark = pytest.mark.django_db(transaction=True)

VERSIONS = "scorers/default/versions"
RATES = [0.2, 0.1, 0.05, 0.01]


def fit(api, **config):
    body = {"kind": "percentile", "config": {"tier_rates": RATES, **config}}
    job = api.post(VERSIONS, body).json()
    assert scoring_tasks.fit_scorer(job["id"]) == "done", api.get(f"jobs/{job['id']}").json()
    return api.get(f"jobs/{job['id']}").json()["result"]["version"]


def backtest(api, number, **body):
    job = api.post(f"{VERSIONS}/{number}/backtest", body)
    assert job.status_code == 202, job.content
    assert tasks.backtest_scorer(job.json()["id"]) == "done", Job.objects.get(pk=job.json()["id"])
    return api.get(f"{VERSIONS}/{number}/backtest").json()


def build_judged():
    """Version 2, in use, looks at noise; version 3, proposed, at what matters. Some 500 judged, so
    that no draw leaves the gain in doubt."""
    project = make_project()
    api, queue = make_api(project), queue_of(project)
    api.post("records", {"records": stream(360, seed=3, share=0)})
    fit(api, signals={"noise": {}})
    assert api.post(f"{VERSIONS}/2/release").status_code == 200
    fit(api, signals={"toxicity": {}}, fingerprint_weight=2.0)
    api.post("records", {"records": stream(550, first=1000, seed=4, share=0.25)})
    rounds.run(owner_of(project), queue=queue, budget=450)
    judge_at_once(make_member(project), queue)
    return project


@pytest.fixture(scope="module")
def kept(keep):
    return keep(build_judged)


@pytest.fixture
def project(db, kept):
    return kept.put_back()


@pytest.fixture
def judged(api):
    return api


def test_a_better_version_is_told_from_a_worse_one(judged, owner, project):
    told = backtest(judged, 3)
    assert (told["version"], told["reference"], told["labels"]) == (3, 2, "default")
    assert told["verdict"] == {"rule": "tier_gain_v1", "tier": 2, "says": "better", "reason": ""}
    at = told["tiers"][1]
    gain = at["recall_gain"]
    assert gain["low"] > 0
    assert gain["value"] == pytest.approx(
        at["candidate"]["recall"]["value"] - at["previous"]["recall"]["value"]
    )
    for side in ("candidate", "previous"):
        for name in ("precision", "recall", "dismissed"):
            figure = at[side][name]
            assert figure["low"] <= figure["value"] <= figure["high"]
    assert at["candidate"]["detection"]["n_episodes"] >= 1
    assert ("plan", "paid") in {(s["field"], s["value"]) for s in told["segments"]}
    back = backtest(judged, 2, reference=3)
    assert back["verdict"]["says"] == "worse"
    assert judged.get(f"{VERSIONS}/3/backtest?reference=2").json()["id"] == told["id"]
    stored = Backtest.objects.get(pk=told["id"])
    assert stored.created_by == owner.user
    event = AuditEvent.objects.filter(project=project, action="scorer.backtested").first()
    assert event.detail["verdict"] == "better"


def test_held_out_labels_stand_apart(judged, queue):
    told = backtest(judged, 3)
    labels = labels_of(queue)
    counts = told["label_counts"]
    assert counts["tested"] == int((~labels.held_out & (labels.weight > 0)).sum())
    assert counts["held_out"] == int((labels.held_out & (labels.weight > 0)).sum()) > 0
    n_positive = int((labels.label[labels.held_out & (labels.weight > 0)] == 1).sum())
    assert told["evaluation"]["tiers"][0]["candidate"]["recall"]["n_records"] == n_positive


def test_the_figures_are_weighted_as_a_hand_count_says(judged, queue):
    told = backtest(judged, 3)
    labels = labels_of(queue)
    tiers = dict(
        RecordScore.objects.filter(scorer_version__number=3).values_list("record_id", "tier")
    )
    rows = [
        (labels.weight[i], tiers[record] >= 2)
        for i, record in enumerate(labels.record_ids)
        if labels.label[i] == 1 and not labels.held_out[i]
    ]
    recall = sum(w for w, alarm in rows if alarm) / sum(w for w, _ in rows)
    assert told["tiers"][1]["candidate"]["recall"]["value"] == pytest.approx(recall)


def test_a_figure_that_is_not_known_says_why():
    api = make_api(make_project())
    api.post("records", {"records": stream(360, share=0)})
    fit(api)
    told = backtest(api, 2)
    assert told["label_counts"]["tested"] == 0
    assert told["verdict"]["says"] == "undecided"
    at = told["tiers"][0]
    assert at["candidate"]["recall"] == {
        "value": None, "reason": "no judged record is a violation", "n_records": 0,
    }  # fmt: skip
    assert at["candidate"]["detection"]["reason"] == "no episode"
    assert told["calibration"]["candidate"]["value"] is None
    assert told["calibration"]["candidate"]["reason"]
    alone = backtest(api, 1)
    assert alone["reference"] is None
    assert alone["tiers"][0]["previous"] is None
    assert alone["verdict"]["reason"] == "no version was in use before this one"
    json.dumps(alone, allow_nan=False)


def test_labels_that_a_version_learnt_from_do_not_test_it(judged, queue):
    labels = verified.verified_labels(queue)
    learnt = {"source": "default", "folds": [2, 3, 4, 5], "until": labels.last}
    ScorerVersion.objects.filter(number=3).update(baseline={"contrast": learnt})
    told = backtest(judged, 3)
    mine = (~labels.held_out) & (labels.weight > 0)
    in_folds = [fold in (2, 3, 4, 5) for fold in labels.fold]
    assert told["label_counts"]["learnt_from"] == int((mine & in_folds).sum()) > 0
    assert told["label_counts"]["tested"] == int((mine & ~np.array(in_folds)).sum())


def test_labels_that_only_the_probabilities_learnt_from_say_so(judged, queue):
    """They test the tiers all the same, so "no label it was not fitted on" would deny them."""
    labels = verified.verified_labels(queue)
    learnt = {"source": "default", "folds": list(range(10)), "until": labels.last}
    ScorerVersion.objects.filter(number=3).update(baseline={"calibration": learnt})
    told = backtest(judged, 3)
    n = told["label_counts"]["tested"]
    assert n > 0
    assert told["label_counts"]["calibrated_on"] == n
    for side in ("candidate", "previous"):
        assert told["calibration"][side]["reason"] == (
            f"the probabilities were fitted on the labels of these {n} records, though no tier"
            " was: held-out records test them"
        )


def test_a_backtest_is_stored_once_and_stays(judged):
    told = backtest(judged, 3)
    job = Backtest.objects.get(pk=told["id"]).job
    Job.objects.filter(pk=job.pk).update(status="queued")  # delivered twice
    assert tasks.backtest_scorer(str(job.pk)) == "done"
    assert Backtest.objects.count() == 1
    with pytest.raises(ProgrammingError), transaction.atomic():
        Backtest.objects.update(report={})


def test_a_record_that_is_gone_is_counted_not_guessed(judged, queue):
    labels = labels_of(queue)
    InferenceRecord.objects.filter(pk=labels.record_ids[0]).delete()
    assert backtest(judged, 3)["label_counts"]["record_gone"] == 1


def test_what_cannot_be_asked_is_refused_at_its_field(judged):
    post = lambda **body: judged.post(f"{VERSIONS}/3/backtest", body)  # noqa: E731
    assert post(question="quality").json()["errors"][0]["path"] == "question"
    assert post(reference=3).json()["errors"][0]["path"] == "reference"
    assert post(reference=99).status_code == 404
    assert post(queue="nowhere").status_code == 404
    assert judged.get(f"{VERSIONS}/3/backtest").status_code == 404  # none yet
    assert judged.get(f"{VERSIONS}/3/backtest?reference=x").status_code == 400
    stranger = make_api(make_project())
    assert stranger.post(f"{VERSIONS}/3/backtest").status_code == 404


def test_a_prompt_and_its_conversations_are_in_one_fold(judged, queue):
    labels = labels_of(queue)
    by_group = {}
    for group, fold in zip(labels.groups, verified.folds_of(labels), strict=True):
        by_group.setdefault(group, set()).add(int(fold))
    assert all(len(folds) == 1 for folds in by_group.values())
    assert len(set().union(*by_group.values())) == 10


def test_episodes_end_with_a_day_without_violations():
    class Labels:
        label = np.array([1.0, 0.0, 1.0, 1.0, 1.0])
        occurred_at = np.array([0.0, 1.0, 3600.0, 200_000.0, 10.0])
        model_versions = np.array([1, 1, 1, 1, 2])

        def __len__(self):
            return 5

    assert verified.episodes_of(Labels()) == [
        "episode 1",
        "",
        "episode 1",
        "episode 2",
        "episode 3",
    ]


class TestPages:
    BASE = "/p/{}/scorers/default/versions/"

    @pytest.fixture
    def page(self, judged, project, owner):
        client = Client()
        client.force_login(owner.user, backend=BACKEND)
        return client, self.BASE.format(project.slug)

    def test_two_versions_stand_side_by_side(self, judged, page):
        client, base = page
        empty = client.get(f"{base}3/compare/").content.decode()
        assert "Not compared yet" in empty
        asked = client.post(f"{base}3/backtest", {"reference": "2"})
        assert tasks.backtest_scorer(asked["Location"].rstrip("/").rsplit("/", 1)[1]) == "done"
        shown = client.get(f"{base}3/compare/?with=2")
        text = shown.content.decode()
        assert shown.context["other"].number == 2
        assert "better" in text
        told = judged.get(f"{VERSIONS}/3/backtest").json()
        at = told["tiers"][1]["recall_gain"]
        assert f"{100 * at['value']:+.1f}" in text
        assert f"{100 * at['low']:+.1f} to {100 * at['high']:+.1f}" in text
        assert "settings.signals" in text
        assert "style=" not in text
        detail = client.get(f"{base}3/").content.decode()
        assert f"{base}3/compare/?with=2" in detail

    def test_versions_that_decide_alike_are_said_to(self, judged, page):
        fit(judged, signals={"noise": {}})
        fit(judged, signals={"noise": {}})  # the same again
        client, base = page
        asked = client.post(f"{base}5/backtest", {"reference": "4"})
        assert tasks.backtest_scorer(asked["Location"].rstrip("/").rsplit("/", 1)[1]) == "done"
        told = judged.get(f"{VERSIONS}/5/backtest").json()
        first = told["tiers"][0]
        assert first["n_different"] == 0
        assert first["n_records"] == told["label_counts"]["tested"]
        text = client.get(f"{base}5/compare/?with=4").content.decode()
        assert (
            "No record is decided differently: both versions give the same tier to all"
            f" {first['n_records']} judged records" in text
        )
        assert "points</th>" in text

    def test_what_is_not_known_says_why_on_the_page_too(self, judged, page, queue):
        client, base = page
        asked = client.post(f"{base}1/backtest", {"reference": "2"})
        assert tasks.backtest_scorer(asked["Location"].rstrip("/").rsplit("/", 1)[1]) == "done"
        text = client.get(f"{base}1/compare/?with=2").content.decode()
        assert "no judged record is an alarm at this tier" in text
        assert "it states no probabilities" in text

    def test_only_who_may_sees_and_asks(self, judged, page, project, reviewer):
        client, base = page
        other = Client()
        other.force_login(reviewer.user, backend=BACKEND)
        assert other.get(f"{base}3/compare/").status_code == 403
        assert other.post(f"{base}3/backtest").status_code == 403
        assert client.get(f"{base}3/compare/?with=77").status_code == 404
