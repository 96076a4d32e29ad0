from django.urls import path

from review.api import backtests, cases, datasets, estimates, posteriors, rounds

urlpatterns = [
    path("queues/<slug:slug>/claim", cases.ClaimView.as_view(), name="claim"),
    path("queues/<slug:slug>/posteriors", posteriors.PosteriorsView.as_view(), name="posteriors"),
    path(
        "queues/<slug:slug>/posteriors/<int:number>/use",
        posteriors.PosteriorUseView.as_view(),
        name="posterior_use",
    ),
    path("cases/<uuid:case_id>", cases.CaseView.as_view(), name="case"),
    path("cases/<uuid:case_id>/heartbeat", cases.HeartbeatView.as_view(), name="heartbeat"),
    path("cases/<uuid:case_id>/release", cases.ReleaseView.as_view(), name="release"),
    path("cases/<uuid:case_id>/skip", cases.SkipView.as_view(), name="skip"),
    path("cases/<uuid:case_id>/verdicts", cases.VerdictsOfCaseView.as_view(), name="answer"),
    path("verdicts", cases.VerdictsView.as_view(), name="verdicts"),
    path("verdicts/<uuid:verdict_id>/supersede", cases.SupersedeView.as_view(), name="supersede"),
    path("records/<uuid:record_id>/review", cases.EscalateRecordView.as_view(), name="escalate"),
    path(
        "scorers/<slug:slug>/versions/<int:number>/backtest",
        backtests.BacktestView.as_view(),
        name="scorer_backtest",
    ),
    path("rounds", rounds.RoundsView.as_view(), name="rounds"),
    path("rounds/<int:round_id>", rounds.RoundView.as_view(), name="round"),
    path("estimates", estimates.EstimatesView.as_view(), name="estimates"),
    path("datasets", datasets.DatasetsView.as_view(), name="datasets"),
    path("datasets/<uuid:dataset_id>", datasets.DatasetView.as_view(), name="dataset"),
    path(
        "datasets/<uuid:dataset_id>/files/<path:name>",
        datasets.DatasetFileView.as_view(),
        name="dataset_file",
    ),
]
