from django.urls import path

from scoring.api import drift, invariants, scorers

_VERSION = "scorers/<slug:slug>/versions/<int:number>"

urlpatterns = [
    path("drift", drift.ReportsView.as_view(), name="drift_reports"),
    path("drift/<int:report_id>", drift.ReportView.as_view(), name="drift_report"),
    path("scorers/<slug:slug>/versions", scorers.VersionsView.as_view(), name="scorer_versions"),
    path(
        "scorers/<slug:slug>/invariants",
        invariants.InvariantsView.as_view(),
        name="scorer_invariants",
    ),
    path(_VERSION, scorers.VersionView.as_view(), name="scorer_version"),
    path(f"{_VERSION}/state", scorers.StateView.as_view(), name="scorer_state"),
    path(f"{_VERSION}/scores", scorers.ScoresView.as_view(), name="scorer_scores"),
    path(f"{_VERSION}/release", scorers.ReleaseView.as_view(), name="scorer_release"),
    path(f"{_VERSION}/rollback", scorers.RollbackView.as_view(), name="scorer_rollback"),
]
