"""The audit log against somebody who owns the database: triggers off, any statement allowed."""

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from oversight.audit import checkpoints, services
from oversight.audit.models import AuditEvent, AuditLink
from oversight.audit.verify import verify
from oversight.tenancy.actors import system_actor
from tests.sessions import without_triggers

pytestmark = pytest.mark.django_db(transaction=True)
N = 6


@pytest.fixture
def project(make_world):
    """A project whose log is linked in two runs, so that it has two checkpoints."""
    project = make_world("audited").project
    services.sequence(project)
    for number in range(N):
        services.record(system_actor(project), "thing.done", "thing", number, ratio=0.1 * number)
    services.sequence(project)
    return project


def as_owner(sql, *params):
    """What the database's owner may do, in one transaction without triggers and constraints."""
    with without_triggers(), connection.cursor() as cursor:
        cursor.execute(sql, params)
        assert cursor.rowcount > 0


def last(project):
    return AuditLink.objects.filter(project=project).latest("sequence")


def test_an_untouched_log_verifies(project):
    report = verify(project)
    assert report.problem is None
    assert report.n_linked == AuditEvent.objects.filter(project=project).count() > N
    assert (report.n_pending, report.n_checkpoints) == (0, 2)
    assert report.chain == bytes(last(project).chain)


def test_pending_events_are_counted_and_no_difference(project):
    services.record(system_actor(project), "thing.done", "thing", "late")
    report = verify(project)
    assert (report.problem, report.n_pending) == (None, 1)


@pytest.mark.parametrize(
    "change",
    [
        "detail = '{\"ratio\": 0.7}'",
        "actor_id = 'somebody-else'",
        "at = at + interval '1 second'",
        "action = 'thing.undone'",
        "object_id = '99'",
    ],
)
def test_an_edited_event_is_found_where_it_is(project, change):
    link = AuditLink.objects.get(project=project, sequence=last(project).sequence - 2)
    as_owner(f"UPDATE audit_auditevent SET {change} WHERE id = %s", link.event_id)
    report = verify(project)
    assert (report.sequence, report.problem) == (
        link.sequence,
        "its event is not what was linked",
    )


def test_an_edited_event_with_its_leaf_made_anew_breaks_the_chain(project):
    link = AuditLink.objects.get(project=project, sequence=last(project).sequence - 2)
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE id = %s", link.event_id)
    leaf = services.leaf_hash(AuditEvent.objects.get(pk=link.event_id))
    as_owner("UPDATE audit_auditlink SET leaf = %s WHERE id = %s", leaf, link.pk)
    report = verify(project)
    assert report.sequence == link.sequence
    assert "chain" in report.problem


def test_a_deleted_event_is_found(project):
    link = AuditLink.objects.get(project=project, sequence=3)
    as_owner("DELETE FROM audit_auditevent WHERE id = %s", link.event_id)
    assert verify(project).sequence == 3


def test_a_deleted_link_is_found_with_and_without_its_event(project):
    link = AuditLink.objects.get(project=project, sequence=3)
    as_owner("DELETE FROM audit_auditlink WHERE id = %s", link.pk)
    assert "link 3 is missing" in verify(project).problem
    as_owner("DELETE FROM audit_auditevent WHERE id = %s", link.event_id)
    assert "link 3 is missing" in verify(project).problem


def test_closing_the_gap_of_a_deleted_event_breaks_the_chain(project):
    link = AuditLink.objects.get(project=project, sequence=3)
    as_owner("DELETE FROM audit_auditlink WHERE id = %s", link.pk)
    as_owner("DELETE FROM audit_auditevent WHERE id = %s", link.event_id)
    # Through negative numbers: a unique constraint is checked row by row.
    as_owner("UPDATE audit_auditlink SET sequence = sequence + 1000 WHERE sequence > 3")
    as_owner("UPDATE audit_auditlink SET sequence = sequence - 1001 WHERE sequence > 1000")
    report = verify(project)
    assert report.sequence == 3
    assert "chain" in report.problem


def test_reordered_events_are_found(project):
    as_owner(
        "UPDATE audit_auditlink SET event_id = event_id + 100000 WHERE sequence IN (4, 5)",
    )
    as_owner(
        "UPDATE audit_auditlink a SET event_id = b.event_id - 100000 FROM audit_auditlink b "
        "WHERE a.project_id = b.project_id AND a.sequence IN (4, 5) AND b.sequence = 9 - a.sequence"
    )
    assert verify(project).sequence == 4


def test_an_event_that_bypassed_the_sequencer_is_found(project):
    as_owner(
        "INSERT INTO audit_auditevent "
        "(project_id, at, actor_kind, actor_id, action, object_type, object_id, detail) "
        "VALUES (%s, now(), 'user', '1', 'key.made', 'key', '1', '{}')",
        project.pk,
    )
    assert "neither linked nor waiting" in verify(project).problem


def test_a_cut_tail_is_found_by_the_checkpoint(project):
    cut = last(project)
    as_owner("DELETE FROM audit_auditlink WHERE id = %s", cut.pk)
    as_owner("DELETE FROM audit_auditevent WHERE id = %s", cut.event_id)
    report = verify(project)
    assert report.sequence == cut.sequence
    assert "is cut" in report.problem


def test_a_log_that_is_emptied_is_found(project):
    as_owner("DELETE FROM audit_auditlink WHERE project_id = %s", project.pk)
    as_owner("DELETE FROM audit_auditevent WHERE project_id = %s", project.pk)
    assert "is cut" in verify(project).problem


def recompute(project):
    """What a careful forger does after an edit: every leaf and the whole chain anew."""
    chain = services.GENESIS
    for link in AuditLink.objects.filter(project=project).order_by("sequence"):
        leaf = services.leaf_hash(AuditEvent.objects.get(pk=link.event_id))
        chain = services.chain_hash(chain, leaf)
        as_owner("UPDATE audit_auditlink SET leaf=%s, chain=%s WHERE id=%s", leaf, chain, link.pk)


def test_a_log_that_was_computed_anew_is_found_by_the_checkpoint(project):
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    report = verify(project)
    assert report.problem == "the log differs from its checkpoint"
    checkpoints.path_of(project).unlink()
    assert verify(project).problem is None  # which is why checkpoints are copied elsewhere


def test_a_forged_checkpoint_is_not_genuine(project):
    path = checkpoints.path_of(project)
    lines = path.read_text().splitlines()
    line = json.loads(lines[0])
    lines[0] = json.dumps({**line, "sequence": 1})
    path.write_text("\n".join(lines) + "\n")
    assert verify(project).problem == "line 1 of the checkpoints is not genuine"


def test_a_copy_of_the_checkpoints_is_enough(project, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    path = checkpoints.path_of(project)
    (copy / path.name).write_bytes(path.read_bytes())
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    path.unlink()
    assert verify(project, directory=copy).problem == "the log differs from its checkpoint"


def test_a_line_torn_by_a_crash_is_passed_over_and_written_past(project):
    path = checkpoints.path_of(project)
    path.write_bytes(path.read_bytes() + b'{"at":"2026-')
    services.record(system_actor(project), "thing.done", "thing", "after")
    services.sequence(project)
    report = verify(project)
    # The torn line got its end by the next append and reads as nothing that the sequencer wrote.
    assert report.problem is None
    assert report.n_checkpoints == 3


def test_the_old_secret_still_proves_checkpoints_after_a_change(project, settings):
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "another secret"
    assert verify(project).problem is None
    settings.SECRET_KEY_FALLBACKS = []
    assert "not genuine" in verify(project).problem


def test_a_full_disk_stops_no_sequencer(project, settings, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings.DATA_DIR = blocked
    services.record(system_actor(project), "thing.done", "thing", "late")
    assert services.sequence(project) == 1


def test_the_command_says_which_and_fails(project, make_world):
    make_world("other")
    out = StringIO()
    call_command("verify-audit", stdout=out)
    assert "audited: verified" in out.getvalue()
    assert "other: verified: 0 events linked" in out.getvalue()
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify-audit", "--project", "audited", stdout=out)
    assert "DIFFERENCE at 1" in out.getvalue()


def test_the_tables_refuse_change_without_the_owners_rights(project):
    for sql in (
        "UPDATE audit_auditevent SET action = 'x'",
        "DELETE FROM audit_auditlink",
        "TRUNCATE audit_auditevent CASCADE",
    ):
        with pytest.raises(Exception, match="pgtrigger: Cannot"), connection.cursor() as cursor:
            cursor.execute(sql)
