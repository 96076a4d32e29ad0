"""Looking up what is stored already, by primary key: the ids prune the partitions."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from scoring.decisions import Decision
from scoring.models import Action

_RECORDS = """
SELECT id, content_hash, erased_at IS NOT NULL, scorer_version_id, raw, score, p_violation,
    weight, tier, action
FROM scoring_record WHERE id = ANY(%s::uuid[])
"""
_EXPLAINED = """
SELECT id, reasons, intervention FROM scoring_payload WHERE id = ANY(%s::uuid[])
"""


@dataclass(frozen=True, slots=True)
class Known:
    content_hash: bytes
    is_erased: bool
    decision: Decision


def find(record_ids: Iterable[bytes]) -> dict[bytes, Known]:
    """What is stored of these records, with what was decided the first time."""
    wanted = list(record_ids)
    if not wanted:
        return {}
    with connection.cursor() as cursor:
        cursor.execute(_RECORDS, [_array(wanted)])
        rows = cursor.fetchall()
        if not rows:
            return {}
        cursor.execute(_EXPLAINED, [_array([row[0].bytes for row in rows])])
        explained: dict[UUID, tuple[bytes, bytes | None]] = {
            key: (reasons.encode(), intervention and intervention.encode())
            for key, reasons, intervention in cursor.fetchall()
        }
    return {row[0].bytes: _known(row, *explained.get(row[0], (b"[]", None))) for row in rows}


def _known(row: tuple[Any, ...], reasons: bytes, intervention: bytes | None) -> Known:
    _, content_hash, is_erased, scorer_version, raw, score, p, weight, tier, action = row
    return Known(
        content_hash=bytes(content_hash),
        is_erased=is_erased,
        decision=Decision(
            scorer_version, raw, score, p, weight, tier, Action(action), reasons, intervention
        ),
    )


def _array(ids: Sequence[bytes]) -> str:
    """An array literal: the server reads hexadecimal digits faster than we could write dashes."""
    return "{" + ",".join(key.hex() for key in ids) + "}"
