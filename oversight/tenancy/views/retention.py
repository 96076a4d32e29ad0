"""The page of a project's retention and its legal holds."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from oversight.lib import errors
from oversight.lib.forms import add_errors
from oversight.tenancy import selectors, services
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from oversight.tenancy.forms import HoldForm, RetentionForm


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def retention(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "project:write")
    if request.method != "POST":
        return _page(request, actor)
    form = RetentionForm(request.POST)
    if form.is_valid():
        try:
            services.change_retention(actor, **form.cleaned_data)
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            messages.success(request, "The retention is changed.")
            return redirect("tenancy:retention", project)
    return _page(request, actor, retention_form=form, status=422)


@login_required
@require_POST
def place_hold(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "project:write")
    form = HoldForm(request.POST)
    if form.is_valid():
        try:
            services.place_hold(actor, **form.cleaned_data)
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            messages.success(request, "The hold stands.")
            return redirect("tenancy:retention", project)
    return _page(request, actor, hold_form=form, status=422)


@login_required
@require_POST
def lift_hold(request: HttpRequest, project: str, hold: int) -> HttpResponse:
    actor = access_project(request.user, project, "project:write")
    services.lift_hold(actor, hold_id=hold)
    messages.success(request, "The hold is lifted.")
    return redirect("tenancy:retention", project)


def _page(
    request: HttpRequest,
    actor: Actor,
    *,
    retention_form: RetentionForm | None = None,
    hold_form: HoldForm | None = None,
    status: int = 200,
) -> HttpResponse:
    days = actor.project.retention_days
    context = {
        "actor": actor,
        "holds": selectors.legal_holds(actor),
        "retention_form": retention_form
        or RetentionForm(initial={"days": days, "seen_days": days}),
        "hold_form": hold_form or HoldForm(),
    }
    return render(request, "tenancy/retention.html", context, status=status)
