"""The parts of `benchmarks.rounds` that run against its database, each in a process of its own."""

from collections.abc import Callable
from typing import Any

import numpy as np
from django.core.management import call_command
from django.db import connection

from benchmarks import rounds as bench
from oversight.tenancy.actors import Actor, member_actor, system_actor
from oversight.tenancy.models import Membership, Project, User
from oversight.tenancy.services.projects import create_project
from review.models import ReviewQueue, SamplingRound
from review.services import posteriors, rounds, verification
from review.services.starter import equip_project
from scoring.models import IngestBatch, ModelVersion, Window
from scoring.services import scorers, windows
from scoring.storage import partitions
from tests.beliefs import judge


def fill(n_records: int, is_cold: bool) -> dict[str, Any]:
    call_command("migrate", verbosity=0)
    user = User.objects.create_user("bench@example.org", "a long secret")
    project = create_project(slug="bench", name="Bench", owner=user)
    equip_project(system_actor(project))
    ModelVersion.objects.create(
        project=project, name="m", version="1", digest=b"m", fingerprint_dimension=bench.DIMENSION
    )
    actor, queue = _actor(), _queue()
    if not is_cold:
        _fill_window(project, 0, bench.TAUGHT_ON)
        window = windows.close_window(actor)
        assert window is not None
        rounds.draw_window(actor, queue=queue, window=window, budget=bench.BUDGET)
        judge(actor, queue, says=lambda evidence: evidence.record_id.bytes[15] % 50 == 0)
        taught = posteriors.refresh(actor, queue=queue)
        assert taught is not None
    _fill_window(project, 1, n_records)
    windows.close_window(actor, most_records=n_records)
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE scoring_record")
        cursor.execute("VACUUM ANALYZE scoring_payload")
        cursor.execute("SELECT pg_database_size(current_database()) / 1048576")
        size = cursor.fetchone()[0]
    return {"records": n_records, "database_mib": int(size)}


def scan(n_records: int, is_cold: bool) -> dict[str, Any]:
    """The columns that the draw reads, read and thrown away."""
    batches = list(_window().batches.values_list("pk", flat=True))
    columns = "r.id, r.score, r.raw, r.weight, r.scorer_version_id"
    join = ""
    if not is_cold:
        columns += ", r.signals, p.fingerprint"
        join = "LEFT JOIN scoring_payload p ON p.id = r.id"
    query = f"""COPY (SELECT {columns} FROM scoring_record r {join}
        WHERE r.batch_id = ANY(%s) ORDER BY r.id) TO STDOUT (FORMAT BINARY)"""
    n_bytes = 0
    with connection.cursor() as cursor:
        cursor.execute("SET enable_partitionwise_join = on")
        with cursor.cursor.copy(query, [batches]) as copy:
            for data in copy:
                n_bytes += len(data)
    return {"mib": n_bytes // 2**20}


def draw(n_records: int, is_cold: bool) -> dict[str, Any]:
    window = _window()
    made = rounds.draw_window(_actor(), queue=_queue(), window=window, budget=bench.BUDGET)[0]
    assert made.n_candidates == n_records
    return {
        "candidates": made.n_candidates,
        "selected": made.n_selected,
        "posterior": made.posterior_version,
        "tau": round(made.tau, 4),
        "violations": sum(
            record.bytes[15] % 50 == 0
            for record in made.selections.values_list("record_id", flat=True)
        ),
    }


def verify(n_records: int, is_cold: bool) -> dict[str, Any]:
    made = SamplingRound.objects.latest("pk")
    return {"outcome": verification.verify_round(made).outcome}


PARTS: dict[str, Callable[[int, bool], dict[str, Any]]] = {
    "fill": fill,
    "scan": scan,
    "draw": draw,
    "verify": verify,
}


def _actor() -> Actor:
    return member_actor(Membership.objects.select_related("project", "user").get())


def _queue() -> ReviewQueue:
    queue = ReviewQueue.objects.select_related("project", "rubric").get()
    queue.evaluation_budget = queue.intervened_budget = 0
    return queue


def _window() -> Window:
    return Window.objects.latest("number")


def _fill_window(project: Project, number: int, n_records: int) -> None:
    model = ModelVersion.objects.get(project=project)
    scorer = scorers.current_version(project).pk
    start = bench.moment_of(number)
    for first in range(0, n_records, bench.BATCH):
        n = min(bench.BATCH, n_records - first)
        batch = IngestBatch.objects.create(project=project, n_records=n, merkle_root=b"")
        ids, bad, score, vectors = bench.generated(first, n, start)
        risk = np.round(np.random.default_rng(first + 1).random(n) * 0.5 + 0.5 * bad, 6)
        signals = np.array([f'\x01{{"risk":{value:.6f}}}' for value in risk.tolist()], dtype="S18")
        partitions.ensure([start, start + (bench.moment_of(1) - bench.moment_of(0)) * 8])
        record = {
            "id": ids,
            "project_id": np.full(n, project.pk, ">i8"),
            "batch_id": np.full(n, batch.pk, ">i8"),
            "model_version_id": np.full(n, model.pk, ">i8"),
            "scorer_version_id": np.full(n, scorer, ">i8"),
            "external_id": np.char.add(
                f"r-{number}-", np.char.zfill(np.arange(first, first + n).astype("U9"), 9)
            ).astype("S13"),
            "occurred_at": np.full(n, 0, ">i8"),
            "region": np.full(n, b"eu", "S2"),
            "context": np.full(n, b"\x01{}", "S3"),
            "signals": signals,
            "raw": score.astype(">f8"),
            "score": score.astype(">f8"),
            "p_violation": None,
            "weight": np.full(n, 1.0, ">f8"),
            "tier": np.zeros(n, ">i2"),
            "action": np.zeros(n, ">i2"),
            "held_out": np.zeros(n, "u1"),
            "may_review": np.ones(n, "u1"),
            "may_train": np.ones(n, "u1"),
            "consent_basis": np.full(n, b"test", "S4"),
            "conversation_id": np.full(n, b"-", "S1"),
            "subject_id": np.full(n, b"-", "S1"),
            "group_hash": np.full(n, b"\x01" * 16, "V16"),
            "content_hash": np.full(n, b"\x01" * 16, "V16"),
        }
        text = np.array(
            [f'"what is said {number} {i:09d}"' for i in range(first, first + n)], "S26"
        )
        payload = {
            "id": ids,
            "input": text,
            "output": text,
            "fingerprint": vectors,
            "reasons": np.full(n, b"[]", "S2"),
            "intervention": None,
        }
        for table, columns in (("scoring_record", record), ("scoring_payload", payload)):
            statement = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
            with connection.cursor() as cursor, cursor.cursor.copy(statement.encode()) as copy:
                copy.write(bench.copied(table, columns))
