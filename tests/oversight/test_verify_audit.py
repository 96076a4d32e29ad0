"""The audit log against somebody who owns the database: triggers off, any statement allowed."""

import base64
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import connection

from oversight.audit import checkpoints, keys, services, tree
from oversight.audit.leaves import leaf_hash
from oversight.audit.models import AuditEvent, AuditLink, AuditPending
from oversight.audit.verify import verify
from oversight.lib import merkle, notes
from oversight.tenancy.actors import system_actor
from tests.sessions import all_at_once, without_triggers

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


def recompute(project):
    """What a careful forger does after an edit: every leaf and the whole tree anew."""
    edge = merkle.Edge()
    for link in AuditLink.objects.filter(project=project).order_by("sequence"):
        hashes = edge.append(leaf_hash(AuditEvent.objects.get(pk=link.event_id)))
        as_owner("UPDATE audit_auditlink SET hashes=%s WHERE id=%s", b"".join(hashes), link.pk)


def test_a_log_that_was_computed_anew_is_found_by_the_checkpoint(project):
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    report = verify(project)
    assert report.problem == "the log differs from its checkpoint"
    checkpoints.path_of(project).unlink()
    assert verify(project).problem is None  # which is why checkpoints are copied elsewhere


def test_a_log_that_was_computed_anew_gets_no_new_checkpoint(project, caplog):
    signed = list(checkpoints.read(project))
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    services.record(system_actor(project), "thing.done", "thing", "after")
    assert services.sequence(project) == 1
    assert list(checkpoints.read(project)) == signed
    assert "is not what the checkpoint at" in caplog.text
    assert verify(project).problem == "the log differs from its checkpoint"


def test_a_log_that_was_cut_gets_no_new_checkpoint(project, caplog):
    signed = list(checkpoints.read(project))
    size = last(project).sequence
    as_owner("DELETE FROM audit_auditlink WHERE project_id = %s AND sequence > 2", project.pk)
    services.record(system_actor(project), "thing.done", "thing", "after")
    services.sequence(project)
    assert list(checkpoints.read(project)) == signed
    assert f"the log ends at 3, and a checkpoint knows {size}" in caplog.text


def test_nothing_is_built_on_a_damaged_tree(project):
    size = last(project).sequence
    node = next(merkle.nodes((0, size)))
    as_owner("DELETE FROM audit_auditlink WHERE sequence = %s", node.last)
    services.record(system_actor(project), "thing.done", "thing", "after")
    with pytest.raises(tree.DamagedTree, match=f"up to {node.last} is lost"):
        services.sequence(project)
    assert AuditPending.objects.filter(project=project).count() == 1


def test_a_forged_checkpoint_is_not_genuine(project):
    path = checkpoints.path_of(project)
    lines = path.read_text().split("\n")
    lines[1] = "1"
    path.write_text("\n".join(lines))
    problem = verify(project).problem
    assert problem.startswith("checkpoint 1 is not genuine: the signature of oversight/audited/")


def test_a_checkpoint_of_another_log_or_of_nothing_is_not_genuine(project, make_world):
    other = make_world("other").project
    services.sequence(other)
    path = checkpoints.path_of(project)
    own = path.read_bytes()
    path.write_bytes(own + checkpoints.path_of(other).read_bytes())
    assert verify(project).problem.startswith("checkpoint 3 is not genuine: it is not signed")
    signer = keys.signer(project)
    for text, reason in [
        (f"{keys.origin_of(other)}\n1\n{'A' * 43}=\n", "it speaks of another log"),
        (f"{keys.origin_of(project)}\n01\n{'A' * 43}=\n", "it is signed, and no checkpoint"),
        (f"{keys.origin_of(project)}\n1\nAAAA\n", "it is signed, and no checkpoint"),
        (f"{keys.origin_of(project)}\n1\n", "it is signed, and no checkpoint"),
    ]:
        path.write_bytes(own + signer.sign(text).encode())
        assert verify(project).problem == f"checkpoint 3 is not genuine: {reason}"


def test_a_fork_that_the_keys_owner_signed_is_found(project):
    """Two checkpoints of one size cannot both be true."""
    size = last(project).sequence
    fork = base64.b64encode(bytes(32)).decode()
    note = keys.signer(project).sign(f"{keys.origin_of(project)}\n{size}\n{fork}\n")
    with checkpoints.path_of(project).open("a") as file:
        file.write(note)
    report = verify(project)
    assert (report.problem, report.sequence) == ("the log differs from its checkpoint", size)


def test_a_copy_of_the_checkpoints_is_enough(project, tmp_path):
    copy = tmp_path / "elsewhere"
    copy.mkdir()
    path = checkpoints.path_of(project)
    (copy / path.name).write_bytes(path.read_bytes())
    as_owner("UPDATE audit_auditevent SET action = 'x' WHERE project_id = %s", project.pk)
    recompute(project)
    path.unlink()
    assert verify(project, directory=copy).problem == "the log differs from its checkpoint"


@pytest.mark.parametrize("n_kept", [3, 40, 120, 200])
def test_a_note_torn_by_a_crash_is_passed_over_and_written_past(project, n_kept):
    """Wherever the write of a second copy of the first note has stopped."""
    path = checkpoints.path_of(project)
    whole = path.read_bytes()
    note = next(checkpoints.read(project)).encode()
    assert n_kept < len(note)
    path.write_bytes(whole + note[:n_kept])
    assert verify(project).n_checkpoints == 2
    services.record(system_actor(project), "thing.done", "thing", "after")
    services.sequence(project)
    report = verify(project)
    assert report.problem is None
    assert report.n_checkpoints == 3


def test_a_checkpoint_that_a_crash_left_out_is_made_up_for(project, settings, tmp_path):
    folder = settings.DATA_DIR
    settings.DATA_DIR = tmp_path / "away"
    settings.DATA_DIR.write_text("not a folder")
    services.record(system_actor(project), "thing.done", "thing", "late")
    services.sequence(project)
    settings.DATA_DIR = folder
    assert checkpoints.find_last(project).size == last(project).sequence - 1
    assert checkpoints.publish(project)
    assert checkpoints.find_last(project).size == last(project).sequence
    assert not checkpoints.publish(project)
    assert verify(project).n_checkpoints == 3


def test_sequencers_at_once_make_one_tree(project):
    for number in range(40):
        services.record(system_actor(project), "thing.done", "thing", number)
    size = last(project).sequence
    linked = all_at_once(*[lambda: services.sequence(project)] * 4)
    services.sequence(project)  # what all may have left to one that had ended
    assert sum(linked) <= 40
    report = verify(project)
    assert (report.problem, report.n_linked, report.n_pending) == (None, size + 40, 0)
    assert checkpoints.find_last(project).size == size + 40


def test_the_applications_secret_does_not_matter(project, settings):
    settings.SECRET_KEY = "another secret"
    settings.SECRET_KEY_FALLBACKS = []
    assert verify(project).problem is None


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
    (checkpoints.folder().parent / keys.FILE).write_text("no key")
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
