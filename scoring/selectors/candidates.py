"""A window's records as arrays: what a sampling round chooses from, streamed in the order of ids.

One statement reads them, hence one snapshot: whatever commits meanwhile is in all of a round or in
none of it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from django.db import connection, transaction
from django.db.models import Q

from scoring.columns import Column
from scoring.models import InferenceRecord, Window
from scoring.storage import fixed_rows

FloatArray = npt.NDArray[np.float64]

_PLAIN = {
    "id": ("r.id", "V16"),
    "score": ("r.score", ">f8"),
    "raw": ("r.raw", ">f8"),
    "weight": ("r.weight", ">f8"),
    "scorer_version": ("r.scorer_version_id", ">i8"),
}
_FIELDS = (
    *("id", "score", "raw", "weight", "scorer_version_id", "model_version_id"),
    *("region", "context", "signals"),
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a draw needs to know of each candidate beyond score and weight.

    Attributes:
        columns: numbers, in this order.
        models: ids of model versions whose fingerprints are comparable; empty for none.
        dimension: of those fingerprints.
    """

    columns: tuple[Column, ...] = ()
    models: tuple[int, ...] = ()
    dimension: int = 0

    @property
    def fingerprints(self) -> bool:
        return bool(self.models and self.dimension)

    @property
    def payload(self) -> bool:
        return self.fingerprints or any(column.needs_payload for column in self.columns)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Consecutive candidates.

    Attributes:
        ids: n ids of 16 bytes, ascending.
        score: float64 (n,), in [0, 1]; raw: float64 (n,), the sum it ranks.
        weight: float64 (n,), business weight of the context, at least 1.
        scorer_version: int64 (n,), ids of the versions that scored them at ingest.
        table: float64 (n, n_columns), the columns asked for.
        fingerprint: float16 (n, dimension), NaN where there is none; None unless asked for.
        is_wide: bool (n,), the fingerprint is stored in single precision and was not read here.
    """

    ids: Sequence[bytes]
    score: FloatArray
    raw: FloatArray
    weight: FloatArray
    scorer_version: npt.NDArray[np.int64]
    table: FloatArray
    fingerprint: npt.NDArray[np.float16] | None
    is_wide: npt.NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.ids)


def stream(window: Window, rule: Q, wanted: Wanted | None = None) -> Iterator[Chunk]:
    """The window's reviewable records that a rule admits, in the order of their ids.

    The connection is busy until the last chunk was read.

    Args:
        window: a closed window.
        rule: a condition on InferenceRecord.
    """
    wanted = wanted or Wanted()
    query, params, layout = _statement(window, rule, wanted)
    with transaction.atomic():
        _prefer_the_order_of_ids()
        for rows in fixed_rows.read(query, params, layout):
            yield _chunk(rows, wanted)


def condition(window: Window, rule: Q) -> Q:
    """The condition that makes a record a candidate."""
    batches = list(window.batches.values_list("pk", flat=True))
    return rule & Q(project=window.project_id, batch__any=batches, may_review=True, erased_at=None)


def _statement(window: Window, rule: Q, wanted: Wanted) -> tuple[str, list[Any], dict[str, str]]:
    found = InferenceRecord.objects.filter(condition(window, rule)).values(*_FIELDS).order_by()
    inner, inner_params = found.query.sql_with_params()
    expressions = [expression for expression, _ in _PLAIN.values()]
    layout = {name: kind for name, (_, kind) in _PLAIN.items()}
    params: list[Any] = []
    for number, column in enumerate(wanted.columns):
        expression, given = column.sql()
        expressions.append(expression)
        params += given
        layout[f"column_{number}"] = ">f8"
    if wanted.fingerprints:
        mine = "r.model_version_id = ANY(%s)"
        narrow = f"{mine} AND octet_length(p.fingerprint) = %s"
        expressions.append(f"CASE WHEN {narrow} THEN p.fingerprint ELSE %s::bytea END")
        blank = np.full(wanted.dimension, np.nan, dtype="<f2").tobytes()
        params += [list(wanted.models), 2 * wanted.dimension, blank]
        layout["fingerprint"] = f"V{2 * wanted.dimension}"
        expressions.append(f"COALESCE({mine} AND octet_length(p.fingerprint) = %s, FALSE)")
        params += [list(wanted.models), 4 * wanted.dimension]
        layout["is_wide"] = "u1"
    join = "LEFT JOIN scoring_payload p ON p.id = r.id" if wanted.payload else ""
    # Only expressions of our own are put into the text; all values are parameters.
    query = f"SELECT {', '.join(expressions)} FROM ({inner}) r {join} ORDER BY r.id"  # noqa: S608
    return query, [*params, *inner_params], layout


def _prefer_the_order_of_ids() -> None:
    """Both tables lie in the order of ids, nearly: reading them along it needs no sort on disk."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_partitionwise_join = on")


def _chunk(rows: fixed_rows.Rows, wanted: Wanted) -> Chunk:
    def numbers(name: str) -> FloatArray:
        return rows[name].astype(np.float64)

    n = len(rows)
    table = np.empty((n, len(wanted.columns)))
    for number in range(len(wanted.columns)):
        table[:, number] = rows[f"column_{number}"]
    fingerprint = None
    if wanted.fingerprints:
        packed = np.ascontiguousarray(rows["fingerprint"])
        fingerprint = packed.view("<f2").reshape(n, wanted.dimension)
    return Chunk(
        ids=rows["id"].tolist(),
        score=numbers("score"),
        raw=numbers("raw"),
        weight=numbers("weight"),
        scorer_version=rows["scorer_version"].astype(np.int64),
        table=table,
        fingerprint=fingerprint,
        is_wide=rows["is_wide"].astype(np.bool_)
        if wanted.fingerprints
        else np.zeros(n, dtype=np.bool_),
    )
