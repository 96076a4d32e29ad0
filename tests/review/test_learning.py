"""The loop closes: verdicts propose a calibrated version, a person or a rule releases it."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from oversight.audit.models import AuditEvent
from oversight.jobs.models import Job
from oversight.tenancy.actors import system_actor
from review import tasks
from review.models import LearningRun
from review.selectors import learning as selectors
from review.selectors.learning_labels import labels_of
from review.services import learning, learning_schedule, learning_settings, rounds
from scoring.core.monitor import Monitor
from scoring.core.state import from_bytes
from scoring.models import InferenceRecord, ScorerVersion
from scoring.services import scorers
from tests.factories import make_api, make_member, make_project, owner_of, queue_of
from tests.learning import feed, stream
from tests.worlds import BACKEND

pytestmark = pytest.mark.django_db(transaction=True)

VERSIONS = "scorers/default/versions"
CONFIG = '{"signals": {"toxicity": {}}, "tier_rates": [0.2, 0.1, 0.05, 0.01]}'


def allow_release(owner, **changes):
    chosen = {
        "queue": None,
        "question": "",
        "is_on": True,
        "releases_by_rule": True,
        "min_new_labels": 20,
        **changes,
    }
    return learning_settings.change(owner, **chosen)


def build_fitted():
    """Version 2 in use, uncalibrated; a third of all groups is held out."""
    project = make_project()
    project.held_out_share = 0.3
    project.save()
    queue = queue_of(project)
    queue.budget, queue.evaluation_budget = 400, 400
    queue.save()
    make_api(project).post("records", {"records": stream(520, seed=3, share=0)})
    call_command(
        "fit-scorer", "--project", project.slug, "--kind", "percentile", "--config", CONFIG,
        "--release", stdout=StringIO(),
    )  # fmt: skip
    rounds.windows.close_window(system_actor(project))  # what was fitted to is not judged
    return project


def build_judged():
    """So many judged that the held-out third leaves no doubt, whichever groups it falls on."""
    project = build_fitted()
    people = owner_of(project), make_member(project)
    feed(make_api(project), *people, queue_of(project), n=400)
    return project


@pytest.fixture(scope="module")
def kept(keep):
    return keep(build_judged)


@pytest.fixture
def project(request, db):
    if "judged" in request.fixturenames:
        return request.getfixturevalue("kept").put_back()
    return build_fitted() if "fitted" in request.fixturenames else make_project()


@pytest.fixture
def fitted(api):
    return api


@pytest.fixture
def judged(queue):
    return queue


def learn(actor, **options):
    job = learning.ask_to_learn(actor)
    assert tasks.learn(str(job.pk)) == "done", Job.objects.get(pk=job.pk).error
    return LearningRun.objects.get(job=job)


def test_verdicts_propose_a_version_that_waits_for_a_click(project, fitted, judged, owner, send):
    run = learn(owner)
    assert (run.outcome, run.released_by_rule) == ("proposed", "")
    version = run.version
    assert (version.number, version.status, version.created_by) == (3, "proposed", owner.user)
    assert run.report["comparison"]["says"] == "better"
    assert run.report["comparison"]["high"] < 0
    assert run.backtest.report["calibration_gain"] == run.report["comparison"]
    told = fitted.get(f"{VERSIONS}/3/backtest").json()
    assert told["calibration_gain"]["says"] == "better"
    assert told["verdict"] == {"rule": learning.RULE, "says": "better", "reason": ""}
    by_tier = told["tiers"][told["segment_tier"] - 1]
    assert by_tier["candidate"] == by_tier["previous"]  # a calibration moves no tier
    # held-out verdicts, which it never saw, agree that it knows more than the base rate
    facts = version.baseline["calibration"]
    labels = labels_of(judged)
    known = labels.known & labels.held_out
    rate = np.average(labels.label[labels.teaching], weights=labels.weight[labels.teaching])
    assert facts["base_rate"]["rate"] == pytest.approx(rate, abs=0.01)
    rate = facts["base_rate"]["rate"]
    of_rate = -np.where(labels.label[known] == 1, np.log(rate), np.log(1 - rate))
    held_out = facts["held_out"]
    assert held_out["n_labels"] == known.sum() > 30
    loss_of_rate = np.average(of_rate, weights=labels.weight[known])
    assert facts["held_out_base_rate"]["log_loss"] == pytest.approx(loss_of_rate)
    gain = facts["held_out_gain"]
    assert gain["value"] == pytest.approx(held_out["log_loss"] - loss_of_rate)
    assert gain["low"] < gain["value"] < gain["high"]
    assert held_out["brier"] < rate * (1 - rate)
    assert facts["n_labels"] == labels.teaching.sum()
    # null before, known after the click, null again after the roll-back
    assert send(stream(3, first=5000))["results"][0]["p_violation"] is None
    assert fitted.post(f"{VERSIONS}/3/release").status_code == 200
    fresh = stream(40, first=6000, seed=8, share=0.5)
    results = send(fresh)["results"]
    assert all(0 < result["p_violation"] < 1 for result in results)
    monitor = Monitor(from_bytes(bytes(version.state)))
    for record, result in zip(fresh, results, strict=True):
        same = monitor.check(record)
        assert same.p_violation == result["p_violation"]
    stored = InferenceRecord.objects.get(external_id=fresh[0]["external_id"])
    assert stored.p_violation == results[0]["p_violation"]
    assert fitted.post(f"{VERSIONS}/3/rollback").json()["number"] == 2
    assert send(stream(3, first=7000))["results"][0]["p_violation"] is None
    actions = AuditEvent.objects.filter(project=project).values_list("action", flat=True)
    assert {"scorer.proposed", "scorer.backtested", "scorer.learnt", "scorer.released"} <= set(
        actions
    )


def test_one_verdict_whoever_tests_a_calibration_and_when(
    fitted, judged, owner, reviewer, send, queue
):
    version = learn(owner).version

    def tested(number, reference):
        job = fitted.post(f"{VERSIONS}/{number}/backtest", {"reference": reference}).json()
        assert tasks.backtest_scorer(job["id"]) == "done"
        return fitted.get(f"{VERSIONS}/{number}/backtest?reference={reference}").json()

    at_once = tested(3, 2)
    assert at_once["calibration_gain"] == version.baseline["calibration"]["gain"]
    assert at_once["verdict"]["says"] == "better"
    feed(fitted, owner, reviewer, queue, first=3000, seed=9)
    later, back = tested(3, 2), tested(2, 3)
    known = labels_of(queue)
    since = known.resolution_ids > version.baseline["calibration"]["until"]
    assert 30 < later["calibration_gain"]["n_labels"] <= (since & known.teaching).sum()
    assert [one["verdict"]["says"] for one in (later, back)] == ["better", "worse"]
    assert back["calibration_gain"]["value"] == pytest.approx(-later["calibration_gain"]["value"])
    assert tested(2, 1)["verdict"]["rule"] == "tier_gain_v1"


def test_the_rule_releases_what_is_better_where_the_project_allows(project, judged, owner):
    allow_release(owner)
    run = learn(owner)
    assert run.released_by_rule == learning.RULE
    assert scorers.current_version(project).pk == run.version.pk
    released = AuditEvent.objects.filter(project=project, action="scorer.released").last()
    assert released.detail["rule"] == learning.RULE
    assert released.detail == {
        "scorer": "default", "before": 2, "after": 3, "rule": learning.RULE,
    }  # fmt: skip
    learnt = AuditEvent.objects.get(project=project, action="scorer.learnt")
    assert learnt.detail["released_by_rule"] == learning.RULE
    # the same verdicts once more: the same curve, so nothing is worth a version
    again = learn(owner)
    assert (again.outcome, again.version) == ("kept", None)
    assert "0.00 points" in again.reason


def test_the_rule_keeps_what_the_interval_does_not_call_better(
    project, fitted, owner, reviewer, queue, send
):
    """Labels without any relation to the score: the curve is flat, and no better than the rate."""
    allow_release(owner)
    feed(fitted, owner, reviewer, queue, 120, twist=lambda rng, *_: bool(rng.uniform() < 0.3))
    run = learn(owner)
    assert run.released_by_rule == ""
    assert scorers.current_version(project).number == 2
    assert run.report["comparison"]["says"] in ("undecided", "worse")


def test_a_version_released_meanwhile_is_not_overrun(project, judged, owner, monkeypatch):
    allow_release(owner)
    first = ScorerVersion.objects.get(scorer__project=project, number=1)
    backtest = learning._backtest

    def slow(actor, run, labels, gain):
        scorers.release(owner, version=first)  # somebody clicks while the job runs
        return backtest(actor, run, labels, gain)

    monkeypatch.setattr(learning, "_backtest", slow)
    run = learn(owner)
    assert run.released_by_rule == ""
    assert "meanwhile" in run.reason
    assert scorers.current_version(project).number == 1


def test_held_out_erased_and_other_clauses_teach_nothing(judged, owner, project):
    labels = labels_of(judged)
    taught = np.flatnonzero(labels.teaching)
    gone = labels.record_ids[taught[0]]
    InferenceRecord.objects.filter(pk=gone).update(may_review=False)
    before = learn(owner)
    assert before.n_labels == len(taught) - 1
    rows = LearningRun.objects.get(pk=before.pk).report["left_out"]
    assert rows == {"erased or closed to review": 1}
    # the same fit from an array in which held-out answers are turned round: nothing changes
    state = bytes(before.version.state)
    from_held_out = learning.verified.verified_labels(judged)
    flipped = np.where(from_held_out.held_out, 1 - from_held_out.label, from_held_out.label)
    reference = from_bytes(bytes(before.reference.state))
    raw = learning.calibrating.raw_scores(project, reference, from_held_out.record_ids)
    changed = type(from_held_out)(
        **{
            name: getattr(from_held_out, name)
            for name in from_held_out.__dataclass_fields__
            if name != "label"
        },
        label=flipped,
    )
    again = learning.calibrating.calibrated(reference, changed, raw)
    assert again.state.digest() == from_bytes(state).digest()


def test_a_run_that_died_midway_goes_on_to_the_same_end(judged, owner, project, monkeypatch):
    job = learning.ask_to_learn(owner)
    backtest = learning._backtest

    def die(*arguments):
        raise SystemExit("killed")

    monkeypatch.setattr(learning, "_backtest", die)
    with pytest.raises(SystemExit):
        tasks.learn(str(job.pk))
    assert ScorerVersion.objects.filter(scorer__project=project).count() == 3
    monkeypatch.setattr(learning, "_backtest", backtest)
    Job.objects.filter(pk=job.pk).update(status="queued")
    assert tasks.learn(str(job.pk)) == "done"
    Job.objects.filter(pk=job.pk).update(status="queued")
    assert tasks.learn(str(job.pk)) == "done"
    assert ScorerVersion.objects.filter(scorer__project=project).count() == 3
    assert LearningRun.objects.get().version.number == 3


def test_the_schedule_learns_once_and_only_from_enough(judged, owner, project):
    labels = labels_of(judged)
    allow_release(owner, releases_by_rule=False, min_new_labels=len(labels) + 1)
    assert learning_schedule.ask_if_due(project) is None
    allow_release(owner, releases_by_rule=False, min_new_labels=len(labels), is_on=False)
    assert learning_schedule.ask_if_due(project) is None
    allow_release(owner, releases_by_rule=False, min_new_labels=len(labels))
    assert tasks.learn_where_due() == 1
    assert tasks.learn_where_due() == 0  # one waits
    job = Job.objects.get(task=learning.TASK)
    assert tasks.learn(str(job.pk)) == "done"
    assert LearningRun.objects.get().version.created_by is None  # nobody asked
    Job.objects.update(created_at="2026-01-01T00:00Z")
    assert tasks.learn_where_due() == 0  # nothing new since


def test_the_command_tells_what_it_did(judged, project):
    said = StringIO()
    call_command("learn", "--project", project.slug, stdout=said)
    assert "proposed default v3 from" in said.getvalue()
    assert "waits for a release" in said.getvalue()
    with pytest.raises(CommandError, match="no project"):
        call_command("learn", "--project", "nowhere")
    with pytest.raises(CommandError, match="no such"):
        call_command("learn", "--project", project.slug, "--queue", "nowhere")


def test_too_few_verdicts_are_no_error_but_say_so(project, send, owner, reviewer, queue):
    with pytest.raises(CommandError, match="without a baseline") as caught:
        call_command("learn", "--project", project.slug)
    assert caught.value.returncode == 3
    run = LearningRun.objects.get()
    assert run.outcome == "waiting"
    assert run.report["gaps"]["reason"] == "no verdict yet"


def test_a_planted_gap_is_found_and_a_right_score_left_alone(
    fitted, owner, reviewer, queue, send, project
):
    """Of the region EU's harmless records, people call most a violation from a day on."""
    allow_release(owner)
    feed(fitted, owner, reviewer, queue, 160)
    quiet = learn(owner)
    assert quiet.released_by_rule
    assert [s for s in quiet.report["gaps"]["segments"] if s["is_flagged"]] == []
    assert quiet.report["gaps"]["basis"] == "score_bins"

    def twist(rng, region, violates):
        return violates or (region == "EU" and bool(rng.uniform() < 0.7))

    feed(fitted, owner, reviewer, queue, 300, first=3000, seed=6, twist=twist)
    loud = learn(owner).report["gaps"]
    assert loud["basis"] == "calibration"
    flagged = {(s["field"], s["value"]) for s in loud["segments"] if s["is_flagged"]}
    assert ("region", "EU") in flagged
    assert ("region", "US") not in flagged
    eu = next(s for s in loud["segments"] if s["value"] == "EU")
    assert eu["gap"] > 0.1
    assert eu["low"] > eu["stated"]


class TestPages:
    @pytest.fixture
    def pages(self, project, owner):
        client = Client()
        client.force_login(owner.user, backend=BACKEND)
        return client, f"/p/{project.slug}/learning/"

    def test_before_anything_was_learnt_they_say_what_it_takes(self, pages):
        client, base = pages
        assert "Nothing learnt yet" in client.get(base).content.decode()
        assert "Nobody has looked yet" in client.get(f"{base}gaps/").content.decode()

    def test_a_click_learns_and_the_page_tells_what_came_of_it(self, judged, pages, project):
        client, base = pages
        asked = client.post(f"{base}start")
        assert tasks.learn(asked["Location"].rstrip("/").rsplit("/", 1)[1]) == "done"
        run = LearningRun.objects.get()
        home = client.get(base).content.decode()
        assert "waits for a release" in home
        assert f"{run.report['comparison']['value']:.4f}".lstrip("-") in home
        gaps = client.get(f"{base}gaps/")
        text = gaps.content.decode()
        assert gaps.context["page"].n_tested == run.report["gaps"]["n_tested"]
        assert "region EU" in text
        assert "states no probabilities yet" in text
        assert "style=" not in text + home
        assert client.get(f"{base}gaps/?run=999999").status_code == 404
        detail = client.get(f"/p/{project.slug}/scorers/default/versions/3/").content.decode()
        assert "Log loss" in detail

    def test_the_settings_are_checked_kept_and_audited(self, pages, project, queue):
        client, base = pages
        body = {"queue": queue.slug, "min_new_labels": "7", "releases_by_rule": "on"}
        assert client.post(f"{base}change", body).status_code == 302
        chosen = learning_settings.settings_of(project)
        assert (chosen.queue, chosen.is_on, chosen.releases_by_rule) == (queue, False, True)
        event = AuditEvent.objects.get(project=project, action="learning.changed")
        assert event.detail["before"]["releases_by_rule"] is False
        assert event.detail["after"]["min_new_labels"] == 7
        wrong = client.post(f"{base}change", {**body, "question": "quality"})
        assert wrong.status_code == 422
        assert wrong.context["form"].errors["question"]
        assert client.post(f"{base}change", {**body, "min_new_labels": "0"}).status_code == 422

    def test_who_may_look_and_who_may_change(self, pages, project, reviewer, other_project):
        _, base = pages
        for actor, looks, changes in (
            (reviewer, 403, 403),
            (make_member(project, "auditor"), 200, 403),
            (make_member(project, "engineer"), 200, 302),
            (make_member(other_project, "owner"), 404, 404),
        ):
            client = Client()
            client.force_login(actor.user, backend=BACKEND)
            assert client.get(base).status_code == looks
            assert client.get(f"{base}gaps/").status_code == looks
            assert client.post(f"{base}start").status_code == changes
            assert client.post(f"{base}start", {"refit": "1"}).status_code == changes
            assert client.post(f"{base}change", {"min_new_labels": "9"}).status_code == changes


def test_a_gap_is_told_in_plain_words():
    gap = {
        "field": "region", "value": "EU", "observed": 0.24, "low": 0.18, "high": 0.31,
        "stated": 0.11, "gap": 0.13, "is_flagged": True,
    }  # fmt: skip
    assert selectors.sentence(gap, by_bins=False) == (
        "In region EU people call 24.0 % violations (18.0 % to 31.0 %), where the score says "
        "11.0 %: it misses about 13.0 in 100 records."
    )
    over = {**gap, "stated": 0.4, "gap": -0.16, "field": "plan", "value": ""}
    assert selectors.sentence(over, by_bins=True) == (
        "In plan = (none) people call 24.0 % violations (18.0 % to 31.0 %), where all "
        "records of the same score hold 40.0 %: it suspects about 16.0 in 100 records without "
        "cause."
    )
    assert "chance" in selectors.sentence({**gap, "is_flagged": False, "field": ""}, False)
