"""Counting what a window's strata hold, once, with the draw that chooses from them.

A scan of the window's records beside the draw's own; every figure afterwards reads the counts.
Segments are counted while they have few values: by region, not by customer number.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

import numpy as np
import numpy.typing as npt
from django.contrib.postgres.fields import ArrayField
from django.db import connection
from django.db.models import (
    Case,
    CharField,
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
MAX_SEGMENTS = 24
SAMPLE_SIZE = 5_000
_EDGES = [step / SCORE_STEPS for step in range(1, SCORE_STEPS + 1)]
_GROUP = ("stratum", "model_version_id", "scorer_version_id", "day")
_CELL = (*_GROUP, "tier", "step")
_CHUNK = 500

IntArray = npt.NDArray[np.int64]
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
    cells: dict[Group, tuple[IntArray, IntArray]] = defaultdict(_nothing)
    counted, uncounted = _segments(records)
    for *group, tier, step, n in _rows(records, counted):
        tiers, steps = cells[tuple(group)]
        tiers[tier] += n
        steps[step] += n
    uncounted |= _with_many_values(cells)
    for key in uncounted:
        some = next(iter(cells))[:4]
        cells = {group: table for group, table in cells.items() if group[4] != key}
        cells[(*some, key, None)] = _nothing()  # a row that says so
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


def _nothing() -> tuple[IntArray, IntArray]:
    return np.zeros(N_TIERS, np.int64), np.zeros(SCORE_STEPS + 1, np.int64)


def _segments(records: QuerySet[InferenceRecord, Any]) -> tuple[list[str], set[str]]:
    """The context fields to count, and those that a look at some records rules out already."""
    context = records.order_by().values("context")
    every, params = context.query.sql_with_params()
    some, some_params = context[:SAMPLE_SIZE].query.sql_with_params()
    with connection.cursor() as cursor:
        # Only texts of our own are put together here; values are parameters.
        cursor.execute(
            f"SELECT DISTINCT jsonb_object_keys(r.context) FROM ({every}) AS r",  # noqa: S608 - see above
            params,
        )
        keys = {key for (key,) in cursor.fetchall()}
        cursor.execute(
            f"SELECT c.key FROM ({some}) AS r, jsonb_each_text(r.context) AS c"  # noqa: S608 - see above
            " GROUP BY c.key HAVING count(DISTINCT c.value) > %s OR max(length(c.value)) > %s",
            [*some_params, MAX_VALUES, MAX_VALUE_LENGTH],
        )
        many = {key for (key,) in cursor.fetchall()}
    counted = sorted(keys - many)[:MAX_SEGMENTS]
    return counted, keys - set(counted)


def _rows(records: QuerySet[InferenceRecord, Any], keys: list[str]) -> list[tuple[Any, ...]]:
    """_GROUP, segment, value, tier, step and count: of all records, and by each field's values.

    One pass for all fields, by grouping sets; a field per pass would read the window as often as
    it has fields.
    """
    sql, params = records.order_by().values(*_CELL, "context").query.sql_with_params()
    cells = ", ".join(_CELL)
    names = [f"s{number}" for number in range(len(keys))]
    fields = "".join(f", context->>%s AS {name}" for name in names)
    sets = ", ".join([f"({cells})", *(f"({cells}, {name})" for name in names)])
    shown = "".join(f", {name}, grouping({name})" for name in names)
    with connection.cursor() as cursor:
        # Only texts of our own are put together here; values are parameters.
        cursor.execute(
            f"WITH r AS MATERIALIZED (SELECT {cells}{fields} FROM ({sql}) AS q)"  # noqa: S608 - see above
            f" SELECT {cells}, count(*){shown} FROM r GROUP BY GROUPING SETS ({sets})",
            [*keys, *params],
        )
        found = []
        for row in cursor.fetchall():
            (*group, tier, step, n), told = row[: len(_CELL) + 1], row[len(_CELL) + 1 :]
            pairs = zip(keys, told[::2], told[1::2], strict=True)
            own = [(key, value) for key, value, is_merged in pairs if not is_merged]
            segment, value = own[0] if own else ("", "")
            if value is not None:  # a record without the field
                found.append((*group, segment, value, tier, step, n))
        return found


def _with_many_values(groups: Iterable[Group]) -> set[str]:
    values = defaultdict(set)
    for group in groups:
        values[group[4]].add(group[5])
    return {
        segment
        for segment, own in values.items()
        if len(own) > MAX_VALUES or max(map(len, own)) > MAX_VALUE_LENGTH
    }
