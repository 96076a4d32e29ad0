"""The records that the ingest benchmark sends: made ahead, the same for whoever writes them.

About 1.2 kB of text, eight signals, four context fields and, if asked for, 256 numbers as base64
float32. Texts are words, so that they compress like texts.
"""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

N_DIMENSIONS = 256
N_SIGNALS = 8
_INPUT_WORDS, _OUTPUT_WORDS = 60, 122
DIRECTIONS = ("high", "low", "both")
# What `fit-scorer` is told: every signal with a weight, one context field that lifts tiers.
SCORER = {
    "signals": {f"signal_{i}": {"direction": DIRECTIONS[i % 3]} for i in range(N_SIGNALS)},
    "context_weights": {"region": {"eu": 2.0}},
    "review_from_tier": 3,
}


@dataclass(frozen=True)
class Workload:
    """A reproducible stream of records; `name` keeps streams of one run apart."""

    name: str
    with_fingerprint: bool
    seed: int = 7

    def batches(self, n_batches: int, size: int) -> Iterator[list[dict[str, Any]]]:
        rng = np.random.default_rng(self.seed)
        words = [
            "".join(chr(97 + c) for c in rng.integers(0, 26, n)) for n in rng.integers(2, 9, 3000)
        ]
        mixing = rng.normal(size=(N_DIMENSIONS, N_DIMENSIONS)) / np.sqrt(N_DIMENSIONS)
        began = datetime.now(UTC) - timedelta(hours=12)
        for number in range(n_batches):
            texts = rng.zipf(1.3, (size, _INPUT_WORDS + _OUTPUT_WORDS)) % len(words)
            signals = rng.beta(1, 9, (size, N_SIGNALS))
            prints = (rng.normal(size=(size, N_DIMENSIONS)) @ mixing).astype("<f4")
            yield [
                self._record(
                    number * size + i,
                    began,
                    [words[j] for j in texts[i]],
                    signals[i].tolist(),
                    prints[i].tobytes(),
                )
                for i in range(size)
            ]

    def _record(
        self, index: int, began: datetime, words: list[str], signals: list[float], raw: bytes
    ) -> dict[str, Any]:
        moment = began + timedelta(milliseconds=index)
        record: dict[str, Any] = {
            "external_id": f"{self.name}-{index:08d}",
            "occurred_at": moment.isoformat(timespec="milliseconds"),
            "model": {"name": "assistant", "version": "3", "decoder": {"temperature": 0.7}},
            "input": " ".join(words[:_INPUT_WORDS]),
            "output": " ".join(words[_INPUT_WORDS:]),
            "signals": {f"signal_{i}": value for i, value in enumerate(signals)},
            "context": {
                "region": ("eu", "us", "apac")[index % 3],
                "language": "en",
                "template": f"t{index % 20}",
                "paid": index % 2 == 0,
            },
            "conversation_id": f"c-{index // 4}",
        }
        if self.with_fingerprint:
            record["fingerprint"] = {
                "dtype": "float32",
                "data": base64.b64encode(raw).decode(),
            }
        return record


def body(records: list[dict[str, Any]]) -> bytes:
    return json.dumps({"records": records}).encode()
