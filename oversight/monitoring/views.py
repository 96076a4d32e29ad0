"""`/metrics` for Prometheus, and a page that tells a person how the installation fares."""

import secrets

from django.conf import settings
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from prometheus_client import REGISTRY, CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.values import ValueClass

from oversight.jobs import selectors as jobs
from oversight.lib import errors
from oversight.lib.environ import IS_FORWARDED
from oversight.monitoring.state import RECONCILE, StateCollector
from oversight.tenancy.access import access_project

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


@login_required
@require_safe
def health(request: HttpRequest, project: str) -> HttpResponse:
    """Scheduled tasks, findings of the reconciler, and the project's dead letters."""
    actor = access_project(request.user, project, "project:write")
    ticks = jobs.ticks()
    reconciled = next((tick for tick in ticks if tick.task == RECONCILE), None)
    found = (reconciled.result or {}) if reconciled is not None else {}
    context = {
        "actor": actor,
        "ticks": ticks,
        "reconciled": reconciled,
        "findings": [(name.replace("_", " "), count) for name, count in found.items() if count],
        "dead": jobs.dead_letters(actor),
    }
    return render(request, "oversight/health.html", context)


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
    # A proxy on this host calls for others. Where our own web server does not tell, nobody knows.
    return request.META.get("REMOTE_ADDR") in _LOCAL and not request.META.get(IS_FORWARDED, True)
