"""Columns that Django has no field for, and a lookup that it has not."""

import json
from typing import Any

from django.db import models
from django.db.models.sql.compiler import SQLCompiler


class JSONTextField(models.JSONField):
    """JSON kept as the text that it came as, for what is only ever read whole.

    PostgreSQL neither parses nor rewrites it, which for explanations costs more than all else about
    their row.
    """

    def db_type(self, connection: Any) -> str:
        return "text"

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if value is None or hasattr(value, "as_sql"):
            return value
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


@models.ForeignKey.register_lookup
class EqualsAny(models.Lookup):
    """`batch__any=[1, 2, 3]`: as `__in`, the keys being one array and not a literal each.

    A window may have hundreds of thousands of batches: as many literals are parsed and planned for
    longer than the query runs.
    """

    lookup_name = "any"
    prepare_rhs = False

    def as_sql(self, compiler: SQLCompiler, connection: Any) -> tuple[str, tuple[Any, ...]]:
        column, params = self.process_lhs(compiler, connection)
        return f"{column} = ANY(%s::bigint[])", (*params, list(self.rhs))
