"""Columns that Django has no field for."""

import json
from typing import Any

from django.db import models


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
