"""What the export benchmark runs inside an installation: fill it, copy bare, export once.

Cases by the hundred thousand are made in SQL from one that was really drawn and judged, so that
every column, trigger and foreign key is the application's own.
"""

import json
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from django.db import connection, transaction

from oversight.tenancy.actors import member_actor
from oversight.tenancy.models import Membership, Project, Role
from review.datasets import export, selection, snapshot
from review.models import DatasetVersion, ReviewQueue
from review.services import rounds
from tests.factories import make_api, make_project, make_record
from tests.judging import judge

PROJECT = "exports-benchmark"
PER_ROUND = 10_000
_PEAK = re.compile(r"^VmHWM:\s+(\d+) kB", re.MULTILINE)
_UUID = "md5('{}' || g)::uuid"

# Table -> its template's key among those of the judged case, and what differs in copy g (from 0).
# Every other column is the template's.
_COPIES: dict[str, tuple[str, dict[str, str]]] = {
    "review_selection": (
        "selection",
        {
            "id": "{base} + g",
            "round_id": "{base} + g / {per_round}",
            "position": "g % {per_round}",
            "record_id": _UUID.format("record"),
            "key": "9 - (g % {per_round}) / 1000.0",
            "exponential": "0.5 + g % 97 / 100.0",
            "inclusion_probability": "1 - 0.99 * (g % {per_round}) / {per_round}",
        },
    ),
    "review_caseevidence": (
        "evidence",
        {
            "id": "{base} + g",
            "record_id": _UUID.format("record"),
            "external_id": "'record-' || g",
            "occurred_at": "t.occurred_at + g * interval '17 milliseconds'",
            "raw": "ln(1 + g % 9973)",
            "score": "(g % 9973) / 9973.0",
            "tier": "g % 5",
            "held_out": "g % 20 = 0",
            "may_train": "g % 3 > 0",
        },
    ),
    "review_case": (
        "case",
        {
            "id": _UUID.format("case"),
            "evidence_id": "{base} + g",
            "selection_id": "{base} + g",
            # One case of the last round is still open, so that its prefix is a part of it.
            "state": "CASE WHEN g = {open} THEN 'open' ELSE 'resolved' END",
        },
    ),
    "review_slot": (
        "slot",
        {
            "id": "{base} + g",
            "case_id": _UUID.format("case"),
            "rank": "{base} + g",
            "token": _UUID.format("token"),
        },
    ),
    "review_verdict": (
        "verdict",
        {
            "id": _UUID.format("verdict"),
            "case_id": _UUID.format("case"),
            "slot_id": "{base} + g",
            "token": _UUID.format("token"),
            "violation": "g % 7 = 0",
            "answers": "CASE WHEN g % 7 = 0 THEN {yes} ELSE {no} END",
            "seconds": "5 + g % 601 / 10.0",
            "created_at": "t.created_at + g * interval '29 milliseconds'",
        },
    ),
    "review_verdictnote": (
        "note",
        {
            "verdict_id": _UUID.format("verdict"),
            "note": "CASE WHEN g % 10 = 0 THEN 'Seen before, \"like\" record ' || g ELSE '' END",
        },
    ),
    "review_caseresolution": (
        "resolution",
        {
            "id": "{base} + g",
            "case_id": _UUID.format("case"),
            "violation": "g % 7 = 0",
            "answers": "CASE WHEN g % 7 = 0 THEN {yes} ELSE {no} END",
            "verdicts": "jsonb_build_array(" + _UUID.format("verdict") + "::text)",
        },
    ),
}
_TEMPLATE = """
SELECT json_build_object(
    'selection', c.selection_id, 'evidence', c.evidence_id, 'case', c.id, 'slot', v.slot_id,
    'verdict', v.id, 'note', v.id, 'resolution', r.id, 'round', s.round_id,
    'window', o.window_id)::text
FROM review_case c JOIN review_verdict v ON v.case_id = c.id
JOIN review_caseresolution r ON r.case_id = c.id JOIN review_selection s ON s.id = c.selection_id
JOIN review_samplinground o ON o.id = s.round_id
WHERE o.stratum = 'stream' ORDER BY v.violation LIMIT 1
"""


class _NoPandas:
    """Arrow imports pandas where it is found: no installation has it, other benchmarks do."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(name)


sys.meta_path.insert(0, _NoPandas)


def fill(n_rows: int) -> None:
    """A project with one case drawn and judged over the API, and `n_rows` more like it."""
    project = make_project(PROJECT)
    owner = member_actor(Membership.objects.get(project=project, role=Role.OWNER))
    queue = ReviewQueue.objects.get(project=project)
    api = make_api(project)
    api.post("records", {"records": [make_record(index) for index in range(30)]})
    rounds.run(owner, queue=queue, budget=6)
    judge(api, queue)
    with connection.cursor() as cursor:
        cursor.execute(_TEMPLATE)
        keys = json.loads(cursor.fetchone()[0])
        cursor.execute("SELECT answers FROM review_verdict WHERE violation LIMIT 1")
        yes = cursor.fetchone()[0]
        cursor.execute("SELECT answers FROM review_verdict WHERE NOT violation LIMIT 1")
        no = cursor.fetchone()[0]
    values: dict[str, Any] = {
        "base": 1_000_000_000,
        "per_round": PER_ROUND,
        "open": n_rows - PER_ROUND // 3,
        "yes": _literal(yes),
        "no": _literal(no),
    }
    # All at once: the reconciler resolves what it finds answered and not resolved.
    with transaction.atomic():
        _copy_rounds(-(-n_rows // PER_ROUND), keys, values, n_rows)
        for table, (key, changes) in _COPIES.items():
            _copy(table, keys[key], changes, values, n_rows)
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def _copy_rounds(n: int, keys: dict[str, Any], values: dict[str, Any], n_rows: int) -> None:
    number = {"id": "{base} + g", "number": "100000 + g", "n_records": "5 * {per_round}"}
    _copy("scoring_window", keys["window"], number, values, n)
    selected = f"least({{per_round}}, {n_rows} - g * {{per_round}})"
    changes = {
        "id": "{base} + g",
        "window_id": "{base} + g",
        "budget": "{per_round}",
        "n_candidates": "5 * {per_round}",
        "n_selected": selected,
        "threshold": "9 - {per_round} / 1000.0",
        "threshold_kind": "'finite'",
        "log_normalizer": "1.0",
    }
    _copy("review_samplinground", keys["round"], changes, values, n)


def _copy(table: str, key: Any, changes: dict[str, str], values: dict[str, Any], n: int) -> None:
    with connection.cursor() as cursor:
        described = connection.introspection.get_table_description(cursor, table)
        primary = connection.introspection.get_primary_key_column(cursor, table)
        names = [column.name for column in described]
        told = [
            changes[name].format(**values) if name in changes else f"t.{name}" for name in names
        ]
        cursor.execute(
            f"INSERT INTO {table} ({', '.join(names)}) SELECT {', '.join(told)} "
            f"FROM {table} t, generate_series(0, {n - 1}) g "
            f"WHERE t.{primary} = '{key}' ORDER BY g"
        )


def _literal(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return "'" + text.replace("'", "''") + "'::jsonb"


def copy(kind: str) -> dict[str, float]:
    """COPY of the query that an export of this kind reads, as text, thrown away."""
    with snapshot.take() as moment:
        found, paths = selection.rows_of(_dataset(kind, "jsonl"))
        query = found.values_list(*paths.values()).query
        sql, parameters = query.get_compiler(connection=moment._connection).as_sql()
        begun, n_rows = time.perf_counter(), 0
        with (
            moment._connection.connection.cursor() as cursor,
            cursor.copy(f"COPY ({sql}) TO STDOUT", parameters) as lines,
        ):
            for _ in lines:
                n_rows += 1
        return {"rows": n_rows, "seconds": time.perf_counter() - begun}


def write(kind: str, format_name: str) -> dict[str, float]:
    """One export into a folder that goes again: all it takes, from snapshot to manifest."""
    dataset = _dataset(kind, format_name)
    with tempfile.TemporaryDirectory(prefix="exports-benchmark-") as folder:
        begun = time.perf_counter()
        with snapshot.take() as moment:
            made = export.write(dataset, moment, Path(folder), lambda done: None)
        seconds = time.perf_counter() - begun
    found = _PEAK.search(Path("/proc/self/status").read_text())
    assert found is not None
    peak = int(found.group(1)) / 1024
    return {"rows": made["counts"]["rows"], "seconds": seconds, "peak_mib": peak}


def _dataset(kind: str, format_name: str) -> DatasetVersion:
    project = Project.objects.get(slug=PROJECT)
    queue = ReviewQueue.objects.select_related("project", "rubric").get(project=project)
    return DatasetVersion(
        project=project,
        queue=queue,
        name="benchmark",
        number=1,
        kind=kind,
        format=format_name,
        label_rule="adjudicated",
    )
