"""Public pages behind links: joining a project, setting a new password."""

from django.contrib import messages
from django.contrib.auth import login, logout
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from oversight.lib import errors
from oversight.lib.forms import add_errors
from oversight.tenancy import selectors, services
from oversight.tenancy.forms import JoinForm, NewPasswordForm

_BACKEND = "allauth.account.auth_backends.AuthenticationBackend"


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def accept_invitation(request: HttpRequest, token: str) -> HttpResponse:
    """Join with a new account, or, when logged in, as oneself."""
    invitation = selectors.get_open_invitation(token)
    if request.user.is_authenticated:
        if request.method == "POST":
            joined = services.join_by_invitation(request.user, token=token)
            return redirect("project_home", joined.project.slug)
        return _secretive(render(request, "tenancy/join.html", {"invitation": invitation}))
    form = JoinForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            joined = services.accept_invitation(token=token, **form.cleaned_data)
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            login(request, joined.user, backend=_BACKEND)
            return redirect("project_home", joined.project.slug)
    context = {"invitation": invitation, "form": form}
    return _secretive(
        render(request, "tenancy/join.html", context, status=422 if form.is_bound else 200)
    )


@sensitive_post_parameters("password")
@require_http_methods(["GET", "HEAD", "POST"])
def reset_password(request: HttpRequest, token: str) -> HttpResponse:
    """Set a new password; whoever was logged in here is not any more."""
    reset = selectors.get_open_reset(token)
    form = NewPasswordForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            services.use_password_reset(token=token, password=form.cleaned_data["password"])
        except errors.InvalidInput as error:
            add_errors(form, error)
        else:
            logout(request)
            messages.success(request, "Your new password is set. Sign in with it.")
            return redirect("account_login")
    context = {"reset": reset, "form": form}
    return _secretive(
        render(
            request, "tenancy/reset_password.html", context, status=422 if form.is_bound else 200
        )
    )


def _secretive(response: HttpResponse) -> HttpResponse:
    # The address is the secret: no page that is linked from here may learn it.
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
