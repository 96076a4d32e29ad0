"""Addresses of the pages of scorers; included below `/p/<slug:project>/`."""

from django.urls import path

from scoring.views import drift, scorers

app_name = "scoring"

_VERSION = "scorers/<slug:slug>/versions/<int:number>"

urlpatterns = [
    path("drift/", drift.report_list, name="drift_list"),
    path("drift/<int:report_id>/", drift.report_detail, name="drift_report"),
    path("scorers/", scorers.scorer_list, name="scorer_list"),
    path("scorers/fit", scorers.scorer_fit, name="scorer_fit"),
    path(f"{_VERSION}/", scorers.version_detail, name="version_detail"),
    path(f"{_VERSION}/compare/", scorers.version_compare, name="version_compare"),
    path(f"{_VERSION}/release", scorers.version_release, name="version_release"),
    path(f"{_VERSION}/rollback", scorers.version_rollback, name="version_rollback"),
]
