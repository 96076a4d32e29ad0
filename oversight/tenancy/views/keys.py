"""Pages of a project's API keys."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from oversight.lib import errors
from oversight.lib.forms import add_errors
from oversight.tenancy import selectors, services
from oversight.tenancy.access import access_project
from oversight.tenancy.forms import KeyForm, RevokeForm


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def keys(request: HttpRequest, project: str) -> HttpResponse:
    """The list; a new key is in the answer to its form and nowhere else."""
    actor = access_project(request.user, project, "keys:write")
    form = KeyForm(request.POST if request.method == "POST" else None)
    status = 200
    if request.method == "POST":
        status = 422
        if form.is_valid():
            try:
                key, text = services.create_key(actor, **form.arguments(actor))
            except errors.InvalidInput as error:
                add_errors(form, error)
            else:
                context = {"actor": actor, "key": key, "text": text}
                return render(request, "tenancy/key_made.html", context)
    context = {"actor": actor, "keys": selectors.keys(actor), "form": form}
    return render(request, "tenancy/keys.html", context, status=status)


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def revoke_key(request: HttpRequest, project: str, key: int) -> HttpResponse:
    """Asks for the key's prefix, then ends it."""
    actor = access_project(request.user, project, "keys:write")
    found = selectors.get_key(actor, key)
    form = RevokeForm(request.POST if request.method == "POST" else None, expected=found.prefix)
    if request.method == "POST" and form.is_valid():
        services.revoke_key(actor, key_id=found.pk)
        messages.success(request, f"The key {found.name} is revoked.")
        return redirect("tenancy:keys", project)
    context = {"actor": actor, "key": found, "form": form}
    return render(request, "tenancy/revoke_key.html", context, status=422 if form.is_bound else 200)
