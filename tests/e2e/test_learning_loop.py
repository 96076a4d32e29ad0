"""The learning loop on the demo's real digits model, against the demo's truth."""

from io import StringIO

import numpy as np
import pytest
from django.core.management import call_command

from oversight.demo import projects
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.models import LearningRun, ReviewQueue
from review.services import extra_rounds
from scoring.models import InferenceRecord
from scoring.services import scorers
from tests.factories import make_api, make_user

pytestmark = pytest.mark.django_db(transaction=True)

ERROR_RATE = 0.05
REVIEWERS = 3  # to a case: the majority errs where two of three do
MAJORITY_ERRS = 3 * ERROR_RATE**2 * (1 - ERROR_RATE) + ERROR_RATE**3


@pytest.fixture
def digits(live_server):
    """The demo's digits, filled as `up --demo` fills them."""
    owner = make_user()
    projects._fill_digits(f"{live_server.url}/", owner, lambda _: None)
    project = Project.objects.get(slug=projects.DIGITS)
    queue = ReviewQueue.objects.get(project=project)
    return owner, project, queue


def judge(project, seed):
    call_command(
        "simulate-reviewers", "--project", project.slug, "--reviewers", "5",
        "--error-rate", str(ERROR_RATE), "--seed", str(seed), stdout=StringIO(),
    )  # fmt: skip


def test_the_loop_closes_on_the_demo(digits, visit):
    owner, project, queue = digits
    ReviewQueue.objects.filter(pk=queue.pk).update(overlap=REVIEWERS)
    queue.refresh_from_db()
    extra_rounds.run(
        system_actor(project, "sample"), queue=queue, span=extra_rounds.Span(), budget=150
    )
    judge(project, 1)
    truth = projects.truth(project)
    records = InferenceRecord.objects.of(project)
    rate = np.mean([truth[one.external_id] for one in records])
    told = make_api(project).get("estimates?queue=digits&metric=prevalence").json()
    assert told["n_records"] == len(records)
    adjudicated = rate * (1 - MAJORITY_ERRS) + (1 - rate) * MAJORITY_ERRS
    assert told["low"] <= adjudicated <= told["high"]

    before = scorers.current_version(project)
    call_command("learn", "--project", project.slug, stdout=StringIO())
    run = LearningRun.objects.get(project=project)
    assert run.report["comparison"]["says"] == "better"  # on verdicts it was not fitted on
    page = visit(owner).page
    base = f"{visit(owner).base}/p/digits/scorers/{before.scorer.slug}/versions"
    page.goto(f"{base}/{run.version.number}/")
    page.get_by_role("link", name="Release…").click()
    page.get_by_role("button", name=f"Release version {run.version.number}").click()
    page.get_by_text("from now on").wait_for()
    assert scorers.current_version(project) == run.version
    page.get_by_role("link", name=f"Roll back to version {before.number}…").click()
    page.get_by_role("button", name=f"Roll back to version {before.number}").click()
    page.get_by_text("again.").wait_for()
    assert scorers.current_version(project) == before

    corrected = told["corrected"]
    assert corrected["low"] <= rate <= corrected["high"]
    assert corrected["high"] - corrected["low"] < 0.5  # an interval of everything holds anything
