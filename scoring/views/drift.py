"""Pages of drift: what moved, since when, by how much, and in which segment."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from oversight.lib import paging
from oversight.tenancy.access import access_project
from scoring.selectors import drift as selectors
from scoring.services.drift import counts, samples, spans


@login_required
@require_safe
def report_list(request: HttpRequest, project: str) -> HttpResponse:
    """What is moving now, every report newest first, and the scores over time."""
    actor = access_project(request.user, project, "figures:read")
    only_alarms = request.GET.get("alarms") == "1"
    found, following = paging.page(
        selectors.reports(actor, with_alarms=only_alarms),
        request.GET.dict(),
        after=lambda rows, key: rows.filter(pk__lt=int(key[0])),
        key=lambda report: [report.pk],
    )
    is_first = "cursor" not in request.GET
    context = {
        "actor": actor,
        "reports": found,
        "only_alarms": only_alarms,
        "shifts": selectors.named_shifts(actor) if is_first else [],
        "histories": selectors.score_histories(actor) if is_first else [],
        "days_between": spans.MEAN_TIME_BETWEEN.days,
        "segments": samples.SEGMENTS,
        **paging.links(request, following),
    }
    return render(request, "scoring/drift_list.html", context)


@login_required
@require_safe
def report_detail(request: HttpRequest, project: str, report_id: int) -> HttpResponse:
    """One report: its alarms with their drawings, where the baselines stand, every test."""
    actor = access_project(request.user, project, "figures:read")
    report = selectors.get_report(actor, report_id)
    context = {
        "actor": actor,
        "report": report,
        "alarms": selectors.shown_alarms(report),
        "reductions": counts.why_fewer(report),
        "days_between": spans.MEAN_TIME_BETWEEN.days,
    }
    return render(request, "scoring/drift_report.html", context)
