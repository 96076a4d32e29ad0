"""Who leaves, or has another role, loses the cases in hand and the jobs that are theirs no more."""

from inspect import signature

import pytest
from django.urls import reverse

from oversight import departures
from oversight.celery import app
from oversight.jobs.models import Job
from oversight.tenancy import access, services
from oversight.tenancy.models import Membership
from review import tasks
from review.models import ReviewQueue, Slot
from review.services import claims, datasets, rounds
from scoring.services import fit_requests
from tests.factories import make_record

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("way", ["remove_member", "change_role"])
def test_a_member_who_goes_gives_back_what_is_in_hand(world, way):
    sent = world.api("records:write")(
        "POST", "records", {"records": [make_record(i) for i in range(9)]}
    )
    assert sent.status_code == 200
    queue = ReviewQueue.objects.select_related("project", "rubric").get(project=world.project)
    rounds.run(world.operator, queue=queue, budget=5)
    reviewer = world.actor("reviewer")
    colleague = world.user("reviewer", "other@acme.example")
    held = claims.claim_next(reviewer, queue=queue)
    assert held is not None
    member = Membership.objects.get(project=world.project, user=reviewer.user)
    path = reverse(way, args=[world.slug, member.pk])
    body = {"role": "auditor", "seen_role": "reviewer"} if way == "change_role" else {}
    assert world.client("owner").post(path, body).status_code == 302
    slot = Slot.objects.get(pk=held.slot.pk)
    assert (slot.state, slot.reviewer_id, slot.token) == ("open", None, None)
    assert colleague.pk != reviewer.user.pk
    again = claims.claim_next(world.actor("lead"), queue=queue)
    assert again.case == held.case, "it is served again at once, in its old place"


def leave(world, role, *, becomes=""):
    """Have the member of a role removed, or given another one, by the owner's page."""
    member = Membership.objects.get(project=world.project, user=world.user(role))
    path = reverse("change_role" if becomes else "remove_member", args=[world.slug, member.pk])
    body = {"role": becomes, "seen_role": role} if becomes else {}
    assert world.client("owner").post(path, body).status_code == 302


def ask(actor):
    """A job of each kind, by name."""
    queue = ReviewQueue.objects.select_related("project", "rubric").get(project=actor.project)
    return {
        "export": datasets.ask_for_dataset(
            actor, name="set", queue=queue, kind="raw", format="jsonl"
        )[1],
        "fit": fit_requests.ask_for_fit(actor),
        "round": rounds.ask_for_round(actor, queue=queue),
    }


def cancelled(asked):
    live = Job.objects.in_bulk([job.pk for job in asked.values()])
    return {name for name, job in asked.items() if live[job.pk].status == "cancelled"}


@pytest.mark.parametrize(
    ("becomes", "ended"),
    [
        ("", {"export", "fit", "round"}),
        ("lead", {"export", "fit"}),
        ("reviewer", {"export", "fit", "round"}),
        ("owner", set()),
    ],
)
def test_jobs_end_with_the_permission_to_ask_for_them(world, other_world, becomes, ended):
    asked, others = ask(world.actor("engineer")), ask(world.actor("owner"))
    services.add_member(other_world.operator, user=world.user("engineer"), role="engineer")
    elsewhere = ask(access.access_project(world.user("engineer"), other_world.slug))
    leave(world, "engineer", becomes=becomes)
    assert cancelled(asked) == ended
    assert cancelled(others) == cancelled(elsewhere) == set()
    done = tasks.export_dataset(str(asked["export"].pk))
    assert done == ("not due" if "export" in ended else "done")


@pytest.mark.parametrize(
    ("becomes", "is_cancelled"), [("", True), ("auditor", True), ("policy_admin", False)]
)
def test_jobs_end_with_the_key_that_asked_for_them(world, becomes, is_cancelled):
    lead = world.user("lead")
    text = world.key("review", "datasets:write", acts_as=lead)
    machine = ask_as_key(text)
    leave(world, "lead", becomes=becomes)
    assert (Job.objects.get(pk=machine.pk).status == "cancelled") is is_cancelled


def ask_as_key(text):
    actor = access.access_key(text)
    queue = ReviewQueue.objects.select_related("project", "rubric").get(project=actor.project)
    return datasets.ask_for_dataset(actor, name="set", queue=queue, kind="raw", format="jsonl")[1]


def test_a_member_who_had_finished_jobs_can_be_removed(world):
    asked = ask(world.actor("engineer"))
    Job.objects.update(status="done")
    leave(world, "engineer")
    assert cancelled(asked) == set()


def test_the_permission_of_every_job_is_known():
    app.loader.import_default_modules()
    known = {
        name
        for name, task in app.tasks.items()
        if name.startswith(("review.", "scoring.")) and "job_id" in signature(task.run).parameters
    }
    assert departures.PERMISSION_OF_TASK.keys() == known
