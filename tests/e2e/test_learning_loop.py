"""The learning loop from end to end, on the demo's digits: every step by the door people use.

Records, claims, verdicts, rounds and figures go through HTTP, releases through a browser; tasks run
as the worker would run them. What is right is known from the demo's truth.
"""

import random
from io import StringIO

import pytest
from django.core.management import call_command
from playwright.sync_api import expect

from oversight.audit.ticks import sequence
from oversight.client import Client
from oversight.demo import digits, projects
from oversight.jobs.models import Job
from oversight.lib import clock
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project, Role
from oversight.tenancy.services import create_key
from review import tasks
from review.models import LearningRun, PosteriorVersion, SamplingRound
from scoring.models import InferenceRecord
from scoring.services import scorers
from tests.factories import make_member, make_user

pytestmark = pytest.mark.django_db(transaction=True)

REVIEWERS = 3
ERROR_RATE = 0.05
MAJORITY_ERRS = 3 * ERROR_RATE**2 * (1 - ERROR_RATE) + ERROR_RATE**3


class SimulatedReviewers:
    """People at the API who know the truth and err now and then, each by a chance of their own."""

    def __init__(self, project: Project, address: str, truth: dict[str, bool]) -> None:
        self.truth = truth
        self.people = [
            (Client(address, self._key(project, number)), random.Random(number))
            for number in range(REVIEWERS)
        ]

    @staticmethod
    def _key(project: Project, number: int) -> str:
        person = make_member(project, Role.REVIEWER).user
        _, text = create_key(
            system_actor(project), name=f"reviewer {number}", scopes=["review"], acts_as=person
        )
        return text

    def answer_all(self) -> int:
        """Answer until nobody is given a case; returns the number of verdicts."""
        return sum(self._answer(client, chance) for client, chance in self.people)

    def _answer(self, client: Client, chance: random.Random) -> int:
        given = 0
        while (claimed := client.post("queues/digits/claim")) is not None:
            case = claimed["case"]
            is_misread = self.truth[case["record"]["external_id"]] != (chance.random() < ERROR_RATE)
            body = {
                "claim_token": claimed["claim"]["token"],
                "answers": {"misread": is_misread},
                "seconds": chance.lognormvariate(3.2, 0.6),
            }
            assert client.post(f"cases/{case['id']}/verdicts", body)["violation"] is is_misread
            given += 1
        return given


@pytest.fixture
def world(live_server):
    """The demo's digits as `up --demo` fills them, with a key and a person who may release."""
    owner = make_user()
    projects.fill(live_server.url, lambda _: None)
    project = Project.objects.get(slug=projects.DIGITS)
    _, key = create_key(
        system_actor(project),
        name="engineer",
        scopes=["records:write", "admin"],
    )
    return owner, project, Client(live_server.url, key)


def test_the_loop_closes(world, visit, live_server):
    owner, project, api = world
    truth = projects.truth(project)
    reviewers = SimulatedReviewers(project, live_server.url, truth)

    # A cold start: the first round knows the score alone, and people answer it.
    assert {made.posterior_version for made in drawn(project)} == {None}
    first = reviewers.answer_all()
    assert first >= 120

    # The verdicts make a posterior, and the next round is drawn by it.
    api.request("PATCH", "queues/digits", b'{"overlap": 3}', {"Content-Type": "application/json"})
    job = api.post("rounds", {"queue": "digits", "windows": "again", "budget": 40})
    assert tasks.run_round(job["id"]) == "done", Job.objects.get(pk=job["id"]).error
    posterior = PosteriorVersion.objects.get(queue__project=project)
    again = [made for made in drawn(project) if made.number == 2]
    assert {made.posterior_version for made in again} == {posterior.number}
    stream = next(made for made in again if made.stratum == "stream")
    assert stream.selections.filter(surprisal__gt=0).exists()
    assert reviewers.answer_all() >= REVIEWERS * stream.n_selected
    assert found_by(stream, truth) > share(project, truth)  # it asks where violations are

    figures_hold(api, project, truth)

    # The schedule asks, the worker learns: a version that waits for a person.
    before = scorers.current_version(project)
    assert tasks.learn_where_due() == 1
    job = Job.objects.get(project=project, task="review.tasks.learn")
    assert tasks.learn(str(job.pk)) == "done", Job.objects.get(pk=job.pk).error
    run = LearningRun.objects.get(job=job)
    assert (run.outcome, run.version.status) == ("proposed", "proposed"), run.reason
    backtest = api.get(f"scorers/{before.scorer.slug}/versions/{run.version.number}/backtest")
    says = backtest["verdict"]["says"]
    assert says == run.report["comparison"]["says"] == backtest["calibration_gain"]["says"]
    assert backtest["calibration_gain"]["value"] < 0  # nearer the truth than the base rate
    assert scorers.current_version(project) == before

    # A person reads what it is worth, releases it by a click, and takes it back by another.
    visitor = visit(owner)
    page = visitor.page
    visitor.open("/p/digits/learning/")
    page.get_by_role("link", name=str(run.version)).click()
    expect(page.locator("h2 .badge").first).to_have_text(says)
    page.get_by_text("differ in their calibration alone").wait_for()
    page.get_by_role("link", name=str(run.version), exact=True).click()
    page.get_by_role("link", name="Release…").click()
    expect(page.locator("h2 .badge")).to_have_text(says)
    page.get_by_role("button", name=f"Release version {run.version.number}").click()
    page.get_by_text("from now on").wait_for()
    assert scorers.current_version(project) == run.version
    now = clock.now()
    fresh = digits.inferences(now, now)[1][0].record
    assert scored_anew(api, project, fresh, "after-release") == (run.version, True)
    page.get_by_role("link", name=f"Roll back to version {before.number}…").click()
    page.get_by_role("button", name=f"Roll back to version {before.number}").click()
    page.get_by_text("again.").wait_for()
    assert scored_anew(api, project, fresh, "after-rollback") == (before, False)
    assert visitor.complaints == []

    # Whoever doubts it derives it again.
    for made in drawn(project):
        assert told("verify-round", str(made.pk)) == f"round {made.pk}: full"
    sequence()
    assert "verified" in told("verify-audit", "--project", project.slug)


def drawn(project):
    return list(SamplingRound.objects.filter(project=project).order_by("pk"))


def share(project, truth):
    names = InferenceRecord.objects.of(project).values_list("external_id", flat=True)
    return sum(truth[name] for name in names) / len(names)


def found_by(made, truth):
    names = list(made.selections.values_list("case__evidence__external_id", flat=True))
    return sum(truth[name] for name in names) / len(names)


def figures_hold(api, project, truth):
    """Prevalence is what adjudication would say of every record, within 5.5 standard errors.

    That the intervals hold the truth as often as they say is for tests of many draws.
    """
    rate = share(project, truth)
    figure = api.get("estimates?queue=digits&metric=prevalence")
    assert figure["n_records"] == InferenceRecord.objects.of(project).count()
    # Some cases had one reviewer, some the majority of three.
    adjudicated = [rate * (1 - err) + (1 - rate) * err for err in (ERROR_RATE, MAJORITY_ERRS)]
    width = figure["high"] - figure["low"]
    assert width < 0.6  # an interval of everything holds anything
    assert min(adjudicated) - 1.4 * width < figure["value"] < max(adjudicated) + 1.4 * width
    corrected = figure["corrected"]
    assert corrected["low"] <= corrected["value"] <= corrected["high"]
    assert abs(corrected["value"] - rate) < 1.4 * (corrected["high"] - corrected["low"])
    for metric in ("precision", "recall"):
        told_of = api.get(f"estimates?queue=digits&metric={metric}")
        assert 0 <= told_of["low"] <= told_of["value"] <= told_of["high"] <= 1


def scored_anew(api, project, record, name):
    """The version that scores a record sent now, and whether it states a probability."""
    (result,) = api.send([{**record, "external_id": name}])
    record = InferenceRecord.objects.of(project).get(external_id=name)
    assert record.p_violation == result["p_violation"]
    return record.scorer_version, result["p_violation"] is not None


def told(command, *arguments):
    out = StringIO()
    call_command(command, *arguments, stdout=out)
    return out.getvalue().strip()
