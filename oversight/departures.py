"""When a member leaves or may review no more: membership and claims change in one transaction.

Tenancy knows nothing of reviews, so the two are put together here.
"""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from oversight.lib import errors
from oversight.tenancy import selectors, services
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import ROLE_PERMISSIONS
from oversight.tenancy.forms import RoleForm
from review.services import claims


@login_required
@require_POST
def change_role(request: HttpRequest, project: str, membership: int) -> HttpResponse:
    """Give a member another role; one that does not review gives back the cases in hand."""
    actor = access_project(request.user, project, "members:write")
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise errors.InvalidInput("the form names no role that there is")
    with transaction.atomic():
        changed = services.change_role(actor, membership_id=membership, **form.cleaned_data)
        if "review" not in ROLE_PERMISSIONS[changed.role]:
            claims.release_all_of(actor, user_id=changed.user_id)
    messages.success(request, f"{changed.user} is {changed.get_role_display()} now.")
    return redirect("tenancy:members", project)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove_member(request: HttpRequest, project: str, membership: int) -> HttpResponse:
    """Asks, then removes; the cases that the member had in hand go back to their queues at once."""
    actor = access_project(request.user, project, "members:write")
    member = selectors.get_membership(actor, membership)
    if request.method != "POST":
        return render(request, "tenancy/remove_member.html", {"actor": actor, "member": member})
    with transaction.atomic():
        services.remove_member(actor, membership_id=membership)
        claims.release_all_of(actor, user_id=member.user_id)
    messages.success(request, f"{member.user} is not a member any more.")
    return redirect("tenancy:members", project)
