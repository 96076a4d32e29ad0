"""All addresses of the application."""

from django.urls import URLPattern, URLResolver, include, path, re_path
from drf_spectacular.views import SpectacularAPIView

from oversight import departures, home, pages, theme
from oversight.jobs.api import JobReplayView, JobView
from oversight.monitoring.views import health, metrics
from review.selectors.blindness import in_hand
from review.services.disclosure import see_records
from scoring.api.records import RecordsView, RecordView

TOLD = {"withheld": in_hand, "on_telling": see_records}
api: list[URLPattern | URLResolver] = [
    # Scores are kept from whoever holds a case of the record, and noted as seen by whoever has
    # judged one; scoring knows of no cases.
    path("records", RecordsView.as_view(**TOLD), name="records"),
    path("records/<uuid:record_id>", RecordView.as_view(**TOLD), name="record"),
    path("", include("scoring.api.urls")),
    path("", include("review.api.rule_urls")),
    path("", include("review.api.urls")),
    path("jobs/<uuid:job_id>", JobView.as_view(), name="job"),
    path("jobs/<uuid:job_id>/replay", JobReplayView.as_view(), name="job_replay"),
]

urlpatterns = [
    path("api/v1/", include((api, "api"))),  # first, since it is asked for most
    path("", home.home, name="home"),
    path("p/<slug:project>/", home.project_home, name="project_home"),
    path("p/<slug:project>/settings/", home.project_settings, name="project_settings"),
    path("p/<slug:project>/settings/health", health, name="health"),
    path(
        "p/<slug:project>/settings/members/<int:membership>/role",
        departures.change_role,
        name="change_role",
    ),
    path(
        "p/<slug:project>/settings/members/<int:membership>/remove",
        departures.remove_member,
        name="remove_member",
    ),
    path("theme", theme.set_theme, name="theme"),
    path("p/<slug:project>/", include("review.urls")),
    path("p/<slug:project>/", include("scoring.urls")),
    path("", include("oversight.tenancy.urls")),
    path("p/<slug:project>/", include("oversight.audit.urls")),
    path("p/<slug:project>/", include("oversight.jobs.urls")),
    # No e-mail is sent, and nobody gives themselves another address: it is what they sign in by.
    path("accounts/password/reset/", pages.forgotten_password),
    re_path(r"^accounts/(email/|confirm-email/|login/code/|password/reset/.)", pages.not_found),
    path("accounts/", include("allauth.urls")),
    path("api/schema/", SpectacularAPIView.as_view(), name="schema"),
    path("metrics", metrics, name="metrics"),
    path("healthz", pages.healthz, name="healthz"),
    path("readyz", pages.readyz, name="readyz"),
    path("csp-report", pages.csp_report, name="csp_report"),
]

handler404 = pages.not_found
handler500 = pages.server_error
