"""The trunk on real input: 4,037 responses in, a round, verdicts by keyboard, an export out."""

import gzip
import json
import os
from pathlib import Path

import pytest

from oversight.client import Client
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
    records, live_server, project, owner, queue, tmp_path
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

    drawn = rounds.run(owner, queue=queue, budget=20)
    assert sum(made.n_candidates for made in drawn) == 4037 + 997
    assert {verification.verify_round(made).outcome for made in drawn} == {"full"}
    assert SamplingRound.objects.get(queue=queue, stratum="stream").n_selected == 20
    assert not Verdict.objects.filter(project=project).exists()
