"""The files of datasets: formats, checksums, kills, cancelling, and who may have them."""

import csv
import hashlib
import io
import json
from datetime import timedelta

import pyarrow as pa
import pytest

from oversight.jobs import services as jobs
from oversight.jobs.models import Job
from oversight.lib import errors
from review import tasks
from review.datasets import columns, snapshot, writers
from review.models import (
    CaseEvidence,
    DatasetVersion,
    Selection,
)
from review.services import datasets, rounds
from tests.factories import make_api, make_member, make_project, make_record
from tests.judging import judge, rows_of

pytestmark = pytest.mark.django_db(transaction=True)

NEEDED = {
    *("record_id", "external_id", "occurred_at", "model_name", "model_version", "score", "tier"),
    *("label", "label_rule", "n_verdicts", "agreement", "inclusion_probability", "weight"),
    *("round_id", "policy_version", "rubric_version", "scorer_version"),
}


@pytest.mark.parametrize("kind", ["raw", "calibration"])
def test_public_loaders_accept_each_format(
    api, owner, queue, send, export, tmp_path, monkeypatch, kind
):
    loader = pytest.importorskip("datasets")
    monkeypatch.setattr(loader.config, "HF_HUB_OFFLINE", True)
    send(60)
    rounds.run(owner, queue=queue, budget=10)
    judge(api, queue)
    for format_name in columns.FORMATS:
        dataset = export(kind, format_name)
        loaded = loader.load_dataset(
            str(datasets.folder_of(dataset)), cache_dir=str(tmp_path / "cache" / format_name)
        )
        rows_by_split = {
            fact["path"].split("/")[1].partition("-")[0]: fact["rows"]
            for fact in dataset.manifest["files"]
            if "rows" in fact
        }
        assert {name: len(split) for name, split in loaded.items()} == rows_by_split
        train = loaded["train"]
        assert set(train.column_names) >= NEEDED
        assert set(train["label"]) <= {0, 1}
        assert sum(train["weight"]) > 0


def test_checksums_and_streams(api, owner, queue, send, export):
    send(30)
    rounds.run(owner, queue=queue, budget=5)
    judge(api, queue)
    dataset = export("calibration", "parquet")
    told = api.get(f"datasets/{dataset.pk}").json()
    assert (told["status"], told["counts"]["rows"]) == ("complete", told["rows"])
    for fact in told["files"]:
        answer = api(
            "get",
            f"datasets/{dataset.pk}/files/{fact['path']}",
            HTTP_ACCEPT="application/vnd.apache.parquet",
        )
        body = b"".join(answer.streaming_content)
        assert answer.status_code == 200
        assert (hashlib.sha256(body).hexdigest(), len(body)) == (fact["sha256"], fact["bytes"])
    manifest = api.get(f"datasets/{dataset.pk}/files/manifest.json")
    assert json.loads(b"".join(manifest.streaming_content)) == dataset.manifest
    for name in ("../secret_key", "data/../manifest.json", "data", "nothing.csv"):
        assert api.get(f"datasets/{dataset.pk}/files/{name}").status_code == 404
    assert [row["id"] for row in api.get("datasets").json()["results"]] == [str(dataset.pk)]


def test_a_spreadsheet_runs_no_cell(tmp_path):
    cells = ["=1+1", "+1", "-1", "@a", "\tx", "\rx", "safe", "a=b"]
    wanted = [columns.Column("text", "text", ""), columns.Column("number", "number", "")]
    writer = writers.open_writer("csv", tmp_path / "x.csv", wanted)
    rows = [{"text": cell, "number": -1.5} for cell in cells]
    writer.write(pa.RecordBatch.from_pylist(rows))
    writer.close()
    read = list(csv.reader(io.StringIO((tmp_path / "x.csv").read_bytes().decode(), newline="")))
    assert [row[0] for row in read[1:]] == [f"'{cell}" for cell in cells[:6]] + cells[6:]
    assert {row[1] for row in read[1:]} == {"-1.5"}


def test_the_same_task_twice_and_a_frozen_manifest(api, owner, queue, send, export):
    send(20)
    rounds.run(owner, queue=queue, budget=5)
    judge(api, queue)
    dataset = export()
    assert tasks.export_dataset(str(dataset.job_id)) == "not due"
    # A worker that died after the commit: the job is handed over again.
    Job.objects.filter(pk=dataset.job_id).update(status="queued")
    assert tasks.export_dataset(str(dataset.job_id)) == "done"
    again = DatasetVersion.objects.get(pk=dataset.pk)
    assert (again.manifest, again.completed_at) == (dataset.manifest, dataset.completed_at)
    second = export()
    assert second.number == dataset.number + 1
    data = [fact for fact in second.manifest["files"] if fact["path"].startswith("data/")]
    assert data == [f for f in dataset.manifest["files"] if f["path"].startswith("data/")]


def test_what_a_killed_worker_left_is_removed(api, owner, queue, send):
    send(20)
    rounds.run(owner, queue=queue, budget=5)
    judge(api, queue)
    dataset, job = datasets.ask_for_dataset(
        owner, name="set", queue=queue, kind="raw", format="csv"
    )
    final = datasets.folder_of(dataset)
    left = final.with_name(f"{final.name}.1.part")
    for folder in (left, final):
        (folder / "data").mkdir(parents=True)
    (final / "half").touch()
    assert tasks.export_dataset(str(job.pk)) == "done"
    assert not left.exists()
    assert not (final / "half").exists()


def test_a_cancelled_job_leaves_no_folder(api, owner, queue, send):
    send(20)
    rounds.run(owner, queue=queue, budget=5)
    judge(api, queue)
    dataset, job = datasets.ask_for_dataset(
        owner, name="set", queue=queue, kind="raw", format="jsonl"
    )

    def work(job, progress):
        class CancelledMeanwhile:
            def report(self, done, total=None):
                if done:
                    jobs.cancel(owner, Job.objects.get(pk=job.pk))
                progress.report(done, total)

        return datasets.build(job, CancelledMeanwhile())

    assert jobs.run(job.pk, work) == "lost"
    assert Job.objects.get(pk=job.pk).status == "cancelled"
    dataset.refresh_from_db()
    assert dataset.completed_at is None
    assert list(datasets.folder_of(dataset).parent.iterdir()) == []


def test_rows_come_by_server_side_cursor_from_one_moment(api, owner, queue, send, monkeypatch):
    send(20)
    rounds.run(owner, queue=queue, budget=5)
    monkeypatch.setattr(snapshot, "CHUNK", 2)
    with snapshot.take() as moment:
        read = moment.rows(Selection.objects.order_by("pk"), "pk")
        first = next(read)
        with moment._connection.cursor() as cursor:
            cursor.execute("SELECT is_holdable FROM pg_cursors WHERE statement LIKE '%selection%'")
            assert cursor.fetchall() == [(False,)], "one server-side cursor is open"
        before = Selection.objects.count()
        send([make_record(100 + i) for i in range(20)])
        rounds.run(owner, queue=queue, budget=5)
        assert Selection.objects.count() > before
        assert len([first, *read]) == before
        assert len(list(moment.rows(Selection.objects.all(), "pk"))) == before
        with pytest.raises(Exception, match="read-only"), moment._connection.cursor() as cursor:
            cursor.execute("UPDATE review_case SET n_slots = 1")


def test_asking_is_checked(api, queue):
    body = {"name": "set", "queue": queue.slug, "kind": "raw", "format": "csv"}
    wrong = {
        "kind": "sft",
        "format": "xlsx",
        "label_rule": "loudest",
        "question": "nonsense",
        "split": "half",
        "filters": {"nonsense": 1},
    }
    for field, value in wrong.items():
        answer = api.post("datasets", {**body, field: value})
        assert answer.status_code == 400, (field, answer.content)
        assert answer.json()["errors"][0]["path"].startswith(field)
    assert "calibration" in api.post("datasets", {**body, "kind": "sft"}).json()["detail"]
    assert api.post("datasets", {**body, "filters": {"since": "noon"}}).status_code == 400
    assert api.post("datasets", {**body, "queue": "other"}).status_code == 404
    asked = api.post("datasets", body)
    assert asked.status_code == 202
    assert tasks.export_dataset(asked.json()["id"]) == "done"
    result = api.get(f"jobs/{asked.json()['id']}").json()["result"]
    assert api.get(f"datasets/{result['dataset']}").json()["rows"] == 0


def test_filters_narrow(api, owner, queue, send, export):
    send([make_record(i, context={"language": "de" if i % 2 else "en"}) for i in range(30)])
    rounds.run(owner, queue=queue, budget=30)
    judge(api, queue)
    german = rows_of(export(filters={"context": {"language": "de"}}))
    assert german
    assert all(_odd(row) for row in german)
    last = CaseEvidence.objects.order_by("-occurred_at")[0].occurred_at
    recent = rows_of(export(filters={"since": (last - timedelta(seconds=4)).isoformat()}))
    assert 0 < len(recent) <= 5
    other = export(filters={"rubric_version": 9})
    assert (rows_of(other), other.manifest["counts"]["rows"]) == ([], 0)
    assert "speak of no population" in other.manifest["weights"]
    held_out = rows_of(export(split="evaluation"))
    assert {row["split"] for row in held_out} <= {"evaluation"}


def test_nothing_across_projects(api, owner, queue, send, export):
    send(10)
    rounds.run(owner, queue=queue, budget=5)
    judge(api, queue)
    dataset = export()
    stranger = make_api(make_project())
    assert stranger.get(f"datasets/{dataset.pk}").status_code == 404
    assert stranger.get(f"datasets/{dataset.pk}/files/README.md").status_code == 404
    assert stranger.get("datasets").json()["results"] == []
    reader = make_api(queue.project, scopes=["datasets:read"])
    body = {"name": "set", "queue": queue.slug, "kind": "raw", "format": "csv"}
    assert reader.post("datasets", body).status_code == 403
    with pytest.raises(errors.NotAllowed):
        datasets.ask_for_dataset(
            make_member(queue.project), name="set", queue=queue, kind="raw", format="csv"
        )


def _odd(row):
    return int(row["external_id"].rpartition("-")[2]) % 2 == 1
