"""Closing windows: a window claims the batches that no window has, by one UPDATE.

Membership is stored, so it does not matter who commits late: a batch that is not visible yet falls
into the next window, and no record is missed or counted twice.
"""

from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models import Max, Sum
from django.db.models.functions import Now

from oversight.audit import services as audit
from oversight.tenancy.actors import Actor
from oversight.tenancy.models import Project
from scoring.models import IngestBatch, Window


def close_window(actor: Actor) -> Window | None:
    """Close a window over all unclaimed batches of the actor's project; None if there are none."""
    project = actor.project
    try:
        with transaction.atomic():
            last = Window.objects.filter(project=project).aggregate(last=Max("number"))["last"]
            window = Window.objects.create(project=project, number=(last or 0) + 1)
            claimed = IngestBatch.objects.filter(project=project, window=None).update(window=window)
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
