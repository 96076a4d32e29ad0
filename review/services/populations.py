"""Counting what a window's strata hold, once, with the draw that chooses from them.

A scan of the window's records beside the draw's own; every figure afterwards reads the counts.
Segments are counted while they have few values: by region, not by customer number.
"""

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC
from typing import Any

import numpy as np
from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import (
    Case,
    CharField,
    Count,
    F,
    FloatField,
    Func,
    IntegerField,
    Q,
    QuerySet,
    Value,
    When,
)
from django.db.models.functions import TruncDate

from review.models import PopulationCount, ReviewQueue
from review.models.populations import WITHHELD
from scoring.models import InferenceRecord, Window

SCORE_STEPS = 1000  # thresholds that are counted lie on i / 1000
N_TIERS = 5
MAX_VALUES = 20  # of a segment that is counted by value
MAX_VALUE_LENGTH = 200
_EDGES = [step / SCORE_STEPS for step in range(1, SCORE_STEPS + 1)]
_GROUP = ("stratum", "model_version_id", "scorer_version_id", "day")
_CELL = (*_GROUP, "tier", "step")
_CHUNK = 500

Group = tuple[Any, ...]  # of _GROUP, then segment and value


def count(queue: ReviewQueue, window: Window, strata: Mapping[str, Q]) -> None:
    """Count a window's records for a queue, unless that was done before.

    Args:
        strata: by name, the condition on InferenceRecord that makes a record a candidate of it,
            the queue's filter included.
    """
    if PopulationCount.objects.filter(queue=queue, window=window).exists():
        return
    records = _records(window, strata)
    cells: dict[Group, tuple[Any, Any]] = defaultdict(
        lambda: (np.zeros(N_TIERS, np.int64), np.zeros(SCORE_STEPS + 1, np.int64))
    )
    everything = records.values_list(*_CELL).annotate(n=Count("*")).order_by()
    rows = [(*row[:4], "", "", *row[4:]) for row in everything.iterator()]
    for *group, tier, step, n in [*rows, *_segment_rows(records)]:
        tiers, steps = cells[tuple(group)]
        tiers[tier] += n
        steps[step] += n
    PopulationCount.objects.bulk_create(
        [
            PopulationCount(
                queue=queue,
                window=window,
                **dict(zip((*_GROUP, "segment", "value"), group, strict=True)),
                n=int(tiers.sum()),
                at_tier=np.cumsum(tiers[::-1])[::-1].tolist(),
                at_score=np.cumsum(steps[::-1])[::-1].tolist(),
            )
            for group, (tiers, steps) in cells.items()
        ],
        batch_size=_CHUNK,
    )


def reviewable() -> Q:
    """What every candidate must be, whatever its stratum."""
    return Q(may_review=True, erased_at=None)


def _records(window: Window, strata: Mapping[str, Q]) -> QuerySet[InferenceRecord, Any]:
    batches = list(window.batches.values_list("pk", flat=True))
    named = [When(reviewable() & rule, then=Value(name)) for name, rule in strata.items()]
    withheld = Q(may_review=False)
    anywhere = Q()
    for rule in strata.values():
        anywhere |= rule
    edges = Value(_EDGES, output_field=ArrayField(FloatField()))
    return (
        InferenceRecord.objects.filter(project=window.project_id, batch__in=batches)
        .filter(anywhere, reviewable() | withheld)
        .annotate(
            stratum=Case(*named, default=Value(WITHHELD), output_field=CharField()),
            day=TruncDate("occurred_at", tzinfo=UTC),
            # The number of edges at or below the score: compared as floats, so that a score on
            # an edge counts as reaching it, whatever score * 1000 rounds to.
            step=Func(F("score"), edges, function="width_bucket", output_field=IntegerField()),
        )
    )


def _segment_rows(records: QuerySet[InferenceRecord, Any]) -> list[tuple[Any, ...]]:
    """The same counts per value of each context field; value None where there are too many."""
    inner, params = (
        records.order_by().values(*_CELL, "context").query.get_compiler("default").as_sql()
    )
    cells = ", ".join(f"r.{name}" for name in _CELL)
    pairs = f"({inner}) AS r, jsonb_each_text(r.context) AS c"
    with connection.cursor() as cursor:
        # Only names of our own are put into these texts; values are parameters.
        cursor.execute(
            "SELECT c.key FROM " + pairs + " WHERE c.value IS NOT NULL GROUP BY c.key"  # noqa: S608 - see above
            " HAVING count(DISTINCT c.value) <= %s AND max(length(c.value)) <= %s",
            [*params, MAX_VALUES, MAX_VALUE_LENGTH],
        )
        few = [key for (key,) in cursor.fetchall()]
        cursor.execute(
            f"SELECT {cells}, c.key, CASE WHEN c.key = ANY(%s) THEN c.value END AS told, count(*)"  # noqa: S608 - see above
            f" FROM {pairs} WHERE c.value IS NOT NULL GROUP BY {cells}, c.key, told",
            [few, *params],
        )
        return [(*row[:4], *row[6:8], row[4], row[5], row[8]) for row in cursor.fetchall()]
