"""`/metrics`: who may read it, what it tells, and that several processes share their counts."""

from datetime import timedelta

import pytest
from django.db import DatabaseError, connection
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from oversight.jobs import services as jobs
from oversight.jobs.models import Job, Tick
from oversight.lib.environ import IS_FORWARDED
from review.models import Case
from tests.factories import make_record


def samples(answer):
    """Every sample of an answer: name and sorted labels to value."""
    assert answer.status_code == 200, answer.content
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.content.decode())
        for sample in family.samples
    }


def ask(**environ):
    """What a call from this host is answered, unless `environ` says otherwise."""
    return Client().get("/metrics", **{IS_FORWARDED: False} | environ)


def read():
    return samples(ask())


class TestAccess:
    def test_this_host_may_read_it_while_no_token_is_set(self, db):
        assert ask().status_code == 200
        assert ask(REMOTE_ADDR="10.0.0.9").status_code == 401

    def test_what_a_proxy_on_this_host_passes_on_is_not_from_this_host(self, db):
        assert ask(**{IS_FORWARDED: True}).status_code == 401

    def test_a_web_server_that_does_not_tell_is_not_trusted(self, db):
        assert Client().get("/metrics").status_code == 401

    def test_with_a_token_only_its_holder(self, db, settings):
        settings.METRICS_TOKEN = "s3cret"
        assert Client().get("/metrics").status_code == 401
        for given, status in (("Bearer s3cret", 200), ("Bearer wrong", 401), ("Bearer ", 401)):
            answer = Client().get(
                "/metrics", REMOTE_ADDR="10.0.0.9", headers={"authorization": given}
            )
            assert answer.status_code == status


class TestRequests:
    def count(self, **labels):
        return read().get(("oversight_http_request_seconds_count", *sorted(labels.items())), 0)

    def test_requests_are_counted_by_view_method_and_status(self, db):
        labels = {"view": "healthz", "method": "GET", "status": "200"}
        before = self.count(**labels)
        Client().get("/healthz")
        assert self.count(**labels) == before + 1

    def test_what_a_client_makes_up_gets_no_series_of_its_own(self, db):
        Client().get("/no/such/page/at/all")
        Client().generic("BREW", "/no/such/page")
        counted = [dict(key[1:]) for key in read() if key[0].endswith("request_seconds_count")]
        assert {"view": "none", "method": "GET", "status": "404"} in counted
        assert {"view": "none", "method": "other", "status": "404"} in counted
        assert "such" not in str(counted)


class TestState:
    def test_it_tells_of_records_that_no_window_has_claimed(self, world):
        world.api("records:write")("post", "records", {"records": [make_record(1), make_record(2)]})
        found = read()
        assert found["oversight_ingest_records_total", ("outcome", "accepted")] >= 2
        assert found["oversight_window_waiting_records", ("project", "acme")] == 2
        assert found["oversight_window_waiting_seconds", ("project", "acme")] >= 0
        assert found["oversight_audit_unlinked",] > 0

    def test_it_tells_of_waiting_and_dead_jobs_and_of_failing_tasks(self, world):
        jobs.enqueue(world.operator, "some.task")
        dead = jobs.enqueue(world.operator, "some.task")
        Job.objects.filter(pk=dead.pk).update(status="failed", finished_at="2030-01-01T00:00:00Z")
        Tick.objects.create(task="some.tick", n_runs=5, n_failures=2)
        found = read()
        task = ("task", "some.task")
        assert found["oversight_jobs", ("status", "queued"), task] == 1
        assert found["oversight_jobs", ("status", "failed"), task] == 1
        assert found["oversight_task_failures_total", ("task", "some.tick")] == 2

    def test_a_queue_without_cases_has_depth_zero_and_no_age(self, world):
        found = read()
        queue = (("project", "acme"), ("queue", world.project.queues.get().slug))
        assert found["oversight_queue_open_slots", *queue] == 0
        assert ("oversight_queue_oldest_seconds", *queue) not in found

    def test_the_oldest_case_is_told_though_another_is_served_first(self, world):
        sent = world.api("records:write")("post", "records", {"records": [make_record(1)]})
        record = sent.json()["results"][0]["id"]
        queue = world.project.queues.get()
        asked = world.api("records:write")(
            "post", f"records/{record}/review", {"queue": queue.slug, "reason": "look"}
        )
        assert asked.status_code < 300, asked.content
        escalated = Case.objects.get()
        older = Case.objects.create(
            project=world.project,
            queue=queue,
            kind="sampled",
            evidence=escalated.evidence,
            n_slots=1,
        )
        Case.objects.filter(pk=older.pk).update(created_at=timezone.now() - timedelta(days=6))
        labels = (("project", "acme"), ("queue", queue.slug))
        assert read()["oversight_queue_oldest_seconds", *labels] > 5 * 86_400

    def test_a_node_whose_database_is_gone_still_tells_its_counts(self, world):
        assert read()["oversight_database_up",] == 1
        with connection.cursor() as cursor, pytest.raises(DatabaseError):
            cursor.execute("SELECT no_such_column")  # a failed transaction answers nothing more
        found = read()
        assert found["oversight_database_up",] == 0
        assert any(key[0] == "oversight_http_request_seconds_count" for key in found)


@pytest.mark.parametrize("method", ["post", "put", "delete"])
def test_it_is_only_read(db, method):
    assert getattr(Client(), method)("/metrics").status_code == 405


class TestHealthPage:
    def test_it_shows_findings_dead_letters_and_failing_tasks(self, world):
        dead = jobs.enqueue(world.operator, "some.task")
        Job.objects.filter(pk=dead.pk).update(
            status="failed", error="<i>no disk</i>", finished_at="2030-01-01T00:00:00Z"
        )
        Tick.objects.create(
            task="review.ticks.reconcile",
            succeeded_at="2030-01-01T00:00:00Z",
            result={"jobs_without_worker": 3, "partitions_missing": 0},
        )
        Tick.objects.create(
            task="some.tick",
            n_failures=2,
            failed_at="2030-01-01T00:00:00Z",
            error="ProjectsFailed: another-project (ValueError)",
        )
        page = world.client("owner").get(f"/p/{world.slug}/settings/health").content.decode()
        assert "jobs without worker" in page
        assert "partitions missing" not in page
        assert "&lt;i&gt;no disk&lt;/i&gt;" in page
        assert "some.tick" in page
        assert "ProjectsFailed" in page
        assert "another-project" not in page
        assert world.client("lead").get(f"/p/{world.slug}/settings/health").status_code == 403
