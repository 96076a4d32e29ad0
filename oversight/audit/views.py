"""The audit log's page."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oversight.audit import selectors
from oversight.lib import paging
from oversight.tenancy.access import access_project


@login_required
@require_safe
def event_list(request: HttpRequest, project: str) -> HttpResponse:
    """Who did what to which, newest first."""
    actor = access_project(request.user, project, "audit:read")
    params = request.GET.dict()
    found, following = paging.page(
        selectors.events(actor, params),
        params,
        after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
        key=lambda event: [event.pk],
    )
    narrowed = {name: params[name] for name in selectors.FILTERS if params.get(name)}
    query = request.GET.copy()
    query["cursor"] = following or ""
    context = {
        "actor": actor,
        "events": found,
        "state": selectors.log_state(actor),
        "filters": [(name, narrowed.get(name, "")) for name in selectors.FILTERS],
        "narrowed": bool(narrowed),
        "next_url": f"?{query.urlencode()}" if following else "",
        "first_url": request.path if params.get("cursor") else "",
    }
    return render(request, "audit/event_list.html", context)
