"""The button that asks for a backtest of a scorer version."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.views.decorators.http import require_POST

from oversight.lib import errors
from oversight.tenancy.access import access_project
from review.services import backtesting
from scoring.selectors import scorers as selectors


@login_required
@require_POST
def version_backtest(request: HttpRequest, project: str, slug: str, number: int) -> HttpResponse:
    """Compare a version with another one on the labels of the project's first queue, as a job."""
    actor = access_project(request.user, project, "scorers:write")
    version = selectors.get_version(actor, slug, number)
    text = request.POST.get("reference", "")
    try:
        reference = selectors.get_version(actor, slug, int(text)) if text.isdecimal() else None
        job = backtesting.ask_for_backtest(actor, version=version, reference=reference)
    except (errors.InvalidInput, errors.Conflict) as error:
        messages.warning(request, f"{error.message[0].upper()}{error.message[1:]}.")
        return redirect("scoring:version_detail", project, slug, number)
    return redirect("jobs:job_detail", project, job.pk)
