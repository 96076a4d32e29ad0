"""Pages and endpoints of the wiring itself: errors, health, content-security reports."""

import logging
import sys

from django.db import connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_GET, require_POST, require_safe

from oversight.lib import codec, errors
from oversight.lib.problems import problem_response, to_application_error

logger = logging.getLogger(__name__)


def csrf_failure(request: HttpRequest, reason: str = "") -> HttpResponse:
    """A form that came without its token: usually a login in another tab."""
    return problem_response(
        request,
        errors.NotAllowed(
            "The form has lost its protection token, usually because you logged in again in "
            "another tab. Go back, reload, and send it again: what you typed is still there.",
            code="csrf",
        ),
    )


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    return problem_response(request, errors.NotFound("There is nothing here, or not for you."))


@require_safe
def forgotten_password(request: HttpRequest) -> HttpResponse:
    return render(request, "account/password_reset.html")


def server_error(request: HttpRequest) -> HttpResponse:
    """A defect, or a known trouble that came up in a middleware, where no view's handler is."""
    error = sys.exc_info()[1]
    if isinstance(error, Exception) and (known := to_application_error(error, request)) is not None:
        return problem_response(request, known)
    failure = errors.ApplicationError("Something went wrong on our side; it has been logged.")
    failure.status, failure.code, failure.title = 500, "server_error", "Server error"
    return problem_response(request, failure)


@require_GET
def healthz(request: HttpRequest) -> JsonResponse:
    """Whether this process answers; says nothing about what it depends on."""
    return JsonResponse({"status": "ok"})


@require_GET
def readyz(request: HttpRequest) -> JsonResponse:
    """Whether requests can be served: the database answers. The broker is not in their path."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    return JsonResponse({"status": "ok", "database": "ok"})


@csrf_exempt  # sent by the browser itself, without cookies' protection
@require_POST
def csp_report(request: HttpRequest) -> HttpResponse:
    """What a browser refused to load or run. Logged by directive and source, never by content."""
    try:
        report = codec.decode(request.read(16_384))
        body = report.get("csp-report", {}) if isinstance(report, dict) else {}
        logger.error(
            "content-security report: %s blocked %s at %s",
            str(body.get("violated-directive"))[:80],
            str(body.get("blocked-uri"))[:200],
            str(body.get("document-uri"))[:200],
        )
    except errors.InvalidInput:
        logger.warning("unreadable content-security report")
    return HttpResponse(status=204)
