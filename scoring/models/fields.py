"""Columns that Django has no field for."""

import json
from typing import Any

from django.db import models


class JSONTextField(models.TextField):  # type: ignore[type-arg]  # not subscriptable when run
    """JSON kept as the text that it came as, for what is only ever read whole.

    PostgreSQL neither parses nor rewrites it, which for explanations costs more than all else about
    their row.
    """

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> Any:
        return None if value is None else json.loads(value)

    def to_python(self, value: Any) -> Any:
        return value

    def get_prep_value(self, value: Any) -> str | None:
        if value is None:
            return None
        return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
