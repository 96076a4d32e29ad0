"""Log lines as JSON with allow-listed fields: no bodies, no payloads, no line breaks to forge."""

import json
import logging
import traceback
from collections.abc import Iterator
from datetime import UTC, datetime
from types import TracebackType

from django.db import Error as DjangoDatabaseError
from psycopg import Error as PsycopgError

_FIELDS = (
    *("project", "queue", "round", "case", "job", "task", "status", "count", "seconds"),
    *("actor", "address", "view", "method", "code"),
)

ExcInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        entry: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        entry |= {name: getattr(record, name) for name in _FIELDS if hasattr(record, name)}
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return json.dumps(entry, ensure_ascii=True, default=str)

    def formatException(self, ei: ExcInfo) -> str:
        return "" if ei[1] is None else "".join(_traces(ei[1])).rstrip()


def describe(error: BaseException) -> str:
    """An error in a line or more, without the rows and values that PostgreSQL quotes in its own."""
    source = error.__cause__ if isinstance(error, DjangoDatabaseError) else error
    name = type(error).__name__
    if not isinstance(source, PsycopgError) or source.sqlstate is None:
        return f"{name}: {error}"
    found = source.diag
    places = (found.table_name, found.column_name, found.constraint_name)
    return " ".join([f"{name}: SQLSTATE {source.sqlstate}", *filter(None, places)])


def _traces(error: BaseException, told: frozenset[int] = frozenset()) -> Iterator[str]:
    """The stacks of an error and of what led to it, the first cause first, each once."""
    told |= {id(error)}
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in told:
        yield from _traces(before, told)
        yield "\nwhich led to\n\n"
    yield from traceback.format_tb(error.__traceback__)
    yield describe(error) + "\n"
