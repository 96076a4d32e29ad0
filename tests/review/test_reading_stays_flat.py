"""What a page costs does not grow with what is stored: rows looked at, as the planner counts them.

Real requests are made at two sizes; every statement that they send is explained with ANALYZE, and
the rows that its nodes have produced or thrown away are added up.
"""

import json
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext

from oversight.lib import paging
from review.services import rounds
from scoring.models import InferenceRecord
from tests.factories import make_record
from tests.worlds import BACKEND

SMALL, LARGE = 2_000, 12_000
BIG_TABLES = ("scoring_record", "scoring_payload", "review_case", "review_slot", "review_verdict")

_COPY_RECORDS = """
INSERT INTO scoring_record ({columns}, id, external_id)
SELECT {columns}, (left(replace(first.id::text, '-', ''), 12) || left(md5(n::text), 20))::uuid,
    'copy-' || n
FROM (SELECT * FROM scoring_record WHERE external_id NOT LIKE 'copy-%%' LIMIT 1) first,
    generate_series(%(low)s, %(high)s) n
"""
_COPY_CASES = """
WITH first AS (SELECT * FROM review_caseevidence ORDER BY id LIMIT 1),
evidence AS (
    INSERT INTO review_caseevidence ({columns}, record_id)
    SELECT {columns}, gen_random_uuid() FROM first, generate_series(%(low)s, %(high)s)
    RETURNING id, project_id
), cases AS (
    INSERT INTO review_case (id, project_id, queue_id, kind, evidence_id, state, n_slots,
        escalation_reason)
    SELECT gen_random_uuid(), project_id, %(queue)s, 'sampled', id, 'open', 1, '' FROM evidence
    RETURNING id
)
INSERT INTO review_slot (case_id, queue_id, number, rank, state, ai_rater)
SELECT id, %(queue)s, 0, 9000000000000 + row_number() OVER (), 'open', '' FROM cases
"""


_HALF_ANSWERED = """
WITH first AS (SELECT * FROM review_caseevidence ORDER BY id LIMIT 1),
evidence AS (
    INSERT INTO review_caseevidence ({columns}, record_id)
    SELECT {columns}, gen_random_uuid() FROM first, generate_series(1, %(n)s)
    RETURNING id, project_id
), cases AS (
    INSERT INTO review_case (id, project_id, queue_id, kind, evidence_id, state, n_slots,
        escalation_reason)
    SELECT gen_random_uuid(), project_id, %(queue)s, 'sampled', id, 'open', 1, '' FROM evidence
    RETURNING id
), ranked AS (
    SELECT id, %(before)s - row_number() OVER () AS rank FROM cases
), waiting AS (
    INSERT INTO review_slot (case_id, queue_id, number, rank, state, ai_rater)
    SELECT id, %(queue)s, 0, rank, 'open', '' FROM ranked
)
INSERT INTO review_slot (case_id, queue_id, number, rank, state, reviewer_id, ai_rater)
SELECT id, %(queue)s, %(number)s, rank, 'done', %(user)s, %(rater)s FROM ranked
"""


def columns(table, *without):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT string_agg(quote_ident(column_name), ', ') FROM information_schema.columns"
            " WHERE table_name = %s AND column_name <> ALL(%s)",
            [table, ["id", *without]],
        )
        return cursor.fetchone()[0]


def grow(queue, low, high):
    with connection.cursor() as cursor:
        span = {"low": low, "high": high, "queue": queue.pk}
        cursor.execute(_COPY_RECORDS.format(columns=columns("scoring_record", "external_id")), span)
        cursor.execute(
            _COPY_CASES.format(columns=columns("review_caseevidence", "record_id")), span
        )
        for table in (*BIG_TABLES, "review_caseevidence"):
            cursor.execute(f"ANALYZE {table}")


def half_answer(queue, n, before, user=None, rater=""):
    """Cases of earlier rank that one has answered and that wait for somebody else."""
    with connection.cursor() as cursor:
        cursor.execute(
            _HALF_ANSWERED.format(columns=columns("review_caseevidence", "record_id")),
            {
                "n": n,
                "queue": queue.pk,
                "before": before,
                "number": 1_000 if rater else 1,
                "user": user and user.pk,
                "rater": rater,
            },
        )
        for table in (*BIG_TABLES, "review_caseevidence"):
            cursor.execute(f"ANALYZE {table}")


def visited(plan):
    """Rows that a plan's nodes have given or thrown away."""
    loops = plan.get("Actual Loops", 1)
    removed = sum(plan.get(f"Rows Removed by {what}", 0) for what in ("Filter", "Index Recheck"))
    own = (plan.get("Actual Rows", 0) + removed) * loops
    return own + sum(visited(child) for child in plan.get("Plans", ()))


def rows_looked_at(act):
    """The rows that an act's statements look at, each explained where it would have run."""
    with CaptureQueriesContext(connection) as sent:
        answer = act()
    assert answer.status_code in (200, 204), answer.content
    total = 0
    for query in sent.captured_queries:
        sql = query["sql"]
        if not sql.lstrip().upper().startswith(("SELECT", "UPDATE", "WITH")):
            continue
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f"EXPLAIN (ANALYZE, TIMING OFF, FORMAT JSON) {sql}")
            found = cursor.fetchone()[0]
            plan = (json.loads(found) if isinstance(found, str) else found)[0]["Plan"]
            transaction.set_rollback(True)
        total += visited(plan)
    return total


@pytest.fixture
def site(world):
    """A queue with a drawn round and a few verdicts, so that every list has something to show."""
    sent = [make_record(i) for i in range(60)]
    assert world.api("records:write")("post", "records", {"records": sent}).status_code == 200
    world.queue = world.project.queues.get()
    rounds.run(world.actor("owner"), queue=world.queue, budget=30)
    return world


def acts(site):
    pages, slug = site.client("owner"), site.slug
    api = site.api("records:read")
    reviewer = site.client("lead")
    return {
        "records": lambda: pages.get(f"/p/{slug}/records/"),
        "records of a rare tier": lambda: api("get", "records?tier=4"),
        "records of one region": lambda: api("get", "records?region=nowhere"),
        "records of a model": lambda: api("get", "records?model=none"),
        "records before a time": lambda: api("get", "records?occurred_before=2100-01-01T00:00:00Z"),
        "queues": lambda: reviewer.get(f"/p/{slug}/queues/"),
        "desk": lambda: reviewer.get(f"/p/{slug}/queues/{site.queue.slug}/review/"),
        "rounds": lambda: pages.get(f"/p/{slug}/rounds/"),
        "jobs": lambda: pages.get(f"/p/{slug}/jobs/"),
        "audit": lambda: pages.get(f"/p/{slug}/audit/"),
    }


def test_no_page_looks_at_more_rows_when_more_are_stored(site, monkeypatch):
    monkeypatch.setattr(paging, "LONGEST_WALK", 1_000)
    grow(site.queue, 1, SMALL)
    small = {name: rows_looked_at(act) for name, act in acts(site).items()}
    grow(site.queue, SMALL + 1, LARGE)
    large = {name: rows_looked_at(act) for name, act in acts(site).items()}
    assert InferenceRecord.objects.count() > LARGE
    grown = {
        name: (small[name], large[name]) for name in small if large[name] > 1.3 * small[name] + 100
    }
    assert grown == {}


def test_a_claim_looks_at_as_many_rows_however_many_wait(site):
    api = site.api("review", acts_as=site.user("lead"))

    def claim():
        return api("post", f"queues/{site.queue.slug}/claim")

    grow(site.queue, 1, SMALL)
    small = rows_looked_at(claim)
    grow(site.queue, SMALL + 1, LARGE)
    assert rows_looked_at(claim) <= small + 60


@pytest.mark.parametrize("kind", ["reviewer", "rater"])
def test_a_claim_looks_at_as_many_rows_however_many_are_half_answered(site, kind):
    def looked_at(n, before, number):
        """By one who has answered `n` cases that are served before all others."""
        if kind == "reviewer":
            user = site.user("reviewer", f"reviewer-{number}@acme.example")
            half_answer(site.queue, n, before, user=user)
            api = site.api("review", acts_as=user)
        else:
            half_answer(site.queue, n, before, rater=f"judge-{number}")
            api = site.api("review", ai_rater=f"judge-{number}")

        def claim():
            return api("post", f"queues/{site.queue.slug}/claim")

        assert claim().status_code == 200
        return rows_looked_at(claim)

    small = looked_at(SMALL, -1_000_000, 1)
    assert looked_at(LARGE, -2_000_000, 2) <= small + 60


def test_the_desk_looks_at_as_many_rows_however_many_are_half_answered(site):
    def looked_at(n, before, number):
        user = site.user("reviewer", f"reviewer-{number}@acme.example")
        half_answer(site.queue, n, before, user=user)
        client = Client()
        client.force_login(user, backend=BACKEND)
        return rows_looked_at(lambda: client.get(f"/p/{site.slug}/queues/"))

    small = looked_at(SMALL, -1_000_000, 1)
    assert looked_at(LARGE, -2_000_000, 2) <= small + 60


def test_a_filtered_list_goes_on_where_its_walk_ended(site, monkeypatch):
    monkeypatch.setattr(paging, "LONGEST_WALK", 25)
    long_ago = datetime.now(UTC) - timedelta(days=50)  # the oldest of all
    rare = make_record(999, occurred_at=long_ago.isoformat())
    rare["context"] = {"region": "rare"}
    site.api("records:write")("post", "records", {"records": [rare]})
    api, seen, cursor, n_pages = site.api("records:read"), [], "", 0
    while cursor is not None:
        answer = api("get", f"records?region=rare&cursor={cursor}").json()
        seen += [row["external_id"] for row in answer["results"]]
        cursor, n_pages = answer["next"], n_pages + 1
    assert seen == [rare["external_id"]]
    assert n_pages == 3
