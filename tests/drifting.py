"""Streams that change, sent over the API, and windows closed an hour apart."""

import base64
import gzip
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from oversight.tenancy.actors import system_actor
from scoring.models import Window
from scoring.services import windows
from scoring.services.drift import runs

SHARED = Path(
    os.environ.get(
        "OVERSIGHT_SHARED_DATA", Path(__file__).resolve().parents[1].parent / "shared" / "data"
    )
)
XSTEST = SHARED / "drift_xstest"
CHANGES = (450, 900, 1350, 1800)


def xstest_records(start, count, *, shift=timedelta(0), order=None):
    """Records of the stream as one model's, an answer every minute up to now."""
    with gzip.open(XSTEST / "records.ndjson.gz", "rt", encoding="utf-8") as lines:
        found = [json.loads(line) for line in lines]
    prints = np.load(XSTEST / "embeddings.npy")
    begin = datetime.now(UTC) - timedelta(minutes=len(found) + 10)
    order = np.arange(len(found)) if order is None else order
    for i in range(start, start + count):
        record = found[order[i]]
        yield {
            "external_id": f"answer-{i}",
            "occurred_at": (begin + timedelta(minutes=i)).isoformat(timespec="milliseconds"),
            "model": {"name": "endpoint", "version": "1"},
            "input": record["input"],
            "output": record["output"],
            "signals": {
                "length": float(len(record["output"])),
                "profanity": record["signals"]["profanity"],
            },
            "fingerprint": {
                "dtype": "float16",
                "data": base64.b64encode(prints[order[i]].astype("<f2").tobytes()).decode(),
            },
            "context": {"language": "en" if i % 3 else "de", "region": "eu"},
        }


def made_records(start, count, *, shift=0.0, seed=1):
    """Records of two signals, one of them moved by `shift` where the language is German."""
    rng = np.random.default_rng([seed, start])
    begin = datetime.now(UTC) - timedelta(days=2)
    for i in range(start, start + count):
        language = "de" if i % 2 else "en"
        moved = shift if language == "de" else 0.0
        yield {
            "external_id": f"made-{i}",
            "occurred_at": (begin + timedelta(minutes=i)).isoformat(timespec="milliseconds"),
            "model": {"name": "assistant", "version": "3"},
            "input": f"question {i}",
            "output": f"answer {i}",
            "signals": {"refusal": float(rng.normal() + moved), "length": float(rng.gamma(2))},
            "fingerprint": [float(x) for x in rng.normal(size=8)],
            "context": {"language": language, "region": ("eu", "us")[i % 3 == 0]},
        }


def window_of(api, project, records, *, hours=1.0):
    """Send the records and close a window over them, so many hours after the last one."""
    records = list(records)
    for start in range(0, len(records), 500):
        answer = api.post("records", {"records": records[start : start + 500]})
        assert answer.status_code == 200, answer.content
        assert answer.json()["rejected"] == 0, answer.json()
    last = Window.objects.filter(project=project).order_by("-number").first()
    closed = windows.close_window(system_actor(project, "schedule"))
    at = closed.closed_at if last is None else last.closed_at + timedelta(hours=hours)
    Window.objects.filter(pk=closed.pk).update(closed_at=at)
    return closed


def report(project, **options):
    return runs.run(system_actor(project, "schedule"), **options)
