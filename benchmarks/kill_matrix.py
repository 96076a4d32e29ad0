"""Two hundred kills at random points under load: is anything acknowledged lost or doubled?

    python -m benchmarks.kill_matrix [--rounds 200] [--seed 1]

A real `manage.py up` on a folder of its own. While clients send records and give verdicts, each
round kills one victim by SIGKILL at a random moment and waits until the site takes records again.
Every so often, and at the end, all that was acknowledged with 2xx is looked for by its identity,
and the tables are counted. Exit status 1 where anything is missing or there twice.
"""

import argparse
import random
import statistics
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
import psycopg

from oversight.local import places
from oversight.local.postgres import Postgres
from tests.oversight.installation import Installation, wait_for

CHECK_EVERY = 20
VICTIMS = {  # with the share of the kills
    "postgres": 4,  # the postmaster
    "backend": 4,  # one of its processes: the whole server recovers
    "valkey": 3,
    "web": 4,  # the parent of the web processes
    "web process": 4,
    "worker": 3,
    "worker process": 3,
    "ticks": 2,
    "ticks process": 2,
    "beat": 1,
    "up": 1,  # the supervisor: everything ends and is started again
    "everything": 1,
}


class Client(threading.Thread):
    """Sends small batches, has each looked at, judges; keeps what was acknowledged."""

    def __init__(self, installation: Installation, number: int) -> None:
        super().__init__(daemon=True)
        self.installation, self.number = installation, number
        self.records: list[dict[str, Any]] = []
        self.verdicts: list[str] = []
        self.is_wanted = True
        self._sent = 0

    def run(self) -> None:
        while self.is_wanted:
            sent = [self._record() for _ in range(5)]
            answer: dict[str, Any] = {}
            # As a real client does: the same batch again until it is acknowledged, or we stop.
            while self.is_wanted:
                status, answer = self.installation.request(
                    "/api/v1/records", {"records": sent}, timeout=8
                )
                if status == 200:
                    self.records += sent
                    break
                time.sleep(0.2)
            if answer.get("results"):
                self._judge(answer["results"][0]["id"])

    def _judge(self, record: str) -> None:
        ask = self.installation.request
        ask(f"/api/v1/records/{record}/review", {"queue": "default", "reason": "a look"}, timeout=8)
        status, claimed = ask("/api/v1/queues/default/claim", {}, timeout=8)
        if status != 200:
            return
        body = {"claim_token": claimed["claim"]["token"], "answers": {"violation": False}}
        status, verdict = ask(f"/api/v1/cases/{claimed['case']['id']}/verdicts", body, timeout=8)
        if status == 201:
            self.verdicts.append(verdict["id"])

    def _record(self) -> dict[str, Any]:
        self._sent += 1
        record = self.installation.record()
        record["external_id"] = f"client-{self.number}-{self._sent}"
        return record


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=_Plain)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        installation = Installation(Path(folder) / "data")
        try:
            installation.start()
            assert installation.key
            clients = [Client(installation, number) for number in range(3)]
            for client in clients:
                client.start()
            killed, recoveries = _strike(installation, clients, rng, options.rounds)
            for client in clients:
                client.is_wanted = False
            for client in clients:
                client.join(30)
            faults = _check(installation, clients)
        finally:
            installation.end()
    n_records, n_verdicts = (sum(len(kept) for kept in column) for column in _kept(clients))
    print(f"\n{sum(killed.values())} kills: {dict(killed)}")
    print(f"{n_records:,} records and {n_verdicts:,} verdicts acknowledged")
    print(
        f"records taken again after {statistics.median(recoveries):.1f} s in the median,"
        f" {max(recoveries):.1f} s at worst"
    )
    print("\n".join(faults) or "0 lost, 0 doubled")
    return 1 if faults else 0


class _Plain(argparse.RawDescriptionHelpFormatter):
    pass


def _strike(
    installation: Installation, clients: list[Client], rng: random.Random, rounds: int
) -> tuple[Counter[str], list[float]]:
    killed: Counter[str] = Counter()
    recoveries = []
    for number in range(1, rounds + 1):
        time.sleep(rng.uniform(0.0, 2.0))
        (victim,) = rng.choices(list(VICTIMS), list(VICTIMS.values()))
        for process in _find(installation, victim, rng):
            try:
                process.kill()
            except psutil.NoSuchProcess:
                continue
        killed[victim] += 1
        began = time.monotonic()
        if victim in ("up", "everything"):
            assert installation.up is not None
            installation.up.wait(60)
        installation.start()
        seen = [len(client.records) for client in clients]
        wait_for(
            lambda seen=seen: any(
                len(client.records) > before for client, before in zip(clients, seen, strict=True)
            ),
            what=f"records after a kill of {victim}",
        )
        recoveries.append(time.monotonic() - began)
        print(f"\r{number}/{rounds} {victim:<16}{recoveries[-1]:6.1f} s", end="", flush=True)
        if number % CHECK_EVERY == 0:
            assert not (faults := _check(installation, clients)), faults
    return killed, recoveries


def _find(installation: Installation, victim: str, rng: random.Random) -> list[psutil.Process]:
    if victim == "everything":
        return installation.processes()
    if victim == "up":
        assert installation.up is not None
        return [psutil.Process(installation.up.pid)]
    whole = {f"{name} process": name for name in ("web", "worker", "ticks")}
    whole["backend"] = "postgres"
    try:
        part = psutil.Process(installation.parts()[whole.get(victim, victim)])
        if victim not in whole:
            return [part]
        children = part.children()
        return [rng.choice(children)] if children else []
    except (psutil.NoSuchProcess, KeyError, FileNotFoundError):
        return []  # it is dead from the last round, and about to come back


def _kept(clients: list[Client]) -> tuple[list[list[Any]], list[list[Any]]]:
    return [c.records for c in clients], [c.verdicts for c in clients]


def _check(installation: Installation, clients: list[Client]) -> list[str]:
    """Whatever was acknowledged and is not there once, in words."""
    wait_for(installation.is_ready, what="the site")
    records, verdicts = _kept(clients)
    told_records = {record["external_id"] for kept in records for record in kept[:]}
    told_verdicts = {verdict for kept in verdicts for verdict in kept[:]}
    url = Postgres(places.prepare(installation.data)).url
    with psycopg.connect(url) as database:
        rows = database.execute("SELECT external_id, count(*) FROM scoring_record GROUP BY 1")
        stored = dict(rows.fetchall())
        payloads = _one(
            database,
            "SELECT count(*) FROM scoring_record r WHERE NOT EXISTS"
            " (SELECT 1 FROM scoring_payload p WHERE p.id = r.id)",
        )
        judged = {str(row[0]) for row in database.execute("SELECT id FROM review_verdict")}
        twice = _one(
            database,
            "SELECT count(*) FROM (SELECT slot_id FROM review_verdict"
            " WHERE supersedes_id IS NULL GROUP BY 1 HAVING count(*) > 1) doubled",
        )
    counts = {
        "acknowledged records are lost": len(told_records - stored.keys()),
        "records are there twice": sum(count > 1 for count in stored.values()),
        "records have no payload": payloads,
        "acknowledged verdicts are lost": len(told_verdicts - judged),
        "slots were answered twice": twice,
    }
    return [f"{count} {text}" for text, count in counts.items() if count]


def _one(database: psycopg.Connection[Any], query: str) -> int:
    row = database.execute(query).fetchone()
    return int(row[0]) if row else 0


if __name__ == "__main__":
    sys.exit(main())
