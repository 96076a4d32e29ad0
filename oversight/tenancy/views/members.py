"""Pages of a project's members: invitations, password links; oversight/departures has the rest."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_POST, require_safe

from oversight.tenancy import selectors, services
from oversight.tenancy.access import access_project
from oversight.tenancy.actors import Actor
from oversight.tenancy.forms import InviteForm, RoleForm
from oversight.tenancy.models import Membership


@login_required
@require_safe
def members(request: HttpRequest, project: str) -> HttpResponse:
    actor = access_project(request.user, project, "members:write")
    return _page(request, actor)


@login_required
@require_POST
def invite(request: HttpRequest, project: str) -> HttpResponse:
    """A new invitation; its link is in this answer and nowhere else."""
    actor = access_project(request.user, project, "members:write")
    form = InviteForm(request.POST)
    if not form.is_valid():
        return _page(request, actor, form=form, status=422)
    invitation, token = services.invite(actor, role=form.cleaned_data["role"])
    link = request.build_absolute_uri(reverse("tenancy:accept_invitation", args=[token]))
    return render(request, "tenancy/link.html", {"actor": actor, "link": link, "of": invitation})


@login_required
@require_POST
def withdraw_invitation(request: HttpRequest, project: str, invitation: int) -> HttpResponse:
    actor = access_project(request.user, project, "members:write")
    services.withdraw_invitation(actor, invitation_id=invitation)
    messages.success(request, "The invitation is withdrawn: its link does not work any more.")
    return redirect("tenancy:members", project)


@login_required
@require_POST
def password_link(request: HttpRequest, project: str, membership: int) -> HttpResponse:
    """A link by which the member sets a new password; it is in this answer and nowhere else."""
    actor = access_project(request.user, project, "members:write")
    member = selectors.get_membership(actor, membership)
    reset, token = services.reset_password_link(actor, user=member.user)
    link = request.build_absolute_uri(reverse("tenancy:reset_password", args=[token]))
    return render(
        request, "tenancy/link.html", {"actor": actor, "link": link, "of": reset, "for": member}
    )


def _page(
    request: HttpRequest, actor: Actor, form: InviteForm | None = None, status: int = 200
) -> HttpResponse:
    found = list(selectors.members(actor.project))
    context = {
        "actor": actor,
        "members": [(member, _role_form(member)) for member in found],
        "invitations": selectors.open_invitations(actor),
        "form": form or InviteForm(),
    }
    return render(request, "tenancy/members.html", context, status=status)


def _role_form(member: Membership) -> RoleForm:
    return RoleForm(
        initial={"role": member.role, "seen_role": member.role}, auto_id=f"member_{member.pk}_%s"
    )
