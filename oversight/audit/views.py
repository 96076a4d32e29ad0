"""The audit log's page, and what lets others check the log: checkpoint and proofs."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oversight.audit import selectors
from oversight.lib import errors, paging
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


@login_required
@require_safe
def event_proof(request: HttpRequest, project: str, event: int) -> JsonResponse:
    """That one event is in the log, as JSON."""
    actor = access_project(request.user, project, "audit:read")
    return JsonResponse(selectors.inclusion_proof(actor, event))


@login_required
@require_safe
def checkpoint(request: HttpRequest, project: str) -> HttpResponse:
    """The newest checkpoint, as its file holds it."""
    actor = access_project(request.user, project, "audit:read")
    note = selectors.get_checkpoint(actor).note
    return HttpResponse(note, content_type="text/plain; charset=utf-8")


@login_required
@require_safe
def consistency(request: HttpRequest, project: str) -> JsonResponse:
    """That the log at an earlier checkpoint's size is a prefix of what it is now, as JSON."""
    actor = access_project(request.user, project, "audit:read")
    first = request.GET.get("first", "")
    if not (first.isascii() and first.isdigit() and len(first) <= 18):
        raise errors.InvalidInput.at("first", "the size of an earlier checkpoint")
    return JsonResponse(selectors.consistency_proof(actor, int(first)))
