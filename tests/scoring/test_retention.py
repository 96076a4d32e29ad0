"""Retention: partitions go whole, shared ones row by row, holds keep, evidence and audit stay."""

from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection

from oversight.audit import services as audit
from oversight.audit.models import AuditEvent
from oversight.audit.verify import verify
from oversight.tenancy import services as tenancy
from oversight.tenancy.models import Project
from review.models import CaseEvidence
from review.services import rounds
from scoring.models import InferenceRecord, RecordPayload, RecordScore
from scoring.services import retention, scorers
from scoring.storage import partitions
from tests.factories import make_record
from tests.retaining import drop_old_partitions

NOW = datetime.now(UTC)


def send_old(world, days, n=3):
    """Records of `days` ago, through the API."""
    moment = (NOW - timedelta(days=days)).isoformat()
    records = [make_record(days * 100 + i, occurred_at=moment) for i in range(n)]
    answer = world.api("records:write")("post", "records", {"records": records})
    assert answer.json()["accepted"] == n, answer.content


def n_left(world):
    ids = list(InferenceRecord.objects.of(world.project).values_list("pk", flat=True))
    assert RecordPayload.objects.filter(pk__in=ids).count() == len(ids)
    return len(ids)


def send_at(world, *moments):
    """A record of each moment, through the API."""
    records = [make_record(i, occurred_at=moment.isoformat()) for i, moment in enumerate(moments)]
    answer = world.api("records:write")("post", "records", {"records": records})
    assert answer.json()["accepted"] == len(moments), answer.content


def told_of(world):
    """How many rows each audit event says were deleted."""
    events = AuditEvent.objects.filter(project=world.project, action="records.expired")
    return [event.detail["rows"] for event in events.order_by("pk")]


def tables():
    return {partition.start for partition in partitions.begun_before(NOW)}


@pytest.fixture(autouse=True)
def _no_old_partitions(db):
    drop_old_partitions()


@pytest.fixture
def keep(world, other_world):
    """Set how long each world keeps its records."""

    def set_days(**days):
        for slug, number in days.items():
            Project.objects.filter(slug=slug).update(retention_days=number)

    return set_days


def test_a_partition_goes_whole_once_all_of_it_is_expired(world, keep):
    send_old(world, 60)
    send_old(world, 5)
    assert retention.enforce(NOW) == retention.Removed()
    keep(acme=30, globex=30)
    assert retention.enforce(NOW).n_partitions == 1
    assert n_left(world) == 3
    assert partitions.start_of(NOW - timedelta(days=60)) not in tables()
    assert retention.enforce(NOW) == retention.Removed()
    assert AuditEvent.objects.filter(project=world.project, action="records.expired").count() == 1


def test_where_projects_share_one_only_the_expired_rows_go(world, other_world, keep, monkeypatch):
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    send_old(world, 60, n=5)
    send_old(other_world, 60, n=2)
    keep(acme=30)
    assert retention.enforce(NOW) == retention.Removed(n_partitions=0, n_rows=5)
    assert (n_left(world), n_left(other_world)) == (0, 2)
    keep(globex=30)
    assert retention.enforce(NOW).n_partitions == 1
    assert n_left(other_world) == 0


def test_a_hold_keeps_until_it_is_lifted(world, keep):
    send_old(world, 60)
    keep(acme=30, globex=30)
    hold = tenancy.place_hold(world.actor("owner"), reason="Case 12/26")
    assert retention.enforce(NOW) == retention.Removed()
    tenancy.lift_hold(world.actor("owner"), hold_id=hold.pk)
    assert retention.enforce(NOW).n_partitions == 1


def test_a_run_that_was_killed_midway_is_simply_run_again(world, other_world, keep, monkeypatch):
    send_old(world, 60, n=5)
    send_old(other_world, 60, n=2)
    keep(acme=30)
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    delete, calls = retention._delete_through, []

    def die_at_the_second(*args):
        n_deleted = delete(*args)
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return n_deleted

    monkeypatch.setattr(retention, "_delete_through", die_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        retention.enforce(NOW)
    assert (n_left(world), told_of(world)) == (3, [2])
    retention.enforce(NOW)
    assert (n_left(world), n_left(other_world)) == (0, 2)
    assert told_of(world) == [2, 2, 1]


def test_a_hold_placed_midway_keeps_the_rest(world, other_world, keep, monkeypatch):
    send_old(world, 60, n=5)
    send_old(other_world, 60, n=2)
    keep(acme=30)
    monkeypatch.setattr(retention, "ROWS_AT_ONCE", 2)
    delete = retention._delete_some

    def then_hold(*args):
        deleted = delete(*args)
        tenancy.place_hold(world.actor("owner"), reason="Case 12/26")
        return deleted

    monkeypatch.setattr(retention, "_delete_some", then_hold)
    assert retention.enforce(NOW) == retention.Removed(n_rows=2)
    assert (n_left(world), told_of(world)) == (3, [2])


def test_what_has_expired_goes_while_its_partition_goes_on(world, keep):
    start = partitions.start_of(NOW - timedelta(days=60))
    days = (1, 2, 5)
    send_at(world, *(start + timedelta(days=day) for day in days))
    version = scorers.current_version(world.project)
    records = list(InferenceRecord.objects.of(world.project).order_by("pk"))
    for record in records:
        RecordScore.objects.create(
            scorer_version=version,
            record_id=record.pk,
            raw=0,
            score=0,
            tier=0,
            action=0,
            held_out=False,
        )
    keep(acme=30, globex=30)
    for n, day in zip((2, 1, 0), days, strict=True):
        over = start + timedelta(days=day + 30) + retention.GRACE
        assert retention.enforce(over) == retention.Removed()
        assert retention.enforce(over + timedelta(milliseconds=1)) == retention.Removed(n_rows=1)
        assert n_left(world) == RecordScore.objects.count() == n
    assert told_of(world) == [1, 1, 1]


def test_nothing_that_ingest_would_still_take_is_removed(world, keep):
    send_old(world, 27)
    keep(acme=30, globex=30)
    for hours in range(0, 24 * 16, 12):
        moment = NOW + timedelta(hours=hours)
        retention.enforce(moment)
        oldest = moment - timedelta(days=30)
        if NOW - timedelta(days=27) >= oldest:
            assert n_left(world) == 3


def test_a_clock_that_jumps_back_removes_nothing(world, keep):
    send_old(world, 60)
    keep(acme=30, globex=30)
    assert retention.enforce(NOW - timedelta(days=365)) == retention.Removed()
    assert n_left(world) == 3


def test_records_come_into_a_span_whose_partition_was_dropped(world, other_world, keep):
    send_old(world, 60)
    keep(acme=30, globex=400)
    retention.enforce(NOW)
    send_old(other_world, 60)
    assert n_left(other_world) == 3


def test_evidence_and_audit_outlive_the_records(world, keep):
    send_old(world, 60, n=6)
    queue = world.project.queues.get()
    rounds.run(world.actor("owner"), queue=queue, budget=3)
    n_evidence = CaseEvidence.objects.count()
    keep(acme=30, globex=30)
    retention.enforce(NOW)
    assert n_left(world) == 0
    assert CaseEvidence.objects.count() == n_evidence > 0
    audit.sequence(world.project)
    assert verify(world.project).problem is None


def test_a_partition_in_use_is_left_for_the_next_run(world, keep, transactional_db):
    send_old(world, 60)
    keep(acme=30, globex=30)
    table = partitions.Partition(partitions.start_of(NOW - timedelta(days=60))).table(
        "scoring_record"
    )
    other = connection.copy()
    try:
        with other.cursor() as cursor:
            cursor.execute("BEGIN")
            cursor.execute(f"SELECT count(*) FROM {table}")
            assert retention.enforce(NOW) == retention.Removed()
            cursor.execute("ROLLBACK")
    finally:
        other.close()
    assert retention.enforce(NOW).n_partitions == 1


class TestPage:
    def test_owners_change_it_and_a_stale_form_is_refused(self, world):
        owner = world.client("owner")
        path = f"/p/{world.slug}/settings/retention"
        assert owner.get(path).status_code == 200
        assert owner.post(path, {"days": 90, "seen_days": 400}).status_code == 302
        assert Project.objects.get(pk=world.project.pk).retention_days == 90
        assert owner.post(path, {"days": 10, "seen_days": 400}).status_code == 409
        assert owner.post(path, {"days": 0, "seen_days": 90}).status_code == 422
        assert world.client("lead").get(path).status_code == 403

    def test_holds_are_placed_and_lifted_once(self, world):
        owner = world.client("owner")
        path = f"/p/{world.slug}/settings/holds"
        assert owner.post(path, {"reason": " "}).status_code == 422
        assert owner.post(path, {"reason": "<b>Case 12</b>"}).status_code == 302
        page = owner.get(f"/p/{world.slug}/settings/retention").content.decode()
        assert "&lt;b&gt;Case 12&lt;/b&gt;" in page
        hold = world.project.legal_holds.get()
        assert owner.post(f"{path}/{hold.pk}/lift").status_code == 302
        assert owner.post(f"{path}/{hold.pk}/lift").status_code == 409

    def test_a_hold_of_another_project_cannot_be_lifted(self, world, other_world):
        hold = tenancy.place_hold(world.actor("owner"), reason="Case 12")
        path = f"/p/{other_world.slug}/settings/holds/{hold.pk}/lift"
        assert other_world.client("owner").post(path).status_code == 409
        hold.refresh_from_db()
        assert hold.lifted_at is None
