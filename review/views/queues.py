"""The reviewer's list of queues."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oversight.lib.htmx import signed_in
from oversight.tenancy.access import access_project
from review.selectors import desk


@signed_in
@require_safe
def queue_list(request: HttpRequest, project: str) -> HttpResponse:
    """Every queue of the project, with what waits there for this reviewer."""
    actor = access_project(request.user, project, "review")
    context = {
        "actor": actor,
        "queues": desk.queue_cards(actor),
        "may_see_figures": "figures:read" in actor.permissions,
    }
    return render(request, "review/queue_list.html", context)
