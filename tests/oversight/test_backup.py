"""Backup and restore: what comes back is what was there, and nothing is overwritten."""

import json
import os
import shutil
import stat
import subprocess
import sys

import psycopg
import pytest
from django.db import connection
from installation import ROOT
from psycopg import conninfo

from oversight.audit import keys as audit_keys
from oversight.audit import services as audit
from oversight.audit.verify import verify
from oversight.local import archive, places, reach
from tests.factories import make_record

pytestmark = pytest.mark.django_db(transaction=True)


def url_of(database):
    given = connection.get_connection_params()
    parts = {name: given[name] for name in ("host", "port", "user", "password") if given.get(name)}
    return conninfo.make_conninfo(dbname=database, **parts)


@pytest.fixture
def programs(tmp_path):
    where = places.prepare(tmp_path / "places")
    yield reach.programs(where, None)
    places.remove(where)


@pytest.fixture
def empty_database(db):
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE IF EXISTS restored")
        cursor.execute("CREATE DATABASE restored")
    yield url_of("restored")
    with connection.cursor() as cursor:
        cursor.execute("DROP DATABASE restored WITH (FORCE)")


@pytest.fixture
def installation(world, settings, tmp_path):
    """A project with records, a linked audit log, an export and one that is being written."""
    records = [make_record(i) for i in range(20)]
    assert world.api("records:write")("post", "records", {"records": records}).status_code == 200
    audit.sequence(world.project)
    data = tmp_path / "installation"
    (data / "exports" / "one").mkdir(parents=True)
    (data / "exports" / "one" / "rows.jsonl").write_text('{"label": 1}\n')
    (data / "exports" / "two.1.part").mkdir()
    (data / "secret_key").write_text("k" * 48)
    for name in ("audit", audit_keys.FILE):
        (settings.DATA_DIR / name).rename(data / name)
    return data


@pytest.fixture
def made(installation, tmp_path, programs):
    out = tmp_path / "backup"
    archive.write(
        url=url_of(connection.settings_dict["NAME"]), data=installation, out=out, programs=programs
    )
    return out


def contents(url):
    """Every table of a database with its number of rows and a digest of all of them."""
    with psycopg.connect(url) as reader:
        tables = reader.execute(
            "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
            " AND relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
        return {
            name: reader.execute(
                f"SELECT count(*), md5(string_agg(t::text, '' ORDER BY t::text)) FROM {name} t"
            ).fetchone()
            for (name,) in tables
        }


def test_all_comes_back(made, installation, empty_database, programs, tmp_path, world, settings):
    before = contents(url_of(connection.settings_dict["NAME"]))
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    archive.check(made)
    archive.read(archive=made, url=empty_database, data=fresh, programs=programs)
    assert contents(empty_database) == before
    assert before["scoring_record"][0] == 20
    assert (fresh / "exports" / "one" / "rows.jsonl").read_text() == '{"label": 1}\n'
    assert not (fresh / "exports" / "two.1.part").exists()
    assert (fresh / "secret_key").read_text() == "k" * 48
    settings.DATA_DIR = fresh
    assert stat.S_IMODE((fresh / audit_keys.FILE).stat().st_mode) == 0o600
    report = verify(world.project)
    assert (report.problem, report.n_checkpoints) == (None, 1)
    with psycopg.connect(empty_database) as reader, pytest.raises(psycopg.errors.RaiseException):
        reader.execute("DELETE FROM audit_auditevent")


def test_a_changed_a_missing_and_a_foreign_file_are_found(made):
    archive.check(made)
    exported = made / "exports" / "one" / "rows.jsonl"
    exported.write_text('{"label": 0}\n')
    with pytest.raises(archive.ArchiveError, match=r"rows\.jsonl is not as it was"):
        archive.check(made)
    exported.unlink()
    with pytest.raises(archive.ArchiveError, match=r"rows\.jsonl is missing"):
        archive.check(made)
    shutil.copy(made / "secret_key", exported)
    (made / "exports" / "other").write_text("")
    with pytest.raises(archive.ArchiveError, match="is not as it was"):
        archive.check(made)


def test_nothing_is_overwritten(made, installation, programs, empty_database):
    own = url_of(connection.settings_dict["NAME"])
    with pytest.raises(archive.ArchiveError, match="exists already"):
        archive.write(url=own, data=installation, out=made, programs=programs)
    with pytest.raises(archive.ArchiveError, match="not empty"):
        archive.read(archive=made, url=own, data=installation, programs=programs)
    with pytest.raises(archive.ArchiveError, match="audit exists already"):
        archive.read(archive=made, url=empty_database, data=installation, programs=programs)


def test_a_backup_that_fails_leaves_nothing(installation, tmp_path, programs):
    out = tmp_path / "failed"
    with pytest.raises(archive.ArchiveError, match="pg_dump failed"):
        archive.write(url=url_of("no_such_database"), data=installation, out=out, programs=programs)
    assert not list(tmp_path.glob("failed*"))


def test_the_commands_start_the_embedded_server_where_none_runs(made, tmp_path):
    data, again = tmp_path / "restored", tmp_path / "again"
    env = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    env["OVERSIGHT_DATA"] = str(tmp_path / "unused")

    def manage(*arguments):
        return subprocess.run(
            [sys.executable, str(ROOT / "manage.py"), *arguments],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )

    try:
        done = manage("restore", str(made), "--data", str(data))
        assert done.returncode == 0, done.stderr
        done = manage("backup", str(again), "--data", str(data))
        assert done.returncode == 0, done.stderr
        first = json.loads((made / "manifest.json").read_text())
        second = json.loads((again / "manifest.json").read_text())
        assert second["migrations"] == first["migrations"]
        done = manage("restore", str(made), "--data", str(data))
        assert done.returncode == 1
        assert "not empty" in done.stderr
    finally:
        places.remove(places.prepare(data))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can take another user's folder")
def test_another_users_folder_stays_theirs(tmp_path, monkeypatch):
    data = tmp_path / "theirs"
    data.mkdir(mode=0o700)
    os.chown(data, 12345, 12345)
    monkeypatch.setenv("DATABASE_URL", "postgres://elsewhere/oversight")
    with reach.database(data) as (url, where):
        assert (url, where.data) == ("postgres://elsewhere/oversight", data)
    monkeypatch.delenv("DATABASE_URL")
    with pytest.raises(PermissionError, match="belongs to the user 12345"), reach.database(data):
        pass
    kept = data.stat()
    assert (kept.st_uid, kept.st_gid, kept.st_mode & 0o777) == (12345, 12345, 0o700)
    assert not list(data.iterdir())
