"""`/metrics` in the Prometheus text format, for whoever holds the token or asks from this host."""

import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import ValueClass

from oversight.lib import errors
from oversight.monitoring.state import StateCollector

_LOCAL = {"127.0.0.1", "::1"}


@require_safe
def metrics(request: HttpRequest) -> HttpResponse:
    """This node's counts and the installation's state.

    Names of projects and queues stand in it, so it is not for everybody: with
    OVERSIGHT_METRICS_TOKEN set a scraper sends it as a bearer token; without one, only a direct
    connection from the same host is answered.
    """
    if not _may_read(request):
        raise errors.NotAuthenticated(
            "metrics need the bearer token of OVERSIGHT_METRICS_TOKEN, or a call from this host"
        )
    state = CollectorRegistry()
    state.register(StateCollector())
    body = generate_latest(_counts()) + generate_latest(state)
    return HttpResponse(body, content_type=CONTENT_TYPE_LATEST)


def _counts() -> CollectorRegistry:
    if ValueClass.__name__ != "MmapedValue":
        return REGISTRY  # one process: a test, or a server of somebody else's
    shared = CollectorRegistry()
    MultiProcessCollector(shared)
    return shared


def _may_read(request: HttpRequest) -> bool:
    token = settings.METRICS_TOKEN
    if token:
        given = request.headers.get("Authorization", "")
        return secrets.compare_digest(given.encode(), f"Bearer {token}".encode())
    is_forwarded = "X-Forwarded-For" in request.headers or "Forwarded" in request.headers
    return request.META.get("REMOTE_ADDR") in _LOCAL and not is_forwarded
