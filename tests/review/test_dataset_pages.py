"""Datasets by page and by command."""

import csv
import hashlib
import json

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from review import tasks
from review.models import DatasetVersion
from review.services import rounds
from tests.factories import make_member
from tests.judging import judge

pytestmark = pytest.mark.django_db(transaction=True)
BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


def client_of(actor):
    client = Client()
    client.force_login(actor.user, backend=BACKEND)
    return client


@pytest.fixture
def judged(api, owner, queue, send):
    send(30)
    rounds.run(owner, queue=queue, budget=5)
    return judge(api, queue)


def test_from_form_to_download(project, owner, queue, judged):
    client = client_of(owner)
    base = f"/p/{project.slug}/datasets/"
    assert "No dataset yet" in client.get(base).content.decode()
    assert f'href="{base}"' in client.get(base).content.decode()
    body = {
        "name": "first",
        "queue": queue.slug,
        "kind": "calibration",
        "format": "csv",
        "label_rule": "adjudicated",
    }
    refused = client.post(f"{base}new", {**body, "question": "nonsense", "filters": "[1"})
    assert refused.status_code == 422
    refused = client.post(f"{base}new", {**body, "question": "nonsense"})
    assert "asks no such question" in refused.content.decode()
    made = client.post(f"{base}new", body)
    assert made.status_code == 302
    waiting = client.get(made["Location"]).content.decode()
    assert 'id="job"' in waiting
    dataset = DatasetVersion.objects.get(project=project)
    assert tasks.export_dataset(str(dataset.job_id)) == "done"
    dataset.refresh_from_db()
    page = client.get(made["Location"]).content.decode()
    for fact in dataset.manifest["files"]:
        assert fact["path"] in page
        body = b"".join(client.get(f"{made['Location']}files/{fact['path']}").streaming_content)
        assert hashlib.sha256(body).hexdigest() == fact["sha256"]
    assert "first v1" in client.get(base).content.decode()


def test_who_may_see_the_pages(project, owner, queue):
    base = f"/p/{project.slug}/datasets/"
    wanted = {"reviewer": (403, 403), "auditor": (200, 403), "engineer": (200, 200)}
    for role, (read, write) in wanted.items():
        client = client_of(make_member(project, role))
        assert client.get(base).status_code == read, role
        assert client.get(f"{base}new").status_code == write, role


def test_the_command_writes_a_folder(project, queue, judged, tmp_path, capsys):
    out = tmp_path / "out"
    call_command(
        "export", "--project", project.slug, "--kind", "raw", "--format", "csv", "--out", str(out)
    )
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["counts"]["rows"] == len(judged)
    rows = 0
    for fact in manifest["files"]:
        assert hashlib.sha256((out / fact["path"]).read_bytes()).hexdigest() == fact["sha256"]
        if "rows" in fact:
            with (out / fact["path"]).open(newline="") as file:
                rows += len(list(csv.DictReader(file)))
    assert rows == len(judged)
    assert f"{len(judged)} rows" in capsys.readouterr().out


def test_the_command_fails_aloud(project, queue, tmp_path):
    def export(**changes):
        options = {"project": project.slug, "kind": "raw", "format": "csv", "out": tmp_path / "new"}
        call_command("export", **{**options, **changes})

    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    for changes in (
        {"project": "nobody"},
        {"queue": "nowhere"},
        {"out": tmp_path / "full"},
        {"question": "nonsense"},
    ):
        with pytest.raises(CommandError):
            export(**changes)
