"""Hand-written conversations, so that the conversation view has something to show.

They are no model's inferences and say so: the model is named `written-examples`.
"""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from oversight.demo.digits import Inference

_FILE = Path(__file__).with_name("conversations.json")


def inferences(start: datetime, end: datetime) -> Iterator[Inference]:
    """The written examples as records, spread evenly over a time."""
    examples = json.loads(_FILE.read_text())
    step = (end - start) / len(examples)
    for index, example in enumerate(examples):
        *before, reply = example["messages"]
        record = {
            "external_id": example["id"],
            "occurred_at": (start + index * step).isoformat(timespec="milliseconds"),
            "model": {"name": "written-examples", "version": "1"},
            "input": before,
            "output": [reply],
            "signals": {"reply_words": float(len(reply["content"].split()))},
            "context": {"region": ("eu", "us")[index % 2], "origin": "written by hand"},
            "consent": {"review": True, "training": True, "basis": "written for this demo"},
        }
        yield Inference(record, is_wrong=example["clause"] is not None)
