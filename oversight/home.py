"""The ways in: a person's projects, and the first page of a project that they may open."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_safe

from oversight.lib import errors
from oversight.navigation import SETTINGS_PLACES, project_links
from oversight.tenancy.access import access_project, memberships_of


@login_required
@require_safe
def home(request: HttpRequest) -> HttpResponse:
    """The person's projects; straight on where there is just one."""
    memberships = memberships_of(request.user)
    if len(memberships) == 1:
        return redirect("project_home", memberships[0].project.slug)
    return render(request, "oversight/home.html", {"memberships": memberships})


@login_required
@require_safe
def project_home(request: HttpRequest, project: str) -> HttpResponse:
    """The first place of the project that the member may go to."""
    actor = access_project(request.user, project)
    links = project_links(actor, request.path)
    if links:
        return redirect(links[0].href)
    return render(request, "oversight/project_empty.html", {"actor": actor})


@login_required
@require_safe
def project_settings(request: HttpRequest, project: str) -> HttpResponse:
    """The first tab of the settings that the member may open."""
    actor = access_project(request.user, project)
    links = project_links(actor, request.path, SETTINGS_PLACES)
    if not links:
        raise errors.NotAllowed("none of the settings is yours to see")
    return redirect(links[0].href)
