"""The page of a queue's posteriors: what verdicts taught, version by version, and going back."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_POST, require_safe

from oversight.lib import errors, paging
from oversight.tenancy.access import access_project
from review.selectors import posteriors as selectors
from review.selectors import queues
from review.services import posteriors as services


@login_required
@require_safe
def posterior_list(request: HttpRequest, project: str, queue: str) -> HttpResponse:
    """The queue's versions, newest first."""
    actor = access_project(request.user, project, "figures:read")
    of = queues.get_queue(actor, queue)
    found, following = paging.page(
        selectors.versions(actor, of),
        request.GET.dict(),
        after=lambda rows, key: rows.filter(number__lt=int(key[0])),
        key=lambda version: [version.number],
    )
    context = {
        "actor": actor,
        "queue": of,
        "versions": found,
        "may_use": "queues:write" in actor.permissions,
        **paging.links(request, following),
    }
    return render(request, "review/posterior_list.html", context)


@login_required
@require_POST
def posterior_use(request: HttpRequest, project: str, queue: str, number: int) -> HttpResponse:
    """Put an earlier version in use again."""
    actor = access_project(request.user, project, "queues:write")
    version = selectors.get_version(actor, queues.get_queue(actor, queue), number)
    try:
        services.put_in_use(actor, version=version)
    except errors.Conflict as error:
        messages.error(request, f"Version {number} stays retired: {error.message}.")
    else:
        messages.success(request, f"Version {number} is in use until new verdicts come.")
    return redirect("review:posterior_list", project, queue)
