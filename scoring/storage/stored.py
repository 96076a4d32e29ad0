"""Looking up what is stored already, by primary key: the ids prune the partitions."""

from collections.abc import Iterable
from dataclasses import dataclass
from uuid import UUID

from scoring.decisions import Decision
from scoring.models import Action, InferenceRecord, RecordPayload


@dataclass(frozen=True, slots=True)
class Known:
    content_hash: bytes
    is_erased: bool
    decision: Decision


def find(record_ids: Iterable[UUID]) -> dict[UUID, Known]:
    """What is stored of these records, with what was decided the first time."""
    wanted = list(set(record_ids))
    if not wanted:
        return {}
    rows = list(
        InferenceRecord.objects.filter(pk__in=wanted).values_list(
            "id",
            "content_hash",
            "erased_at",
            "scorer_version_id",
            "raw",
            "score",
            "p_violation",
            "weight",
            "tier",
            "action",
        )
    )
    if not rows:
        return {}
    explained = {
        key: (reasons, intervention)
        for key, reasons, intervention in RecordPayload.objects.filter(
            pk__in=[row[0] for row in rows]
        ).values_list("id", "reasons", "intervention")
    }
    return {
        row[0]: Known(
            content_hash=bytes(row[1]),
            is_erased=row[2] is not None,
            decision=Decision(*row[3:9], Action(row[9]), *explained.get(row[0], ((), None))),
        )
        for row in rows
    }
