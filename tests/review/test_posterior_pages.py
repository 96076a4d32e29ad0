"""The page and the API of a queue's posteriors, and what a round's page tells of its gains."""

import pytest
from django.test import Client
from django.urls import reverse

from review.services import posteriors, rounds
from tests.beliefs import judge, records
from tests.worlds import BACKEND


@pytest.fixture
def taught(owner, queue, send):
    send(records(0, 80))
    rounds.run(owner, queue=queue, budget=20)
    judge(owner, queue, 12)
    first = posteriors.refresh(owner, queue=queue)
    judge(owner, queue)
    return first, posteriors.refresh(owner, queue=queue, anew=True)


@pytest.fixture
def browser(owner):
    client = Client()
    client.force_login(owner.user, backend=BACKEND)
    return client


def test_versions_are_listed_and_put_in_use_again(browser, project, queue, taught):
    first, _ = taught
    address = reverse("review:posterior_list", args=[project.slug, queue.slug])
    page = browser.get(address).content.decode()
    assert f'id="v{first.number}"' in page
    use = reverse("review:posterior_use", args=[project.slug, queue.slug, first.number])
    assert use in page
    told = browser.post(use, follow=True).content.decode()
    assert f"Version {first.number} is in use" in told
    again = browser.post(use, follow=True).content.decode()
    assert "in use already" in again


def test_the_api_lists_and_rolls_back(api, queue, taught):
    first, second = taught
    listed = api.get(f"queues/{queue.slug}/posteriors").json()["results"]
    assert [one["number"] for one in listed] == [second.number, first.number]
    assert listed[0]["status"] == "in_use"
    answer = api.post(f"queues/{queue.slug}/posteriors/{first.number}/use")
    assert (answer.status_code, answer.json()["status"]) == (200, "in_use")
    assert api.post(f"queues/{queue.slug}/posteriors/{first.number}/use").status_code == 409
    assert api.post(f"queues/{queue.slug}/posteriors/99/use").status_code == 404


def test_a_rounds_page_shows_both_terms_and_the_posterior(
    browser, owner, project, queue, send, taught
):
    send(records(100, 160))
    made = rounds.run(owner, queue=queue, budget=5)[0]
    page = browser.get(reverse("review:round_detail", args=[project.slug, made.pk]))
    text = page.content.decode()
    assert f"#v{made.posterior_version}" in text
    for term in ("Model", "Surprise", "Like it"):
        assert f">{term}</abbr>" in text
    told = made.selections.first()
    assert f"{told.bald:.4g}" in text


def test_people_find_it_from_the_lists_of_queues_and_rounds(
    browser, project, queue, send, owner, taught, reviewer
):
    send(records(100, 160))
    made = rounds.run(owner, queue=queue, budget=5)[0]
    address = reverse("review:posterior_list", args=[project.slug, queue.slug])
    for name in ("round_list", "queue_list", "queue_settings"):
        assert (
            f'href="{address}"'
            in browser.get(reverse(f"review:{name}", args=[project.slug])).content.decode()
        ), name
    listed = browser.get(reverse("review:round_list", args=[project.slug])).content.decode()
    assert f'href="{address}#v{made.posterior_version}"' in listed
    assert "the score alone" in listed  # the first rounds had no verdicts to go by
    client = Client()
    client.force_login(reviewer.user, backend=BACKEND)
    seen = client.get(reverse("review:queue_list", args=[project.slug])).content.decode()
    assert address not in seen  # a reviewer may not look at it


def test_an_empty_page(browser, project, queue):
    address = reverse("review:posterior_list", args=[project.slug, queue.slug])
    assert "Nothing learnt yet" in browser.get(address).content.decode()
