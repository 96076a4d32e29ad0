"""The parts of `benchmarks.audit_log` that run against its database, each in its own process."""

import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from django.core.management import call_command
from django.db import connection

from oversight.audit import selectors, services
from oversight.audit.models import AuditLink
from oversight.audit.verify import verify as derive_again
from oversight.tenancy.actors import member_actor
from oversight.tenancy.models import Membership, Project, Role, User
from oversight.tenancy.services.projects import create_project

BATCH = 1_000
N_PROOFS = 300
_FILL = """
WITH event AS (
    INSERT INTO audit_auditevent
        (project_id, actor_kind, actor_id, action, object_type, object_id, detail)
    SELECT id, 'user', '7', 'verdict.given', 'case', n::text,
        jsonb_build_object('rubric', 3, 'answer', 'yes', 'seconds', n %% 600)
    FROM tenancy_project, generate_series(1, %s) n RETURNING id, project_id
)
INSERT INTO audit_auditpending (event_id, project_id) SELECT id, project_id FROM event
"""


def prepare(_: int) -> dict[str, Any]:

    call_command("migrate", verbosity=0)
    create_project(slug="bench", name="Bench")
    return {}


def grow(n_events: int) -> dict[str, Any]:
    """Sequence that many events, then five batches more, each alone."""
    project = Project.objects.get()

    def append(n: int) -> float:
        with connection.cursor() as cursor:
            cursor.execute(_FILL, [n])
            cursor.execute("ANALYZE audit_auditevent, audit_auditpending, audit_auditlink")
        began = time.perf_counter()
        services.sequence(project)
        return time.perf_counter() - began

    seconds = append(n_events)
    batches = [append(BATCH) for _ in range(5)]
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT sum(octet_length(hashes))::float8 / count(*),"
            " pg_total_relation_size('audit_auditlink')::float8 / count(*),"
            " pg_total_relation_size('audit_auditevent')::float8 / count(*) FROM audit_auditlink"
        )
        hashes, links, events = cursor.fetchone()
    return {
        "events_a_second": round(n_events / seconds),
        f"batch_of_{BATCH}_ms": round(statistics.median(batches) * 1e3),
        "hash_bytes": round(hashes, 1),
        "link_bytes": round(links),
        "event_bytes": round(events),
    }


def prove(_: int) -> dict[str, Any]:
    """Medians over random leaves and sizes; a proof reads its checkpoint from the file too."""
    user, _ = User.objects.get_or_create(email="auditor@example.org")
    membership, _ = Membership.objects.get_or_create(
        project=Project.objects.get(), user=user, role=Role.AUDITOR
    )
    actor, draw = member_actor(membership), random.Random(1)
    size = selectors.get_checkpoint(actor).size
    sizes = [draw.randrange(1, size + 1) for _ in range(N_PROOFS)]
    events = [AuditLink.objects.get(sequence=at).event_id for at in sizes]
    return {
        "size": size,
        "inclusion_ms": _median_ms(lambda event: selectors.inclusion_proof(actor, event), events),
        "consistency_ms": _median_ms(lambda at: selectors.consistency_proof(actor, at), sizes),
    }


def _median_ms(work: Callable[[int], object], arguments: list[int]) -> float:
    took = []
    for argument in arguments:
        began = time.perf_counter()
        work(argument)
        took.append(time.perf_counter() - began)
    return round(statistics.median(took) * 1e3, 2)


def verify(_: int) -> dict[str, Any]:
    began = time.perf_counter()
    report = derive_again(Project.objects.get())
    seconds = time.perf_counter() - began
    if report.problem:
        raise SystemExit(report.problem)
    return {
        "events": report.n_linked,
        "checkpoints": report.n_checkpoints,
        "events_a_second": round(report.n_linked / seconds),
    }


PARTS: dict[str, Callable[[int], dict[str, Any]]] = {
    "prepare": prepare,
    "grow": grow,
    "prove": prove,
    "verify": verify,
}
