"""The key that signs checkpoints: made once, kept closed, changed without losing what it signed."""

import base64
import os
import stat
import subprocess
import sys

import pytest
from installation import ROOT

from oversight.audit import checkpoints, keys, services
from oversight.audit.verify import verify
from oversight.tenancy.actors import system_actor
from tests.sessions import all_at_once

pytestmark = pytest.mark.django_db(transaction=True)


def happen(project):
    services.record(system_actor(project), "thing.done", "thing", 1)
    services.sequence(project)


def test_it_is_made_once_by_whoever_comes_first_and_is_closed_to_others(project, settings):
    assert keys.find_verifier(project) is None
    assert keys.verifiers(project) == []
    made = all_at_once(*[lambda: keys.signer(project).seed] * 8)
    assert len(set(made)) == 1
    (path,) = settings.DATA_DIR.iterdir()  # and nobody's half-made one
    assert path.name == keys.FILE
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert base64.b64decode(path.read_text()) == made[0]
    assert keys.verifiers(project) == [keys.signer(project).verifier]


def test_it_is_not_among_what_is_copied_elsewhere(project, settings):
    happen(project)
    assert {path.name for path in checkpoints.folder().iterdir()} == {
        checkpoints.path_of(project).name
    }
    assert (settings.DATA_DIR / keys.FILE).exists()


def test_the_environments_key_comes_first(project, settings):
    settings.OVERSIGHT_AUDIT_KEY = bytes(range(32))
    happen(project)
    assert not (settings.DATA_DIR / keys.FILE).exists()
    assert keys.signer(project).seed == bytes(range(32))
    assert verify(project).problem is None


def test_a_retired_key_still_proves_what_it_signed(project, settings):
    happen(project)
    told = str(keys.find_verifier(project))
    settings.OVERSIGHT_AUDIT_KEY = bytes(range(32))
    assert "not signed with a key that is trusted" in verify(project).problem
    settings.OVERSIGHT_AUDIT_RETIRED_KEYS = [base64.b64decode(told.split("+", 2)[2])[1:]]
    assert verify(project).problem is None
    happen(project)
    assert verify(project).n_checkpoints == 2


def test_logs_have_names_that_no_other_has(project, other_project):
    names = {keys.origin_of(project), keys.origin_of(other_project)}
    assert len(names) == 2
    happen(project)
    assert checkpoints.find_last(project).note.startswith(keys.origin_of(project) + "\n")


@pytest.mark.parametrize(
    ("name", "value", "is_good"),
    [
        ("OVERSIGHT_AUDIT_KEY", base64.b64encode(bytes(32)).decode(), True),
        ("OVERSIGHT_AUDIT_KEY", base64.b64encode(bytes(31)).decode(), False),
        ("OVERSIGHT_AUDIT_KEY", "not base64", False),
        ("OVERSIGHT_AUDIT_RETIRED_KEYS", base64.b64encode(b"\x01" + bytes(32)).decode(), True),
        ("OVERSIGHT_AUDIT_RETIRED_KEYS", base64.b64encode(bytes(32)).decode(), False),
    ],
)
def test_a_setting_that_is_no_key_stops_the_start(tmp_path, name, value, is_good):
    env = {**os.environ, "OVERSIGHT_DATA": str(tmp_path), name: value}
    told = subprocess.run(
        [sys.executable, "-c", f"from oversight import settings as s; print(s.{name})"],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (told.returncode == 0) == is_good
    assert is_good or f"ImproperlyConfigured: {name}" in told.stderr
