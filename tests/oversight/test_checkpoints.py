"""Checkpoints: whom they are believed, what is never signed, and what crashes and races leave."""

import base64
import os
import subprocess
import sys
import time
from itertools import count

import pytest
from django.db import connection
from installation import ROOT
from psycopg import conninfo

from oversight.audit import checkpoints, keys, services, tree
from oversight.audit.models import AuditPending
from oversight.audit.verify import verify
from oversight.lib import merkle
from oversight.tenancy.actors import system_actor
from tests.auditing import as_owner, grown, happen, last, recompute, wait_to_be_linked
from tests.sessions import PATIENCE_SECONDS, Sessions, all_at_once

pytestmark = pytest.mark.django_db(transaction=True)


# A process of its own on the test's database, which is another than its environment names.
_SEQUENCER = """
import os, sys, time
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "oversight.settings")
import django
from django.conf import settings
from psycopg import conninfo
parts = conninfo.conninfo_to_dict(os.environ["OVERSIGHT_TEST_URL"])
settings.DATABASES["default"] |= {
    "NAME": parts["dbname"], "HOST": parts.get("host", ""), "PORT": parts.get("port", ""),
    "USER": parts.get("user", ""), "PASSWORD": parts.get("password", ""),
}
django.setup()
from oversight.audit import checkpoints, services
from oversight.tenancy.models import Project
services._BATCH, publish = 100, checkpoints.publish
def slow(project):
    done = publish(project)
    time.sleep(0.05)
    return done
checkpoints.publish = slow
services.sequence(Project.objects.get(pk=int(sys.argv[1])))
"""


@pytest.fixture
def project(make_world):
    return grown(make_world("audited").project)


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


def test_a_sequencer_that_is_killed_leaves_nothing_half_done(project, settings):
    wait_to_be_linked(project, 8_000)
    size = last(project).sequence
    given = connection.get_connection_params()
    parts = {name: given[name] for name in ("host", "port", "user", "password") if given.get(name)}
    url = conninfo.make_conninfo(dbname=connection.settings_dict["NAME"], **parts)
    env = {**os.environ, "OVERSIGHT_DATA": str(settings.DATA_DIR), "OVERSIGHT_TEST_URL": url}
    path = checkpoints.path_of(project)
    before = path.stat().st_size
    sequencer = subprocess.Popen(
        [sys.executable, "-c", _SEQUENCER, str(project.pk)], env=env, cwd=ROOT
    )
    try:
        until = time.monotonic() + PATIENCE_SECONDS
        while path.stat().st_size == before and time.monotonic() < until:
            time.sleep(0.01)
    finally:
        sequencer.kill()
        sequencer.wait()
    assert 0 < last(project).sequence - size < 8_000
    # Its server process holds the lock until it sees that nobody is there any more.
    while AuditPending.objects.filter(project=project).exists() and time.monotonic() < until:
        services.sequence(project)
        time.sleep(0.05)
    report = verify(project)
    assert (report.problem, report.n_linked, report.n_pending) == (None, size + 8_000, 0)
    assert checkpoints.find_last(project).size == report.n_linked


def test_what_is_linked_meanwhile_is_no_difference(project):
    """A checkpoint that is written during the derivation speaks of what its snapshot lacks."""
    wait_to_be_linked(project, 2_500)
    services.sequence(project)
    size = last(project).sequence

    def grow(_):
        with Sessions(1) as threads:
            threads.submit(happen, project).result(PATIENCE_SECONDS)

    report = verify(project, progress=grow)
    assert (report.problem, report.n_linked, report.n_checkpoints) == (None, size, 5)
    report = verify(project)
    assert (report.problem, report.n_linked, report.n_checkpoints) == (None, size + 1, 6)


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


def test_a_full_disk_stops_no_sequencer(project, settings, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    settings.DATA_DIR = blocked
    services.record(system_actor(project), "thing.done", "thing", "late")
    assert services.sequence(project) == 1


def test_the_applications_secret_does_not_matter(project, settings):
    settings.SECRET_KEY = "another secret"
    settings.SECRET_KEY_FALLBACKS = []
    assert verify(project).problem is None


def test_a_run_ends_while_events_keep_coming(project, monkeypatch):
    """As under ingest: each time that a checkpoint has been written, there is one more."""
    publish, turns = checkpoints.publish, count()

    def publish_while_others_act(project):
        done = publish(project)
        assert next(turns) < 5, "it does not end"
        services.record(system_actor(project), "thing.done", "thing", "meanwhile")
        return done

    monkeypatch.setattr(checkpoints, "publish", publish_while_others_act)
    before = len(list(checkpoints.read(project)))
    for _ in range(3):
        services.record(system_actor(project), "thing.done", "thing", "before")
    assert services.sequence(project) == 3
    assert len(list(checkpoints.read(project))) == before + 1
    assert AuditPending.objects.filter(project=project).count() == 1
