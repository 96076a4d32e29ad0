"""The trunk on real input: 4,037 responses in, a round, verdicts by keyboard, an export out."""

import gzip
import hashlib
import json
import os
from pathlib import Path

import pytest
from django.test import Client as Http
from django.urls import reverse

from oversight.client import Client
from review import tasks
from review.models import SamplingRound, Verdict
from review.services import rounds, verification
from scoring.models import InferenceRecord
from tests.factories import make_api

SHARED = Path(
    os.environ.get(
        "OVERSIGHT_SHARED_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"
    )
)
RECORDS = SHARED / "example" / "example_records.ndjson.gz"
pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not RECORDS.exists(), reason=f"the public records are not at {RECORDS}"),
]


@pytest.fixture
def records():
    with gzip.open(RECORDS) as lines:
        return [json.loads(line) for line in lines]


def test_records_go_in_once_and_come_out_reviewed(
    records, live_server, project, owner, queue, visit, tmp_path
):
    key = make_api(project).key
    client = Client(live_server.url, key)

    sent = list(client.send(records))
    assert [result["status"] for result in sent] == ["accepted"] * len(records)
    again = list(client.send(records))
    assert {result["status"] for result in again} == {"duplicate"}
    assert [r["id"] for r in again] == [r["id"] for r in sent]
    assert InferenceRecord.objects.of(project).count() == len(records) == 4037

    thousand = [
        record | {"external_id": f"poisoned-{i}"} for i, record in enumerate(records[:1000])
    ]
    thousand[13]["signals"] = {"profanity": "much"}
    thousand[500]["output"] = None
    thousand[999]["occurred_at"] = "yesterday"
    results = list(client.send(thousand, batch=1000))
    bad = {r["external_id"]: r["errors"][0]["path"] for r in results if r["status"] == "rejected"}
    assert bad == {
        "poisoned-13": "signals.profanity",
        "poisoned-500": "output",
        "poisoned-999": "occurred_at",
    }
    assert InferenceRecord.objects.of(project).count() == 4037 + 997

    drawn = rounds.run(owner, queue=queue, budget=12)
    assert sum(made.n_candidates for made in drawn) == 4037 + 997
    assert {verification.verify_round(made).outcome for made in drawn} == {"full"}
    n_cases = sum(made.n_selected for made in drawn)
    assert SamplingRound.objects.get(queue=queue, stratum="stream").n_selected == 12

    answer_all_by_keyboard(visit(owner.user), project, queue, n_cases)
    given = Verdict.objects.filter(project=project).select_related("rubric_version")
    assert given.count() == n_cases
    assert all(verdict.is_blind and verdict.clause_hashes for verdict in given)

    rows = exported(client, queue, tmp_path)
    assert len(rows) == n_cases
    by_record = {row["record_id"]: row for row in rows}
    for made in drawn:
        for selection in made.selections.all():
            row = by_record[str(selection.record_id)]
            assert row["inclusion_probability"] == pytest.approx(selection.inclusion_probability)
            assert row["weight"] == pytest.approx(1 / selection.inclusion_probability)
            assert row["round_id"] == made.pk
            assert (row["rubric_version"], row["policy_version"]) == (1, 1)
    # Half of the keys said "violation": the label of each row is what was pressed.
    labels = {str(v.case.evidence.record_id): v.violation for v in given.select_related("case")}
    assert {row["record_id"]: bool(row["label"]) for row in rows} == labels


def answer_all_by_keyboard(visitor, project, queue, n_cases):
    """Claim and answer every case of the queue without touching the mouse."""
    page = visitor.page
    visitor.open(reverse("review:desk", args=[project.slug, queue.slug]))
    page.keyboard.press("Enter")
    for number in range(n_cases):
        page.wait_for_selector("#case[data-case]")
        case = page.get_attribute("#case", "data-case")
        page.wait_for_timeout(350)  # verdict keys are dead for a moment after a swap
        page.keyboard.press("x" if number % 2 else "a")
        page.keyboard.press("Control+Enter")
        page.wait_for_function(
            "id => document.querySelector('#case')?.dataset.case !== id", arg=case
        )
    assert not visitor.complaints
    assert not visitor.foreign


def exported(client, queue, folder):
    """The rows of a calibration export, asked for, built and fetched as a client would."""
    job = client.post(
        "datasets",
        {"name": "first", "queue": queue.slug, "kind": "calibration", "format": "jsonl"},
    )
    assert tasks.export_dataset(job["id"]) == "done"
    dataset = client.wait(job)["dataset"]
    manifest = client.get(f"datasets/{dataset}")
    rows = []
    for file in manifest["files"]:
        if file["path"].endswith(".jsonl"):
            answer = Http().get(
                f"/api/v1/datasets/{dataset}/files/{file['path']}",
                headers={"authorization": f"Bearer {client.key}"},
            )
            data = b"".join(answer.streaming_content)
            assert hashlib.sha256(data).hexdigest() == file["sha256"]
            rows += [json.loads(line) for line in data.splitlines()]
    return rows
