"""Pages of jobs: the list, and one job whose fragment htmx polls while it runs."""

from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from oversight.jobs import selectors, services
from oversight.lib import paging
from oversight.lib.htmx import render_page_or_fragment
from oversight.tenancy.access import access_project


@login_required
@require_safe
def job_list(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "jobs:read")
    found, following = paging.page(
        selectors.jobs(actor),
        request.GET.dict(),
        after=selectors.jobs_after,
        key=lambda job: [job.created_at.isoformat(), str(job.pk)],
    )
    query = request.GET.copy()
    query["cursor"] = following or ""
    context = {
        "actor": actor,
        "jobs": found,
        "next_url": f"?{query.urlencode()}" if following else "",
        "first_url": request.path if request.GET.get("cursor") else "",
    }
    return render(request, "jobs/job_list.html", context)


@login_required
@require_safe
def job_detail(request: HttpRequest, project: str, job: UUID) -> HttpResponse:
    actor = access_project(request.user, project, "jobs:read")
    found = selectors.get_job(actor, job)
    context = {
        "actor": actor,
        "job": found,
        "attempts": selectors.attempts(found),
        "may_cancel": selectors.may_cancel(actor, found),
        "may_replay": selectors.may_replay(actor, found),
    }
    return render_page_or_fragment(request, "jobs/job_detail.html", "jobs/_job.html", context)


@login_required
@require_POST
def job_cancel(request: HttpRequest, project: str, job: UUID) -> HttpResponse:
    actor = access_project(request.user, project, "jobs:read")
    found = selectors.get_job(actor, job)
    services.cancel(actor, found)
    messages.success(request, "The job is cancelled.")
    return redirect("jobs:job_detail", project, job)


@login_required
@require_POST
def job_replay(request: HttpRequest, project: str, job: UUID) -> HttpResponse:
    actor = access_project(request.user, project, "jobs:read")
    found = selectors.get_job(actor, job)
    services.replay(actor, found)
    messages.success(request, "The job will be tried again.")
    return redirect("jobs:job_detail", project, job)
