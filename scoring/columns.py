"""Columns of numbers that learning asks of a record, each read the same way wherever it is stored.

The SQL is evaluated over many candidates, the Python over a few copies in evidence; both say the
same, so that what was learnt from a copy holds for the record.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

SIGNAL, TERM, SEGMENT = "signal", "term", "segment"
MISSING = "'NaN'::float8"


@dataclass(frozen=True, slots=True)
class Column:
    """One number of a record; NaN where it has none.

    Attributes:
        kind: "signal", a signal as it was sent; "term", what a scorer's term contributed, as far
            as the record's reasons tell it; "segment", 1 where the record belongs to it, else 0.
        name: of the signal or term; `region` or a context field; "" for every record.
        value: kind of the term; the segment's value.
        model_version: where not None, only this version's records belong to the segment.
    """

    kind: str
    name: str
    value: str = ""
    model_version: int | None = None

    def as_list(self) -> list[Any]:
        return list(astuple(self))

    @classmethod
    def from_list(cls, stored: Iterable[Any]) -> Self:
        return cls(*stored)

    @property
    def needs_payload(self) -> bool:
        return self.kind == TERM

    def sql(self) -> tuple[str, list[Any]]:
        """A float8 expression over `r`, the record, and `p`, its payload; never NULL."""
        if self.kind == SIGNAL:
            return f"COALESCE((r.signals ->> %s)::float8, {MISSING})", [self.name]
        if self.kind == TERM:
            path = "$[*] ? (@.kind == $kind && @.name == $name).contribution"
            given = json.dumps({"kind": self.value, "name": self.name})
            found = "jsonb_path_query_first(p.reasons::jsonb, %s::jsonpath, %s::jsonb)"
            found = f"({found} #>> '{{}}')::float8"
            return f"COALESCE({found}, {MISSING})", [path, given]
        conditions, params = ["TRUE"], []
        if self.name == "region":
            conditions.append("r.region = %s")
            params.append(self.value)
        elif self.name:
            conditions.append("COALESCE(r.context ->> %s = %s, FALSE)")
            params += [self.name, self.value]
        if self.model_version is not None:
            conditions.append("r.model_version_id = %s")
            params.append(str(self.model_version))
        return f"CASE WHEN {' AND '.join(conditions)} THEN 1.0::float8 ELSE 0.0 END", params

    def of(self, row: "Described") -> float:
        """The same of one record or its copy."""
        if self.kind == SIGNAL:
            value = row.signals.get(self.name)
            return float("nan") if value is None else float(value)
        if self.kind == TERM:
            return next(
                (
                    float(reason["contribution"])
                    for reason in row.reasons
                    if reason["kind"] == self.value and reason["name"] == self.name
                ),
                float("nan"),
            )
        told = row.region if self.name == "region" else _text(row.context.get(self.name))
        belongs = not self.name or told == self.value
        if self.model_version is not None and row.model_version != self.model_version:
            belongs = False
        return float(belongs)


@dataclass(frozen=True, slots=True)
class Described:
    """What columns look at in one record."""

    model_version: int
    region: str
    context: Mapping[str, Any]
    signals: Mapping[str, Any]
    reasons: Iterable[Mapping[str, Any]]


def table(columns: Iterable[Column], rows: Iterable[Described]) -> npt.NDArray[np.float64]:
    """float64 (n_rows, n_columns)."""
    asked = list(columns)
    values = [[column.of(row) for column in asked] for row in rows]
    return np.array(values, dtype=np.float64).reshape(len(values), len(asked))


def _text(value: Any) -> str | None:
    """A context value as `->>` writes it."""
    if value is None or isinstance(value, str):
        return value
    return json.dumps(value)
