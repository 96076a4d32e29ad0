"""Addresses of what reviews go by: policies, rubrics, queues."""

from django.urls import path

from review.api import policies, queues, rubrics

_VERSION = "versions/<int:number>"

urlpatterns = [
    path("policies", policies.PoliciesView.as_view(), name="policies"),
    path(
        "policies/<slug:slug>/versions",
        policies.PolicyVersionsView.as_view(),
        name="policy_versions",
    ),
    path(
        f"policies/<slug:slug>/{_VERSION}",
        policies.PolicyVersionView.as_view(),
        name="policy_version",
    ),
    path(
        f"policies/<slug:slug>/{_VERSION}/publish",
        policies.PolicyPublishView.as_view(),
        name="policy_publish",
    ),
    path(
        f"policies/<slug:slug>/{_VERSION}/diff",
        policies.PolicyDiffView.as_view(),
        name="policy_diff",
    ),
    path("rubrics", rubrics.RubricsView.as_view(), name="rubrics"),
    path(
        "rubrics/<slug:slug>/versions", rubrics.RubricVersionsView.as_view(), name="rubric_versions"
    ),
    path(
        f"rubrics/<slug:slug>/{_VERSION}",
        rubrics.RubricVersionView.as_view(),
        name="rubric_version",
    ),
    path(
        f"rubrics/<slug:slug>/{_VERSION}/publish",
        rubrics.RubricPublishView.as_view(),
        name="rubric_publish",
    ),
    path(
        f"rubrics/<slug:slug>/{_VERSION}/diff",
        rubrics.RubricDiffView.as_view(),
        name="rubric_diff",
    ),
    path("queues", queues.QueuesView.as_view(), name="queues"),
    path("queues/<slug:slug>", queues.QueueView.as_view(), name="queue"),
]
