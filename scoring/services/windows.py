"""Closing windows: a window claims the oldest batches that no window has, by one UPDATE.

Membership is stored, so it does not matter who commits late: a batch that is not visible yet falls
into a later window, and no record is missed or counted twice.
"""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import F, Max, Sum
from django.db.models import Window as Over
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.models import IngestBatch, Window

# A window is drawn in one transaction of 1,500 s at most (review/tasks.py). Ten million candidates
# took 715 s on a loaded machine of two cores, so that half of them leave a slower one its time.
MOST_RECORDS = 5_000_000


def close_windows(actor: Actor, *, most_records: int = MOST_RECORDS) -> list[Window]:
    """Close windows over all batches that are unclaimed now, as many as their records take."""
    closed = []
    while window := close_window(actor, most_records=most_records):
        closed.append(window)
        if window.n_records < most_records:  # what has come in since waits for its own window
            break
    return closed


def close_window(actor: Actor, *, most_records: int = MOST_RECORDS) -> Window | None:
    """Close a window over the oldest unclaimed batches of the actor's project.

    Args:
        most_records: the batch that reaches this number is the last one.

    Returns:
        None if there are none, or if somebody else closed a window at once.
    """
    project = actor.project
    unclaimed = IngestBatch.objects.filter(project=project, window=None)
    before = Over(Sum("n_records"), order_by="pk") - F("n_records")
    oldest = unclaimed.annotate(before=before).filter(before__lt=most_records).values("pk")
    try:
        with transaction.atomic():
            last = Window.objects.filter(project=project).aggregate(last=Max("number"))["last"]
            window = Window.objects.create(project=project, number=(last or 0) + 1)
            claimed = unclaimed.filter(pk__in=oldest).update(window=window)
            if not claimed:
                transaction.set_rollback(True)
                return None
            window.n_records = window.batches.aggregate(n=Sum("n_records"))["n"] or 0
            window.save(update_fields=["n_records"])
            audit.record(
                actor,
                "window.closed",
                "window",
                window.pk,
                number=window.number,
                n_batches=claimed,
                n_records=window.n_records,
            )
            return window
    except IntegrityError:  # somebody else closed a window under this number at once
        return None


def is_due(project: Project, after: timedelta) -> bool:
    """Whether the oldest unclaimed batch has waited long enough."""
    return IngestBatch.objects.filter(
        project=project, window=None, created_at__lte=Now() - after
    ).exists()
