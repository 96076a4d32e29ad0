"""Glue for htmx: the same URL serves page and fragment, and the server picks the fragment."""

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from oversight.lib import errors


def is_htmx(request: HttpRequest) -> bool:
    """Whether htmx asks, and so wants a fragment. History restores want the page."""
    return (
        request.headers.get("HX-Request") == "true"
        and request.headers.get("HX-History-Restore-Request") != "true"
    )


def render_page_or_fragment(
    request: HttpRequest,
    page: str,
    fragment: str,
    context: dict[str, Any],
    *,
    status: int = 200,
) -> HttpResponse:
    """The page, or its fragment to htmx.

    Args:
        page: the template of the whole page, which includes `fragment`.
        fragment: the template that htmx gets.
        status: also for the fragment; 4xx is swapped only where the element says `hx-status`.
    """
    response = render(request, fragment if is_htmx(request) else page, context, status=status)
    response.headers["Vary"] = "HX-Request"
    return response


def signed_in(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send a visitor to the login, but lose nothing that was typed before the session ended.

    A script is answered 401: it would follow the redirect and put the login page where a fragment
    belongs. A form is answered by a page that holds what was in it.
    """

    @wraps(view)
    def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
        if request.user.is_authenticated:
            return view(request, *args, **kwargs)
        if is_htmx(request) or not request.accepts("text/html"):
            raise errors.NotAuthenticated("you have been signed out")
        if request.method == "POST" and (typed := _typed(request)):
            context = {"typed": typed, "back": request.get_full_path()}
            return render(request, "oversight/signed_out.html", context, status=401)
        return redirect_to_login(request.get_full_path() if request.method == "GET" else "/")

    return guarded


# Fields that a page fills in by itself.
_NOT_TYPED = re.compile(r"csrfmiddlewaretoken|do|next|seen_\w+|\w*token|.*_FORMS")


def _typed(request: HttpRequest) -> list[tuple[str, str]]:
    """What a person has written or chosen, by the names of its fields."""
    return [
        (name, value)
        for name, values in request.POST.lists()
        if not _NOT_TYPED.fullmatch(name)
        for value in values
        if value.strip()
    ]
