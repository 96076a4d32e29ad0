"""The Celery task class: every outcome of a scheduled task is written down, on any node.

Jobs have rows of their own; a tick of the schedule has none, so a task that fails every minute
would be seen in no page. What cannot be written while the database is away is logged.
"""

import json
import logging
from typing import Any

from celery import Task
from django.db import DatabaseError
from django.db.models import F
from django.db.models.functions import Now

from oversight.jobs.models import Tick
from oversight.lib.logs import describe

logger = logging.getLogger(__name__)

_LONGEST_ERROR = 2_000


class RecordedTask(Task):
    """A task whose runs are counted in `Tick`."""

    def on_success(self, retval: Any, task_id: str, args: Any, kwargs: Any) -> None:
        _count(self.name, succeeded_at=Now(), result=_as_json(retval))

    def on_failure(self, exc: Exception, task_id: str, args: Any, kwargs: Any, einfo: Any) -> None:
        text = describe(exc)[:_LONGEST_ERROR]
        logger.error("task %s failed: %s", self.name, text)
        _count(self.name, n_failures=F("n_failures") + 1, failed_at=Now(), error=text)


def _count(task: str, **changed: Any) -> None:
    fresh = {"n_runs": F("n_runs") + 1, **changed}
    try:
        if not Tick.objects.filter(task=task).update(**fresh):
            Tick.objects.get_or_create(task=task)
            Tick.objects.filter(task=task).update(**fresh)
    except DatabaseError:
        logger.exception("the outcome of %s could not be written", task)


def _as_json(value: Any) -> Any:
    """The result, where it is plain enough to keep."""
    try:
        return json.loads(json.dumps(value))
    except (TypeError, ValueError):
        return None
