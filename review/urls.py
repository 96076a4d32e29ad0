"""Addresses of the reviewers' pages; included below `/p/<slug:project>/`."""

from django.urls import path

from review import rule_urls
from review.views import (
    backtests,
    datasets,
    desk,
    estimates,
    evidence,
    learning,
    posteriors,
    queues,
    records,
    rounds,
)

app_name = "review"

urlpatterns = [
    *rule_urls.urlpatterns,
    path("records/", records.record_list, name="record_list"),
    path("records/<uuid:record>/", records.record_detail, name="record_detail"),
    path("records/<uuid:record>/review", records.record_review, name="record_review"),
    path("records/<uuid:record>/images/<int:index>", records.record_image, name="record_image"),
    path("rounds/", rounds.round_list, name="round_list"),
    path("rounds/draw", rounds.round_draw, name="round_draw"),
    path("rounds/<int:round_id>/", rounds.round_detail, name="round_detail"),
    path("queues/", queues.queue_list, name="queue_list"),
    path("queues/<slug:queue>/posteriors/", posteriors.posterior_list, name="posterior_list"),
    path(
        "queues/<slug:queue>/posteriors/<int:number>/use",
        posteriors.posterior_use,
        name="posterior_use",
    ),
    path("queues/<slug:queue>/review/", desk.review, name="desk"),
    path("cases/<uuid:case>/verdict", desk.submit, name="submit"),
    path("cases/<uuid:case>/skip", desk.skip, name="skip"),
    path("cases/<uuid:case>/release", desk.release, name="release"),
    path("cases/<uuid:case>/heartbeat", desk.heartbeat, name="heartbeat"),
    path("cases/<uuid:case>/images/<int:index>", evidence.image, name="evidence_image"),
    path("verdicts/<uuid:verdict>/", evidence.verdict, name="verdict"),
    path("verdicts/<uuid:verdict>/evidence", evidence.reveal, name="reveal"),
    path("estimates/", estimates.figure, name="estimates"),
    path("estimates/hours/", estimates.hours, name="estimate_hours"),
    path(
        "scorers/<slug:slug>/versions/<int:number>/backtest",
        backtests.version_backtest,
        name="version_backtest",
    ),
    path("learning/", learning.learning_home, name="learning"),
    path("learning/change", learning.learning_change, name="learning_change"),
    path("learning/start", learning.learning_start, name="learning_start"),
    path("learning/gaps/", learning.proxy_gap, name="proxy_gap"),
    path("datasets/", datasets.dataset_list, name="dataset_list"),
    path("datasets/new", datasets.dataset_new, name="dataset_new"),
    path("datasets/<uuid:dataset>/", datasets.dataset_detail, name="dataset_detail"),
    path("datasets/<uuid:dataset>/files/<path:name>", datasets.dataset_file, name="dataset_file"),
]
