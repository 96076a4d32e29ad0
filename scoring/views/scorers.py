"""Pages of scorers: their versions, fitting a new one, releasing and rolling back."""

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from oversight.lib import errors, paging
from oversight.lib.forms import add_errors
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from scoring.forms import FitForm
from scoring.models import ScorerVersion
from scoring.selectors import backtests, comparisons
from scoring.selectors import scorers as selectors
from scoring.services import fit_requests, scorers

_BACKTESTS_SHOWN = 10


@login_required
@require_safe
def scorer_list(request: HttpRequest, project: str) -> HttpResponse:
    """Every version, newest first, and a form that asks for the next one."""
    actor = access_project(request.user, project, "figures:read")
    return _list(request, actor, FitForm())


@login_required
@require_POST
def scorer_fit(request: HttpRequest, project: str) -> HttpResponse:
    """Fit the next version to a window of records, as a job."""
    actor = access_project(request.user, project, "scorers:write")
    form = FitForm(request.POST)
    if form.is_valid():
        try:
            job = fit_requests.ask_for_fit(actor, **form.cleaned_data)
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            return redirect("jobs:job_detail", project, job.pk)
    return _list(request, actor, form, status=422)


@login_required
@require_safe
def version_detail(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """One version: what it was fitted to, its settings, and how it scores the newest records."""
    actor = access_project(request.user, project, "figures:read")
    version = selectors.get_version(actor, slug, number)
    scores = selectors.recent_scores(version)
    is_current = selectors.is_current(version)
    context = {
        "actor": actor,
        "version": version,
        "is_current": is_current,
        "previous": scorers.find_previous(version) if is_current else None,
        "may_write": "scorers:write" in actor.permissions,
        "scores": scores,
        "tiers": selectors.tier_rows(version, scores),
        "n_recent": selectors.RECENT_RECORDS,
        "backtests": list(backtests.backtests(actor, version)[:_BACKTESTS_SHOWN]),
    }
    return render(request, "scoring/version_detail.html", context)


@login_required
@require_safe
def version_compare(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """A version beside another one: their backtest, and what differs in their making."""
    actor = access_project(request.user, project, "figures:read")
    version = selectors.get_version(actor, slug, number)
    other = comparisons.other_version(actor, version, request.GET.get("with", ""))
    context = {
        "actor": actor,
        "version": version,
        "other": other,
        "may_write": "scorers:write" in actor.permissions,
        **comparisons.compared(actor, version, other),
    }
    return render(request, "scoring/version_compare.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def version_release(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """Says what a release means, then releases."""
    actor = access_project(request.user, project, "scorers:write")
    version = selectors.get_version(actor, slug, number)
    if request.method == "POST":
        try:
            scorers.release(actor, version=version)
        except errors.Conflict as error:
            messages.warning(request, f"{error.message[0].upper()}{error.message[1:]}.")
        else:
            messages.success(request, f"Records are scored by version {number} from now on.")
        return redirect("scoring:version_detail", project, slug, number)
    context = _release_context(actor, version, version.scorer.current)
    return render(request, "scoring/version_release.html", context)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def version_rollback(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """Says what a roll-back means, then goes back to the version before."""
    actor = access_project(request.user, project, "scorers:write")
    version = selectors.get_version(actor, slug, number)
    if request.method == "POST":
        try:
            now = scorers.roll_back(actor, version=version)
        except errors.Conflict as error:
            messages.warning(request, f"{error.message[0].upper()}{error.message[1:]}.")
            return redirect("scoring:version_detail", project, slug, number)
        messages.success(request, f"Records are scored by version {now.number} again.")
        return redirect("scoring:version_detail", project, slug, now.number)
    previous = scorers.find_previous(version)
    if previous is None or not selectors.is_current(version):
        return redirect("scoring:version_detail", project, slug, number)
    context = _release_context(actor, previous, version) | {"is_rollback": True}
    return render(request, "scoring/version_release.html", context)


def _release_context(
    actor: Actor, version: ScorerVersion, current: ScorerVersion | None
) -> dict[str, Any]:
    return {
        "actor": actor,
        "version": version,
        "current": current,
        "backtest": backtests.find_latest(actor, version, current) if current else None,
    }


def _list(request: HttpRequest, actor: Actor, form: FitForm, status: int = 200) -> HttpResponse:
    found, following = paging.page(
        selectors.versions(actor),
        request.GET.dict(),
        after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
        key=lambda version: [version.pk],
    )
    context = {
        "actor": actor,
        "versions": [(version, selectors.is_current(version)) for version in found],
        "form": form,
        "may_write": "scorers:write" in actor.permissions,
        **paging.links(request, following),
    }
    return render(request, "scoring/scorer_list.html", context, status=status)
