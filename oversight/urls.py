"""All addresses of the application."""

from django.urls import include, path

from oversight import pages

urlpatterns = [
    path("accounts/", include("allauth.urls")),
    path("healthz", pages.healthz, name="healthz"),
    path("readyz", pages.readyz, name="readyz"),
    path("csp-report", pages.csp_report, name="csp_report"),
]

handler404 = pages.not_found
handler500 = pages.server_error
