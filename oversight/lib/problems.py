"""The one place where an application error becomes an HTTP answer.

API callers get `application/problem+json` (RFC 9457) with `errors: [{path, code, message}]`; a
person in a browser gets a page. Both share status and words.
"""

import logging
from collections.abc import Callable
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import DatabaseError, DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from rest_framework import exceptions as drf
from rest_framework.response import Response

from oversight.lib import codec, errors
from oversight.lib.postgres.statements import is_outdated_plan

logger = logging.getLogger(__name__)

# What a trigger raises when somebody tries to change what is frozen (pgtrigger.Protect).
_FROZEN = "pgtrigger: Cannot"
# What psycopg says of text that PostgreSQL cannot hold; it sends none of it.
_NUL = "cannot contain NUL"
_NUL_SAID = "the text contains a NUL character"

# What keeps somebody out, and how loudly it is logged: a foreign project's pages are "not found".
_REFUSALS = {401: logging.WARNING, 403: logging.WARNING, 404: logging.INFO, 410: logging.INFO}


def to_application_error(
    error: Exception, request: HttpRequest | None = None
) -> errors.ApplicationError | None:
    """The application error that an exception of Django, DRF or the database stands for.

    Args:
        request: whose parameters may be named in it.
    """
    match error:
        case errors.ApplicationError():
            return error
        case drf.ValidationError():
            fields = _flatten(error.detail)
            return errors.InvalidInput(
                fields[0].message if fields else "the input is not valid", errors=fields
            )
        case drf.NotAuthenticated() | drf.AuthenticationFailed():
            return errors.NotAuthenticated(str(error.detail))
        case drf.PermissionDenied() | PermissionDenied():
            return errors.NotAllowed(str(getattr(error, "detail", error)) or "not allowed")
        case Http404() | drf.NotFound():
            return errors.NotFound("there is nothing here, or not for you")
        case drf.UnsupportedMediaType():
            return errors.UnsupportedMedia(str(error.detail))
        case drf.APIException():
            mapped = errors.ApplicationError(str(error.detail))
            mapped.status, mapped.code = error.status_code, str(error.default_code)
            wait = getattr(error, "wait", None)
            mapped.retry_after_seconds = int(wait) + 1 if wait is not None else None
            return mapped
        case SuspiciousOperation():
            return errors.InvalidInput("the request is malformed")
        case OperationalError() | InterfaceError():
            logger.warning("database unavailable: %s", type(error).__name__)
            return errors.Unavailable("the database does not answer", retry_after_seconds=2)
        case DatabaseError() if is_outdated_plan(error):
            return errors.Unavailable("the database has just been migrated", retry_after_seconds=1)
        case DataError() if _NUL in str(error):
            return errors.InvalidInput(_NUL_SAID, errors=_having_nul(request))
        case DatabaseError() if _FROZEN in str(error):
            return errors.Conflict("what is published or recorded cannot be changed", code="frozen")
    return None


def _having_nul(request: HttpRequest | None) -> list[errors.FieldError]:
    """The parameters in the address that contain NUL."""
    return [
        errors.FieldError(name, "unstorable_text", _NUL_SAID)
        for name, values in (request.GET.lists() if request is not None else ())
        if any("\x00" in text for text in (name, *values))
    ]


def _flatten(detail: Any, path: str = "") -> list[errors.FieldError]:
    if isinstance(detail, dict):
        return [
            field
            for key, value in detail.items()
            for field in _flatten(value, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(detail, list):
        nested = any(isinstance(item, dict | list) for item in detail)
        return [
            field
            for index, item in enumerate(detail)
            for field in _flatten(item, f"{path}[{index}]" if nested else path)
        ]
    return [errors.FieldError(path, str(getattr(detail, "code", "invalid")), str(detail))]


def problem(error: errors.ApplicationError) -> dict[str, Any]:
    """The body of a problem answer."""
    return {
        "type": f"urn:oversight:problem:{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "detail": error.message,
        "errors": [field.as_dict() for field in error.errors],
        **error.extra,
    }


def exception_handler(error: Exception, context: dict[str, Any]) -> Response | None:
    """DRF's hook: every error of an API view as a problem."""
    mapped = to_application_error(error, context.get("request"))
    if mapped is None:
        return None  # a defect: Django logs it and answers 500
    _log_refusal(context.get("request"), mapped)
    response = Response(
        problem(mapped), status=mapped.status, content_type="application/problem+json"
    )
    if mapped.retry_after_seconds is not None:
        response["Retry-After"] = str(mapped.retry_after_seconds)
    if mapped.status == 401:
        response["WWW-Authenticate"] = "Bearer"
    return response


def wants_problem(request: HttpRequest) -> bool:
    return request.path.startswith(("/api/", "/healthz", "/readyz", "/metrics"))


class ProblemMiddleware:
    """Errors of pages, and errors outside DRF's reach, in the form that their caller reads."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        return self.get_response(request)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        mapped = to_application_error(error, request)
        return None if mapped is None else problem_response(request, mapped)


def problem_response(request: HttpRequest, error: errors.ApplicationError) -> HttpResponse:
    """The answer to an error outside a DRF view."""
    _log_refusal(request, error)
    response: HttpResponse
    if wants_problem(request):
        response = HttpResponse(
            codec.encode(problem(error)),
            status=error.status,
            content_type="application/problem+json",
        )
    else:
        response = render(request, "problem.html", {"problem": error}, status=error.status)
    if error.retry_after_seconds is not None:
        response["Retry-After"] = str(error.retry_after_seconds)
    return response


def _log_refusal(request: Any, error: errors.ApplicationError) -> None:
    """Who was kept out of what: by the view's name, for an address may hold a link's token."""
    level = _REFUSALS.get(error.status)
    match = getattr(request, "resolver_match", None)
    if level is None or match is None:
        return
    about = {
        "status": error.status,
        "code": error.code,
        "view": match.view_name,
        "method": request.method,
        "address": request.META.get("REMOTE_ADDR", ""),
    }
    # Where nobody was let in, asking who it is would only be refused again.
    user = request.user if error.status != errors.NotAuthenticated.status else None
    if (number := getattr(user, "id", None)) is not None:
        about["actor"] = f"{getattr(user, 'kind', 'user')} {number}"
    logger.log(level, "refused", extra=about)
