"""Counts and times every request, under the name of its view: addresses are unbounded."""

import logging
import time
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from oversight.lib import metrics

logger = logging.getLogger(__name__)

_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


class MetricsMiddleware:
    """The outermost one, so that refusals of the others are counted as well."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        began = time.perf_counter()
        response = self.get_response(request)
        match = request.resolver_match
        # Method and address come from the client: neither may make new time series at will.
        view = match.view_name if match is not None else "none"
        method = request.method if request.method in _METHODS else "other"
        try:
            metrics.REQUEST_SECONDS.labels(
                view or "unnamed", method, str(response.status_code)
            ).observe(time.perf_counter() - began)
        except OSError:  # the folder of counts is full, or gone: nobody's answer hangs on it
            logger.exception("a request was not counted")
        return response
