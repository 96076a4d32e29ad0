"""Headers that every answer carries, and what authenticated answers must never be: cached."""

from collections.abc import Callable

from csp.constants import HEADER
from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase

PERMISSIONS_POLICY = "camera=(), geolocation=(), microphone=(), payment=(), usb=()"
# Data is no page: whatever it is taken for, nothing in it may load, run or be framed.
DATA_POLICY = "default-src 'none'; frame-ancestors 'none'; sandbox"
_DATA = "/api/v1/"


class HeadersMiddleware:
    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        response.headers.setdefault("Permissions-Policy", PERMISSIONS_POLICY)
        response.headers.setdefault("Cross-Origin-Resource-Policy", "same-origin")
        if not request.path.startswith("/static/"):
            response.headers.setdefault("Cache-Control", "no-store, private")
        return response


class PolicyMiddleware(CSPMiddleware):
    """What a browser may do with an answer: the pages' policy, or that of data."""

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        if request.path.startswith(_DATA):
            response.headers.setdefault(HEADER, DATA_POLICY)
            return response
        return super().process_response(request, response)
