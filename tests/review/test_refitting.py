"""A version fitted with verified violations: what it learns from, and that it finds more."""

from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.db.models.functions import Now

from oversight.jobs.models import Job
from review import tasks
from review.services import (
    learning_schedule,
    learning_settings,
    refit_requests,
    rounds,
    verified,
)
from scoring import tasks as scoring_tasks
from scoring.models import Backtest, InferenceRecord, ScorerVersion
from scoring.services import scorers, verdict_fitting
from scoring.verified import TESTING
from tests.factories import make_member
from tests.learning import judge_at_once, stream

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def judged(project, api, owner, reviewer, queue, send):
    """A version in use that looks at noise; of 400 judged records some fifty violate."""
    send(stream(760, seed=3, share=0))
    call_command(
        "fit-scorer", "--project", project.slug, "--kind", "ensemble", "--release",
        "--config", '{"signals": {"noise": {}}, "alpha": 0}', stdout=StringIO(),
    )  # fmt: skip
    send(stream(260, first=1000, seed=4, share=0.5))
    rounds.run(owner, queue=queue, budget=400)
    judge_at_once(reviewer, queue)
    return queue


def test_verified_violations_teach_the_next_version(judged, project, owner):
    labels = verified.verified_labels(judged)
    job = refit_requests.ask_for_refit(owner)
    assert tasks.refit_scorer(str(job.pk)) == "done", Job.objects.get(pk=job.pk).error
    version = ScorerVersion.objects.get(scorer__project=project, number=3)
    assert version.status == "proposed"
    assert version.created_by == owner.user
    told = version.baseline
    may_teach = [
        not held_out and fold not in TESTING and label == 1
        for held_out, fold, label in zip(labels.held_out, labels.fold, labels.label, strict=True)
    ]
    assert told["contrast"]["violations"] == {"assistant": sum(may_teach)}
    assert told["contrast"]["models"] == ["assistant"]
    assert not set(told["contrast"]["folds"]) & set(TESTING)
    n_open = InferenceRecord.objects.filter(held_out=False).count()
    assert told["n_records"] == n_open - sum(may_teach)  # a violation is no baseline
    detectors = {part["name"] for part in version.config["models"][0]["detectors"]}
    assert detectors == {"mahalanobis", "contrastive"}
    assert told["weights"]["reason"]
    assert told["calibration"]["fitted"] is True
    stored = Backtest.objects.get(scorer_version=version)
    assert stored.reference.number == 2
    n_tested = sum(
        fold in TESTING and not held_out
        for fold, held_out in zip(labels.fold, labels.held_out, strict=True)
    )
    assert stored.label_counts["tested"] == n_tested  # only what it did not learn from
    assert stored.report["tiers"][0]["recall_gain"]["value"] > 0.1
    Job.objects.filter(pk=job.pk).update(status="queued")  # delivered twice
    assert tasks.refit_scorer(str(job.pk)) == "done"
    assert ScorerVersion.objects.filter(scorer__project=project).count() == 3


def test_the_schedule_refits_once_and_only_from_new_violations(judged, project, owner):
    assert tasks.learn_where_due() == 2  # the calibration, and the detectors
    job = Job.objects.get(project=project, task=refit_requests.TASK)
    assert learning_schedule.ask_to_refit_if_due(project) is None  # it waits
    assert tasks.refit_scorer(str(job.pk)) == "done", Job.objects.get(pk=job.pk).error
    version = ScorerVersion.objects.get(scorer__project=project, baseline__job=str(job.pk))
    assert (version.status, version.released_by) == ("proposed", None)
    assert scorers.current_version(project).number == 2
    own = version.config["settings"]
    assert own["signals"].keys() == {"noise"}  # the settings in use, not those of a first fit
    assert version.baseline["contrast"]["models"] == ["assistant"]
    assert Backtest.objects.get(scorer_version=version).report["verdict"]["rule"] == "tier_gain_v1"
    Job.objects.filter(pk=job.pk).update(created_at=Now() - timedelta(days=2))
    assert learning_schedule.ask_to_refit_if_due(project) is None  # nothing new since
    baseline = version.baseline
    baseline["contrast"]["until"] = 0  # as if all violations had come since
    ScorerVersion.objects.filter(pk=version.pk).update(baseline=baseline)
    for is_on in (False, True):
        learning_settings.change(
            owner, queue=None, question="", is_on=is_on, releases_by_rule=False, min_new_labels=20
        )
        assert (learning_schedule.ask_to_refit_if_due(project) is not None) is is_on


def test_a_fit_by_a_key_or_a_person_says_who_asked(project, api, owner, send):
    send(stream(360, share=0))
    asked = api.post("scorers/default/versions", {"kind": "percentile", "invariants": "starter"})
    assert scoring_tasks.fit_scorer(asked.json()["id"]) == "done"
    version = ScorerVersion.objects.get(scorer__project=project, number=2)
    assert version.created_by == owner.user  # whom the key acts as
    assert version.config["invariants"]["invariants"]
    asked = api.post("scorers/default/versions", {"invariants": "none", "kind": "percentile"})
    assert scoring_tasks.fit_scorer(asked.json()["id"]) == "done"
    assert "invariants" not in ScorerVersion.objects.get(number=3).config
    wrong = api.post("scorers/default/versions", {"invariants": "all"})
    assert wrong.json()["errors"][0]["path"] == "invariants"


def test_held_out_and_testing_violations_are_not_learnt(judged, project):
    labels = verified.verified_labels(judged)
    known = verdict_fitting._known(project, labels)
    assert not set(known.fold) & set(TESTING)
    names = set(
        InferenceRecord.objects.filter(
            pk__in=verdict_fitting.violations_to_leave_out(labels)
        ).values_list("held_out", flat=True)
    )
    assert names == {False}


def test_only_who_may_write_scorers_refits(judged, project):
    with pytest.raises(Exception, match="scorers:write"):
        refit_requests.ask_for_refit(make_member(project))
