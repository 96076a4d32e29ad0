"""What a schedule does for every project: one whose data cannot be worked on keeps none waiting."""

import logging
import random
from collections.abc import Callable, Iterable
from typing import TypeVar

from celery.exceptions import SoftTimeLimitExceeded
from django.db import Error, connection

from oversight.tenancy.models import Project

logger = logging.getLogger(__name__)

Result = TypeVar("Result")


class ProjectsFailed(Exception):
    """The work failed in some projects, which the message names; in the others it was done."""


def in_each_project(
    work: Callable[[Project], Result], projects: Iterable[Project] | None = None
) -> list[Result]:
    """Do the work in one project after the other, in an order that changes from call to call.

    What cannot get better with the next project ends it at once: the task's time is up, or the
    database is away. The order sees to it that no project ends it before the others every time.

    Args:
        work: commits for itself; what it raises is logged.
        projects: all where None.

    Raises:
        ProjectsFailed: once all have had their turn.
        OperationalError: the database cannot be reached any more.
    """
    if projects is None:
        projects = Project.objects.all()
    done, failed = [], []
    turns = list(projects)
    random.shuffle(turns)
    for project in turns:
        try:
            done.append(work(project))
        except SoftTimeLimitExceeded:
            raise
        except Exception as error:
            if isinstance(error, Error) and not connection.is_usable():
                connection.close()
                connection.ensure_connection()  # or else there is no database for the others
            logger.exception("a scheduled task failed in project %s", project.slug)
            failed.append(f"{project.slug} ({type(error).__name__})")
    if failed:
        raise ProjectsFailed(", ".join(failed))
    return done
