"""Addresses of the pages of what reviews go by; part of the namespace `review`."""

from django.urls import path

from review.views import policies, queue_settings, rubrics

_VERSION = "<slug:slug>/versions/<int:number>"

urlpatterns = [
    path("policies/", policies.policy_list, name="policy_list"),
    path("policies/<slug:slug>/", policies.policy_detail, name="policy_detail"),
    path("policies/<slug:slug>/draft", policies.policy_draft, name="policy_draft"),
    path(f"policies/{_VERSION}/edit", policies.policy_edit, name="policy_edit"),
    path(f"policies/{_VERSION}/publish", policies.policy_publish, name="policy_publish"),
    path(f"policies/{_VERSION}/diff", policies.policy_diff, name="policy_diff"),
    path("rubrics/", rubrics.rubric_list, name="rubric_list"),
    path("rubrics/<slug:slug>/", rubrics.rubric_detail, name="rubric_detail"),
    path("rubrics/<slug:slug>/draft", rubrics.rubric_draft, name="rubric_draft"),
    path(f"rubrics/{_VERSION}/edit", rubrics.rubric_edit, name="rubric_edit"),
    path(f"rubrics/{_VERSION}/publish", rubrics.rubric_publish, name="rubric_publish"),
    path("settings/queues", queue_settings.queue_settings, name="queue_settings"),
    path("settings/queues/new", queue_settings.queue_new, name="queue_new"),
    path("settings/queues/<slug:slug>", queue_settings.queue_edit, name="queue_edit"),
]
