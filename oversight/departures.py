"""When a member leaves or has another role: membership, claims and jobs change in one transaction.

Tenancy knows nothing of reviews and jobs, so these are put together here.
"""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods, require_POST

from oversight.jobs import services as jobs
from oversight.lib import errors
from oversight.tenancy import selectors, services
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import ROLE_PERMISSIONS
from oversight.tenancy.forms import RoleForm
from review.services import claims

# What it takes to ask for a job.
PERMISSION_OF_TASK = {
    "review.tasks.backtest_scorer": "scorers:write",
    "review.tasks.export_dataset": "datasets:write",
    "review.tasks.learn": "scorers:write",
    "review.tasks.refit_scorer": "scorers:write",
    "review.tasks.run_round": "rounds:run",
    "scoring.tasks.fit_scorer": "scorers:write",
    "scoring.tasks.rescore": "scorers:write",
}


@login_required
@require_POST
def change_role(request: HttpRequest, project: str, membership: int) -> HttpResponse:
    """Give a member another role; what it does not allow ends: cases in hand, jobs asked for."""
    actor = access_project(request.user, project, "members:write")
    form = RoleForm(request.POST)
    if not form.is_valid():
        raise errors.InvalidInput("the form names no role that there is")
    with transaction.atomic():
        changed = services.change_role(actor, membership_id=membership, **form.cleaned_data)
        if "review" not in ROLE_PERMISSIONS[changed.role]:
            claims.release_all_of(actor, user_id=changed.user_id)
        may = ROLE_PERMISSIONS[changed.role]
        allowed = [task for task, needed in PERMISSION_OF_TASK.items() if needed in may]
        jobs.cancel_all_of(actor, user_id=changed.user_id, but=allowed)
    messages.success(request, f"{changed.user} is {changed.get_role_display()} now.")
    return redirect("tenancy:members", project)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def remove_member(request: HttpRequest, project: str, membership: int) -> HttpResponse:
    """Asks, then removes; cases in hand go back to their queues, jobs asked for are cancelled."""
    actor = access_project(request.user, project, "members:write")
    member = selectors.get_membership(actor, membership)
    if request.method != "POST":
        return render(request, "tenancy/remove_member.html", {"actor": actor, "member": member})
    with transaction.atomic():
        services.remove_member(actor, membership_id=membership)
        claims.release_all_of(actor, user_id=member.user_id)
        jobs.cancel_all_of(actor, user_id=member.user_id)
    messages.success(request, f"{member.user} is not a member any more.")
    return redirect("tenancy:members", project)
