"""What checking invariants costs ingest over HTTP: batches of 500 with the pack and without.

Run: python -m benchmarks.engine_ingest --address URL --bare KEY --checked KEY [--rounds N]
Against a running `manage.py up` with two projects that have the same scorer fitted, one of them
with `--invariants starter`. Batches go to both in turn, so that the ratio of each round is of two
neighbours in time; wall clock, since the work is the server's.
"""

import argparse
import statistics
import time
import uuid
from datetime import UTC, datetime
from typing import Any

from benchmarks.invariants import corpus, records_of
from oversight.client import Client

BATCH = 500
CHARS = 1200


def batch(texts: list[str]) -> list[dict[str, Any]]:
    """Fresh records over the same texts: none is a duplicate."""
    now = datetime.now(UTC).isoformat()
    return [
        {**record, "external_id": uuid.uuid4().hex, "occurred_at": now}
        for record in records_of(texts)
    ]


def seconds(client: Client, records: list[dict[str, Any]]) -> float:
    """Seconds until a batch is answered; raises RuntimeError where a record was not accepted."""
    start = time.perf_counter()
    results = list(client.send(records, batch=BATCH))
    taken = time.perf_counter() - start
    if any(result["status"] != "accepted" for result in results):
        raise RuntimeError(f"not accepted: {results[0]}")
    return taken


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--address", required=True)
    parser.add_argument("--bare", required=True, help="key of the project without invariants")
    parser.add_argument("--checked", required=True, help="key of the project with the starter pack")
    parser.add_argument("--rounds", type=int, default=20)
    arguments = parser.parse_args()
    texts = (corpus(CHARS, BATCH) * BATCH)[:BATCH]
    bare = Client(arguments.address, arguments.bare)
    checked = Client(arguments.address, arguments.checked)
    pairs = []
    for number in range(arguments.rounds + 2):  # the first two warm caches
        clients = (bare, checked) if number % 2 else (checked, bare)
        taken = {client: seconds(client, batch(texts)) for client in clients}
        pairs.append((taken[bare], taken[checked]))
    pairs = pairs[2:]
    ratios = sorted(with_pack / without for without, with_pack in pairs)
    extra = statistics.median(with_pack - without for without, with_pack in pairs)
    for name, values in zip(("without", "with"), zip(*pairs, strict=True), strict=True):
        print(f"{name} the pack: {BATCH / statistics.median(values):.0f} records/s")
    print(
        f"with / without, time of a batch: median {statistics.median(ratios):.2f}"
        f" ({ratios[0]:.2f} to {ratios[-1]:.2f}); {extra / BATCH * 1e6:.0f} µs a record more"
    )


if __name__ == "__main__":
    main()
