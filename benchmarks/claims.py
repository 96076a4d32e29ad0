"""Claiming over HTTP: does it cost the same with a million open cases as with ten thousand?

    python -m benchmarks.claims [--small 10000] [--large 1000000] [--rounds 5] [--quick]

A real `manage.py up` on a folder of its own, reviewers with a key each. Both queues stand in one
database and are measured in turns, so that what else the machine does falls on both alike. Claims
are given back after each measurement; at the end eight reviewers claim and answer cases, and the
database is asked whether a slot was ever given twice.
"""

import argparse
import http.client
import json
import statistics
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg

from benchmarks.ingest_server import Installation

N_REVIEWERS = 16
_PEOPLE = """
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project, User
from oversight.tenancy.services import add_member, create_key
from review.models import ReviewQueue
project = Project.objects.get(slug="main")
operator = system_actor(project, "operator")
first = ReviewQueue.objects.get(project=project)
for slug in ("small", "large"):
    ReviewQueue.objects.create(project=project, slug=slug, name=slug, rubric=first.rubric)
for number in range({n}):
    user = User.objects.create_user(f"reviewer-{{number}}@example.org")
    add_member(operator, user=user, role="reviewer")
    print(create_key(operator, name="r", scopes=["review"], acts_as=user)[1])
"""
_FILL = """
WITH template AS (SELECT * FROM review_caseevidence ORDER BY id LIMIT 1),
evidence AS (
    INSERT INTO review_caseevidence ({columns}, record_id, external_id)
    SELECT {columns}, gen_random_uuid(), 'case-' || number
    FROM template, generate_series(1, %(n)s) number
    RETURNING id, project_id
), cases AS (
    INSERT INTO review_case
        (id, project_id, queue_id, kind, evidence_id, state, n_slots, escalation_reason)
    SELECT gen_random_uuid(), project_id, %(queue)s, 'sampled', id, 'open', 1, '' FROM evidence
    RETURNING id
)
INSERT INTO review_slot (case_id, queue_id, number, rank, state, ai_rater)
SELECT id, %(queue)s, 0, row_number() OVER (), 'open', '' FROM cases
"""


class Reviewer:
    """A keep-alive connection and a key."""

    def __init__(self, site: Installation, key: str) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=60)
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def post(self, path: str, body: Any = None) -> tuple[int, Any]:
        text = "" if body is None else json.dumps(body)
        self._connection.request("POST", f"/api/v1/{path}", text, self._headers)
        answer = self._connection.getresponse()
        read = answer.read()
        return answer.status, json.loads(read) if read else None

    def claim(self, queue: str) -> tuple[float, Any]:
        """Milliseconds from the request to the whole case."""
        began = time.perf_counter()
        status, claimed = self.post(f"queues/{queue}/claim")
        took = (time.perf_counter() - began) * 1e3
        if status != 200:
            raise SystemExit(f"a claim was answered {status}: {claimed}")
        return took, claimed

    def release(self, claimed: Any) -> None:
        self.post(
            f"cases/{claimed['case']['id']}/release", {"claim_token": claimed["claim"]["token"]}
        )

    def answer(self, claimed: Any) -> None:
        body = {"claim_token": claimed["claim"]["token"], "answers": {"violation": False}}
        status, told = self.post(f"cases/{claimed['case']['id']}/verdicts", body)
        if status != 201:
            raise SystemExit(f"a verdict was answered {status}: {told}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", type=int, default=10_000)
    parser.add_argument("--large", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--claims", type=int, default=160, help="per round and queue")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything")
    options = parser.parse_args()
    if options.quick:
        options.large, options.rounds, options.claims = options.large // 10, 3, 64
    with Installation(workers=2) as site:
        reviewers = _reviewers(site)
        _fill(site, {"small": options.small, "large": options.large})
        alone = _interleaved(reviewers[:1], options)
        together = _interleaved(reviewers, options)
        rate = _answered_per_second(reviewers[:8], seconds=20.0)
        doubled = _given_twice(site)
    _print("1 reviewer", alone)
    _print(f"{N_REVIEWERS} reviewers", together)
    print(f"8 reviewers claim and answer {rate:.0f} cases a second; {doubled} slots given twice")
    return 1 if doubled else 0


def _reviewers(site: Installation) -> list[Reviewer]:
    keys = site.command("shell", "-c", _PEOPLE.format(n=N_REVIEWERS)).splitlines()
    return [Reviewer(site, key) for key in keys if key.startswith("ov_")]


def _fill(site: Installation, sizes: dict[str, int]) -> None:
    """Cases as a round would leave them, copied from one that came in the usual way."""
    sender = Reviewer(site, site.command("createkey", "main", "--scope", "records:write"))
    record = {
        "external_id": "template",
        "occurred_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "model": {"name": "assistant", "version": "1"},
        "input": "What is it? " * 30,
        "output": "It is this. " * 60,
    }
    _, sent = sender.post("records", {"records": [record]})
    asked = {"queue": "default", "reason": "a template"}
    status, told = sender.post(f"records/{sent['results'][0]['id']}/review", asked)
    if status not in (200, 201, 202):
        raise SystemExit(f"no template: {told}")
    with psycopg.connect(site.database_url, autocommit=True) as database:
        columns = database.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_name = 'review_caseevidence'"
            " AND column_name NOT IN ('id', 'record_id', 'external_id')"
        ).fetchone()
        assert columns is not None
        for slug, size in sizes.items():
            print(f"filling the queue {slug} with {size:,} cases", flush=True)
            queue = database.execute("SELECT id FROM review_reviewqueue WHERE slug = %s", [slug])
            database.execute(
                _FILL.format(columns=columns[0]), {"n": size, "queue": queue.fetchone()[0]}
            )
        for table in ("review_slot", "review_case", "review_caseevidence"):
            database.execute(f"VACUUM ANALYZE {table}")


def _interleaved(reviewers: list[Reviewer], options: argparse.Namespace) -> dict[str, list[float]]:
    """Claims of both queues in turns; milliseconds of each, one list of medians a queue."""
    medians: dict[str, list[float]] = {"small": [], "large": []}
    for number in range(options.rounds + 1):
        for queue in ("small", "large") if number % 2 else ("large", "small"):
            took: list[float] = []

            def work(reviewer: Reviewer, queue: str = queue, took: list[float] = took) -> None:
                for _ in range(max(4, options.claims // len(reviewers))):
                    milliseconds, claimed = reviewer.claim(queue)
                    took.append(milliseconds)
                    reviewer.release(claimed)

            _at_once(reviewers, work)
            if number:  # the first round warms up
                medians[queue].append(statistics.median(took))
    return medians


def _answered_per_second(reviewers: list[Reviewer], seconds: float) -> float:
    until, counts = time.monotonic() + seconds, []

    def work(reviewer: Reviewer) -> None:
        n_answered = 0
        while time.monotonic() < until:
            reviewer.answer(reviewer.claim("large")[1])
            n_answered += 1
        counts.append(n_answered)

    began = time.monotonic()
    _at_once(reviewers, work)
    return sum(counts) / (time.monotonic() - began)


def _at_once(reviewers: list[Reviewer], work: Callable[[Reviewer], None]) -> None:
    threads = [threading.Thread(target=work, args=[reviewer]) for reviewer in reviewers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _given_twice(site: Installation) -> int:
    with psycopg.connect(site.database_url) as database:
        row = database.execute(
            "SELECT count(*) FROM (SELECT slot_id FROM review_verdict"
            " WHERE supersedes_id IS NULL GROUP BY slot_id HAVING count(*) > 1) doubled"
        ).fetchone()
    return int(row[0]) if row else 0


def _print(who: str, medians: dict[str, list[float]]) -> None:
    small, large = (statistics.median(medians[queue]) for queue in ("small", "large"))
    ratios = [b / a for a, b in zip(medians["small"], medians["large"], strict=True)]
    print(
        f"{who:>12}: p50 {small:.1f} ms small, {large:.1f} ms large;"
        f" ratio {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
    )


if __name__ == "__main__":
    sys.exit(main())
