"""The sequencer's schedule."""

from celery import shared_task

from oversight.audit import services
from oversight.audit.models import AuditPending
from oversight.tenancy.each_project import in_each_project
from oversight.tenancy.models import Project


@shared_task(name="oversight.audit.ticks.sequence")
def sequence() -> int:
    pending = AuditPending.objects.values("project").distinct()
    return sum(in_each_project(services.sequence, Project.objects.filter(pk__in=pending)))
