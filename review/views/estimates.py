"""Pages of figures: one rate with its interval, and what an hour of review buys."""

from urllib.parse import urlencode

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oversight.lib import errors
from oversight.lib.forms import add_errors
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from review.forms.estimates import FigureForm
from review.selectors import estimates as selectors
from review.selectors.queues import queues
from review.views import estimate_charts as charts


@login_required
@require_safe
def figure(request: HttpRequest, project: str) -> HttpResponse:
    """One rate, all that stands beside it, and the other rates of the same records."""
    actor = access_project(request.user, project, "figures:read")
    form = _form(request, actor)
    shown = None
    if form.is_valid():
        try:
            shown = selectors.get_shown(actor, form.parameters())
        except errors.InvalidInput as error:
            add_errors(form, error)
    context = {"actor": actor, "form": form, "shown": shown, "query": urlencode(_given(form))}
    if shown is not None:
        context["intervals"], context["top"] = charts.intervals(shown.main)
    return render(request, "review/estimates.html", context, status=422 if form.errors else 200)


@login_required
@require_safe
def hours(request: HttpRequest, project: str) -> HttpResponse:
    """Violations found and width of the interval against reviewer hours."""
    actor = access_project(request.user, project, "figures:read")
    form = _form(request, actor)
    curve = None
    if form.is_valid():
        try:
            curve = selectors.get_curve(actor, form.parameters())
        except errors.InvalidInput as error:
            add_errors(form, error)
    context = {"actor": actor, "form": form, "curve": curve, "query": urlencode(_given(form))}
    if curve is not None:
        context["found"], context["width"] = charts.found_plot(curve), charts.width_plot(curve)
    return render(
        request, "review/estimate_hours.html", context, status=422 if form.errors else 200
    )


def _form(request: HttpRequest, actor: Actor) -> FigureForm:
    """The form as it was sent; the first queue's prevalence where nothing was."""
    own = list(queues(actor))
    given = request.GET.dict()
    queue = next((one for one in own if one.slug == given.get("queue")), own[0] if own else None)
    sent = {"queue": queue.slug if queue else "", "metric": "prevalence", "at": "tier", **given}
    return FigureForm(
        sent,
        queues=own,
        offered=selectors.offered(queue) if queue else [],
        models=selectors.models(actor),
    )


def _given(form: FigureForm) -> dict[str, str]:
    """The form's fields that were filled in, as they stand in its address."""
    return {name: form.data[name] for name in form.fields if form.data.get(name)}
