"""Finds what is without its next step: batches, windows, draws, answers, jobs, log entries.

Every step that follows another is pulled by a schedule from what PostgreSQL holds, so nothing here
should ever be found for long. What is found is counted for operators, and mended where the next
step can simply be taken; each look is bounded by what is recent, not by what is stored.
"""

from collections.abc import Callable
from datetime import timedelta

from django.db import transaction
from django.db.models import DurationField, Exists, ExpressionWrapper, F, OuterRef, Value
from django.db.models.functions import Now

from oversight.audit import checkpoints
from oversight.audit.models import AuditPending
from oversight.jobs.models import Job
from oversight.tenancy.actors import system_actor
from oversight.tenancy.models import Project
from review.models import Case, DatasetVersion, ReviewQueue, SamplingRound, Selection, Slot, Verdict
from review.services import resolutions
from scoring.models import IngestBatch, Window
from scoring.storage import partitions

LATE = timedelta(minutes=10)  # far beyond every schedule's period
RECENT = timedelta(days=2)
_MENDED_AT_ONCE = 200


def reconcile() -> dict[str, int]:
    """Look for everything; returns how much was found by name, mended or not."""
    return {name: look() for name, look in CHECKS.items()}


def batches_without_window() -> int:
    """Ingest batches that no window has claimed long after the project's period."""
    period = ExpressionWrapper(
        F("project__window_minutes") * Value(timedelta(minutes=1)), output_field=DurationField()
    )
    late = IngestBatch.objects.filter(window=None, created_at__lt=Now() - period - LATE)
    return late.count()


def windows_without_round() -> int:
    """Windows that a queue at work should have drawn; the schedule draws them when it runs."""
    found = 0
    for queue in ReviewQueue.objects.filter(is_paused=False):
        drawn = SamplingRound.objects.filter(queue=queue, window=OuterRef("pk"))
        windows = Window.objects.filter(project=queue.project_id, closed_at__gte=queue.created_at)
        recent = windows.filter(closed_at__gt=Now() - RECENT, closed_at__lt=Now() - LATE)
        found += recent.filter(~Exists(drawn)).count()
    return found


def selections_without_case() -> int:
    """Chosen records that no case was made of; both commit together, so this is a defect."""
    recent = Selection.objects.filter(round__created_at__gt=Now() - RECENT)
    return recent.filter(~Exists(Case.objects.filter(selection=OuterRef("pk")))).count()


def answered_without_resolution() -> int:
    """Cases whose every slot is answered and which stand open: resolved here."""
    answered = Verdict.objects.filter(case=OuterRef("pk"), ai_rater="")
    waiting = Slot.objects.filter(case=OuterRef("pk"), state=Slot.State.OPEN, ai_rater="")
    recent = Verdict.objects.filter(created_at__gt=Now() - RECENT).values("case")
    found = list(
        Case.objects.filter(Exists(answered), ~Exists(waiting), pk__in=recent)
        .filter(state=Case.State.OPEN)
        .select_related("project")[:_MENDED_AT_ONCE]
    )
    for case in found:
        with transaction.atomic():
            held = Case.objects.select_for_update().get(pk=case.pk)
            resolutions.resolve(system_actor(case.project, "reconciler"), case=held)
    return len(found)


def datasets_without_end() -> int:
    """Datasets whose job went well and which are not complete all the same."""
    return DatasetVersion.objects.filter(
        completed_at=None, job__status=Job.Status.DONE, job__finished_at__gt=Now() - RECENT
    ).count()


def jobs_without_worker() -> int:
    """Jobs that have been due for long: no relay, no broker, or no worker."""
    return Job.objects.filter(
        status__in=[Job.Status.QUEUED, Job.Status.RUNNING], due_at__lt=Now() - LATE
    ).count()


def events_without_link() -> int:
    """Audit events that the sequencer should have linked."""
    return AuditPending.objects.filter(event__at__lt=Now() - LATE).count()


def logs_without_checkpoint() -> int:
    """Audit logs whose newest checkpoint lags behind, as a crash leaves them: signed here."""
    return sum(checkpoints.publish(project) for project in Project.objects.all())


def partitions_missing() -> int:
    """Partitions of the coming days that are not there; made here."""
    missing = partitions.missing_ahead()
    if missing:
        partitions.forget()
        partitions.ensure_ahead()
    return missing


CHECKS: dict[str, Callable[[], int]] = {
    look.__name__: look
    for look in (
        batches_without_window,
        windows_without_round,
        selections_without_case,
        answered_without_resolution,
        datasets_without_end,
        jobs_without_worker,
        events_without_link,
        logs_without_checkpoint,
        partitions_missing,
    )
}
