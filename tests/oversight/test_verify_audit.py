"""The audit log against somebody who owns the database: triggers off, any statement allowed."""

import base64
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from oversight.audit import checkpoints, keys, services
from oversight.audit.leaves import leaf_hash
from oversight.audit.models import AuditEvent, AuditLink
from oversight.audit.verify import verify
from oversight.lib import merkle, notes
from oversight.tenancy.actors import system_actor
from tests.auditing import N, as_owner, grown, last, recompute

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def project(make_world):
    return grown(make_world("audited").project)


def test_an_untouched_log_verifies(project):
    report = verify(project)
    assert report.problem is None
    assert report.n_linked == AuditEvent.objects.filter(project=project).count() > N
    assert (report.n_pending, report.n_checkpoints) == (0, 2)
    leaves = [
        leaf_hash(event) for event in AuditEvent.objects.filter(project=project).order_by("pk")
    ]
    edge = merkle.Edge()
    for leaf in leaves:
        edge.append(leaf)
    assert report.root == edge.root()


def test_pending_events_are_counted_and_no_difference(project):
    services.record(system_actor(project), "thing.done", "thing", "late")
    report = verify(project)
    assert (report.problem, report.n_pending) == (None, 1)


@pytest.mark.parametrize(
    "change",
    [
        "detail = '{\"ratio\": 0.7}'",
        "actor_id = 'somebody-else'",
        "at = at + interval '1 microsecond'",
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


def test_an_edited_event_with_its_leaf_made_anew_breaks_the_tree(project):
    link = AuditLink.objects.get(project=project, sequence=last(project).sequence // 2 * 2)
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE id = %s", link.event_id)
    leaf = leaf_hash(AuditEvent.objects.get(pk=link.event_id))
    hashes = leaf + bytes(link.hashes)[32:]
    as_owner("UPDATE audit_auditlink SET hashes = %s WHERE id = %s", hashes, link.pk)
    report = verify(project)
    assert report.sequence == link.sequence
    assert "tree does not lead here" in report.problem


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


def test_closing_the_gap_of_a_deleted_event_breaks_the_tree(project):
    link = AuditLink.objects.get(project=project, sequence=3)
    as_owner("DELETE FROM audit_auditlink WHERE id = %s", link.pk)
    as_owner("DELETE FROM audit_auditevent WHERE id = %s", link.event_id)
    # By way of large numbers: a unique constraint is checked row by row.
    as_owner("UPDATE audit_auditlink SET sequence = sequence + 1000 WHERE sequence > 3")
    as_owner("UPDATE audit_auditlink SET sequence = sequence - 1001 WHERE sequence > 1000")
    report = verify(project)
    assert report.sequence == 3
    assert "tree does not lead here" in report.problem


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


def test_a_log_that_was_computed_anew_is_found_by_the_checkpoint(project):
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    report = verify(project)
    assert report.problem == "the log differs from its checkpoint"
    checkpoints.path_of(project).unlink()
    assert verify(project).problem is None  # which is why checkpoints are copied elsewhere


def test_a_copy_of_the_checkpoints_is_enough(project, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    path = checkpoints.path_of(project)
    (copy / path.name).write_bytes(path.read_bytes())
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    path.unlink()
    assert verify(project, directory=copy).problem == "the log differs from its checkpoint"


def test_the_command_says_which_and_fails(project, make_world):
    make_world("other")
    out = StringIO()
    call_command("verify-audit", stdout=out)
    assert "audited: verified" in out.getvalue()
    assert "other: verified: 0 events linked" in out.getvalue()
    root = base64.b64encode(verify(project).root).decode()
    assert f"2 checkpoints hold, root {root}" in out.getvalue()
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    out = StringIO()
    with pytest.raises(CommandError):
        call_command("verify-audit", "--project", "audited", stdout=out)
    assert "DIFFERENCE at 1" in out.getvalue()


def test_the_command_trusts_the_keys_it_is_told(project, tmp_path):
    trusted = tmp_path / "trusted"
    call_command("audit-key", "--project", "audited", stdout=(out := StringIO()))
    trusted.write_text(out.getvalue())
    key = trusted.read_text().strip()
    assert key == str(keys.find_verifier(project))
    call_command("verify-audit", "--project", "audited", "--trust", key, stdout=StringIO())
    # Whoever holds the machine makes a key, signs the log anew, and is believed there alone.
    (checkpoints.folder().parent / keys.FILE).unlink()
    checkpoints.path_of(project).unlink()
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    checkpoints.publish(project)
    assert verify(project).problem is None
    with pytest.raises(CommandError):
        call_command(
            "verify-audit", "--project", "audited", "--trust", key, stdout=(out := StringIO())
        )
    assert "is not signed with a key that is trusted" in out.getvalue()
    own = notes.Verifier.parse(str(keys.find_verifier(project)))
    assert verify(project, verifiers=[notes.Verifier.parse(key), own]).problem is None


def test_the_command_refuses_what_is_no_key(project):
    with pytest.raises(CommandError, match="--trust: "):
        call_command("verify-audit", "--trust", "no+key", stdout=StringIO())
    (checkpoints.folder().parent / keys.FILE).write_bytes(b"\xff no key")
    for command in ("verify-audit", "audit-key"):
        with pytest.raises(CommandError, match="audit_key is no base64 of 32 bytes"):
            call_command(command, stdout=StringIO())


def test_the_tables_refuse_change_without_the_owners_rights(project):
    for sql in (
        "UPDATE audit_auditevent SET action = 'x'",
        "DELETE FROM audit_auditlink",
        "TRUNCATE audit_auditevent CASCADE",
    ):
        with pytest.raises(Exception, match="pgtrigger: Cannot"), connection.cursor() as cursor:
            cursor.execute(sql)
