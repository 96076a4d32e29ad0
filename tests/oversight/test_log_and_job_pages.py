"""The audit log's page, and jobs as a page that htmx polls."""

import pytest

from oversight.audit import services as audit
from oversight.audit.models import AuditEvent
from oversight.jobs import services as jobs
from oversight.jobs.models import Job

HTMX = {"HX-Request": "true"}


def rows_of(page):
    return [event.object_id for event in page.context["events"]]


class TestLog:
    @pytest.fixture
    def log(self, world):
        for number in range(7):
            audit.record(world.operator, "thing.done", "thing", number, secret="<b>x</b>")
        return world

    def test_pages_go_on_where_the_last_one_ended(self, log, other_world):
        audit.record(other_world.operator, "thing.done", "thing", "foreign")
        browser, seen = log.client("auditor"), []
        url = f"/p/{log.slug}/audit/?object_type=thing&limit=3"
        while url:
            page = browser.get(url)
            seen += rows_of(page)
            following = page.context["next_url"]
            url = f"/p/{log.slug}/audit/{following}" if following else None
        assert seen == ["6", "5", "4", "3", "2", "1", "0"]

    def test_it_is_narrowed_by_what_stands_in_the_address(self, log):
        browser = log.client("auditor")
        page = browser.get(f"/p/{log.slug}/audit/?object_type=thing&object_id=3")
        assert rows_of(page) == ["3"]
        assert rows_of(browser.get(f"/p/{log.slug}/audit/?action=nothing")) == []

    @pytest.mark.parametrize(
        "query", ["object_id=%00", f"action={'x' * 65}", "cursor=x", "limit=0", "cursor=WyJ4Il0"]
    )
    def test_what_is_no_filter_is_refused(self, log, query):
        assert log.client("auditor").get(f"/p/{log.slug}/audit/?{query}").status_code == 400

    def test_details_are_text(self, log):
        page = log.client("auditor").get(f"/p/{log.slug}/audit/").content.decode()
        assert "<b>x</b>" not in page
        assert "&lt;b&gt;x&lt;/b&gt;" in page

    def test_it_says_how_far_it_is_linked(self, log):
        browser = log.client("auditor")
        before = browser.get(f"/p/{log.slug}/audit/").context["state"]
        total = AuditEvent.objects.filter(project=log.project).count()
        assert (before.n_linked, before.n_pending) == (0, total)
        audit.sequence(log.project)
        after = browser.get(f"/p/{log.slug}/audit/").context["state"]
        assert (after.n_linked, after.n_pending) == (total, 0)


class TestJobs:
    @pytest.fixture
    def job(self, world):
        job = jobs.enqueue(world.actor("lead"), "some.task", queue="default")
        Job.objects.update(status="running", done=3, total=9)
        return job

    def path(self, world, job, rest=""):
        return f"/p/{world.slug}/jobs/{job.pk}{rest}"

    def test_a_running_job_is_polled_and_a_finished_one_is_not(self, world, job):
        browser = world.client("reviewer")
        page = browser.get(self.path(world, job)).content.decode()
        fragment = browser.get(self.path(world, job), headers=HTMX).content.decode()
        assert "<!doctype html>" in page
        assert "<!doctype html>" not in fragment
        for text in (page, fragment):
            assert 'hx-trigger="every 2s"' in text
            assert 'value="3" max="9"' in text
        Job.objects.update(status="failed", error="<i>broken</i>")
        fragment = browser.get(self.path(world, job), headers=HTMX).content.decode()
        assert "hx-trigger" not in fragment
        assert "&lt;i&gt;broken&lt;/i&gt;" in fragment

    def test_whoever_asked_or_an_owner_cancels_and_nobody_else(self, world, job):
        path = self.path(world, job, "/cancel")
        assert world.client("reviewer").post(path).status_code == 403
        assert world.client("lead").post(path).status_code == 302
        job.refresh_from_db()
        assert job.status == "cancelled"
        assert world.client("owner").post(path).status_code == 409  # it is over

    def test_jobs_of_another_project_are_not_there(self, world, job, other_world):
        owner = other_world.client("owner")
        assert owner.get(f"/p/{other_world.slug}/jobs/{job.pk}").status_code == 404
        assert owner.post(f"/p/{other_world.slug}/jobs/{job.pk}/cancel").status_code == 404
        assert list(owner.get(f"/p/{other_world.slug}/jobs/").context["jobs"]) == []

    def test_the_list_pages_by_keyset_even_within_one_moment(self, world):
        made = [str(jobs.enqueue(world.operator, "t", n=n).pk) for n in range(5)]
        browser, seen = world.client("lead"), []
        url = f"/p/{world.slug}/jobs/?limit=2"
        while url:
            page = browser.get(url)
            seen += [str(job.pk) for job in page.context["jobs"]]
            following = page.context["next_url"]
            url = f"/p/{world.slug}/jobs/{following}" if following else None
        assert sorted(seen) == sorted(made)
        assert len(seen) == len(set(seen))
