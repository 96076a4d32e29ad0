"""Counting what a window's strata hold, once, after the draw that chose from them.

In a transaction of its own, so that cases are served while millions are counted; a window that was
drawn and not counted is found again by the schedule. Every figure afterwards reads the counts.
Segments are counted while they have few values: by region, not by customer number.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

import numpy as np
import numpy.typing as npt
from django.contrib.postgres.fields import ArrayField
from django.db import connection, transaction
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

from oversight.lib.transactions import try_advisory_lock
from review import filters
from review.models import CountedWindow, PopulationCount, ReviewQueue, SamplingRound
from review.models.populations import WITHHELD
from review.models.queues import Stratum
from review.strata import stratum_rule
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


def count_missing(queue: ReviewQueue) -> int:
    """Count the windows that were drawn for a queue and not counted; returns how many."""
    counted = CountedWindow.objects.filter(queue=queue).values("window")
    drawn = SamplingRound.objects.filter(queue=queue, number=1).values("window")
    waiting = Window.objects.filter(pk__in=drawn).exclude(pk__in=counted).order_by("number")
    return sum(count_drawn(queue, window) for window in waiting)


def count_drawn(queue: ReviewQueue, window: Window) -> bool:
    """Count the records that a window's first draw chose from, unless that is done or under way.

    The population is the draw's, whenever it is counted: under the filter that the round was
    drawn by, of the window's own batches, with the records that were erased since.

    Returns:
        Whether it was counted here.
    """
    with transaction.atomic():
        if not try_advisory_lock(f"review.populations.{queue.pk}", window.pk):
            return False
        if CountedWindow.objects.filter(queue=queue, window=window).exists():
            return False
        made = SamplingRound.objects.filter(
            queue=queue, window=window, stratum=Stratum.STREAM, number=1
        ).first()
        if made is None:
            return False
        CountedWindow.objects.create(queue=queue, window=window)
        _count(made)
    return True


def _count(made: SamplingRound) -> None:
    queue, window = made.queue, made.window
    admitted = filters.to_q(made.project, made.filter)
    strata = {str(one): admitted & stratum_rule(one) for one in Stratum}
    open_then = Q(may_review=True) & (Q(erased_at=None) | Q(erased_at__gt=made.created_at))
    records = _records(window, strata, open_then)
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


def _records(
    window: Window, strata: Mapping[str, Q], open_then: Q
) -> QuerySet[InferenceRecord, Any]:
    batches = list(window.batches.values_list("pk", flat=True))
    named = [When(open_then & rule, then=Value(name)) for name, rule in strata.items()]
    withheld = Q(may_review=False)
    anywhere = Q()
    for rule in strata.values():
        anywhere |= rule
    edges = Value(_EDGES, output_field=ArrayField(FloatField()))
    return (
        InferenceRecord.objects.filter(project=window.project_id, batch__any=batches)
        .filter(anywhere, open_then | withheld)
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
