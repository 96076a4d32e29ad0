"""Glue for htmx: the same URL serves page and fragment, and the server picks the fragment."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render


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
